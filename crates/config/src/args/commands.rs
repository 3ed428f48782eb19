//! The clap commands, and with them the help.

use std::ffi::OsString;

use clap::{Arg, ArgAction, value_parser};

use crate::{command::Binary, kind::Kind, reference, row::Group, settings::TABLE};

const WIDTH: usize = 100;
pub(super) const CHECK_PERMISSIONS: &str = "check-permissions";
pub(super) const RUNTIME: &str = "runtime";
pub(super) const DEV: &str = "dev";
pub(super) const WORKSPACE: &str = "workspace";
/// Options of the sub-commands: name, placeholder, help.
pub(super) const DEV_OPTIONS: &[(&str, &str, &str)] = &[
    ("api-port", "PORT", "Port of the cluster's API on 127.0.0.1; 0 takes any free one [default: 0]"),
    ("data-dir", "PATH", "Keep the cluster's objects in this directory; without it they live in memory"),
    ("kubeconfig", "PATH", "Write the kubeconfig for this cluster here; without it, to a temporary file"),
    (
        "sandbox",
        "WORD",
        "Confine the processes of pods: auto, bwrap or none. No security boundary [default: auto]",
    ),
];
pub(super) const WORKSPACE_OPTIONS: &[(&str, &str, &str)] = &[
    ("addr", "ADDRESS:PORT", "Address to serve on [default: $POD_IP or 0.0.0.0, port $PORT or 3000]"),
    ("root", "PATH", "Directory to serve from [default: the current one]"),
];

/// The text of `--help`.
#[must_use]
pub fn help(binary: Binary) -> String {
    command(binary).render_help().to_string()
}

/// The text of `--help` of a sub-command of `nocrd-all`.
pub(crate) fn sub_command_help(name: &str) -> Option<String> {
    let mut command = command(Binary::All);
    command.build();
    command.find_subcommand_mut(name).map(|sub| sub.render_help().to_string())
}

pub(super) fn command(binary: Binary) -> clap::Command {
    let about = match binary {
        Binary::All => {
            "Ephemeral workspaces on any Kubernetes cluster: MCP server and routing proxy in one program."
        }
        Binary::Mcp => "Ephemeral workspaces on any Kubernetes cluster: the MCP server.",
        Binary::Proxy => "Ephemeral workspaces on any Kubernetes cluster: the proxy to running workspaces.",
    };
    let command = clap::Command::new(binary.name())
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(after_help(binary))
        .term_width(WIDTH)
        .max_term_width(WIDTH)
        .next_line_help(true)
        .args_override_self(true)
        .disable_help_subcommand(true)
        .args(serve_args(false))
        .arg(Arg::new(CHECK_PERMISSIONS).short('c').long(CHECK_PERMISSIONS).action(ArgAction::SetTrue).help(
            "Print what the server's identity may do in the cluster, and which tools that allows; then exit",
        ))
        // Chose the JavaScript runtime up to 0.17; still accepted, so that old command lines work.
        .arg(Arg::new(RUNTIME).short('r').long(RUNTIME).hide(true).value_parser(value_parser!(OsString)));
    if binary != Binary::All {
        return command;
    }
    let sub = |name: &'static str, options: &'static [(&str, &str, &str)]| {
        clap::Command::new(name)
            .term_width(WIDTH)
            .max_term_width(WIDTH)
            .next_line_help(true)
            .args_override_self(true)
            .args(options.iter().map(|(name, placeholder, help)| {
                Arg::new(*name)
                    .long(*name)
                    .value_name(*placeholder)
                    .value_parser(value_parser!(OsString))
                    .help(*help)
            }))
    };
    command
        .subcommand(
            sub(DEV, DEV_OPTIONS)
                .about("Run the server on an embedded cluster that runs pods as local processes, for development")
                .after_help("All flags and variables of `nocrd-all --help` apply too.")
                .args(serve_args(true)),
        )
        .subcommand(
            sub(WORKSPACE, WORKSPACE_OPTIONS)
                .about("Run the default workspace: what a pod of the built-in template runs"),
        )
}

/// One argument for every setting that has a flag.
fn serve_args(hidden: bool) -> impl Iterator<Item = Arg> {
    Group::ALL.into_iter().flat_map(|group| TABLE.iter().filter(move |row| row.group == group)).filter_map(
        move |row| {
            let flag = row.flag?;
            let arg = Arg::new(row.field)
                .long(flag.long)
                .value_name(row.kind.placeholder())
                .value_parser(value_parser!(OsString))
                .help_heading(row.group.title())
                .help(reference::help_text(row))
                .hide(hidden);
            let arg = match flag.short {
                Some(short) => arg.short(short),
                None => arg,
            };
            Some(if row.kind == Kind::Bool {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            })
        },
    )
}

fn after_help(binary: Binary) -> String {
    let mut text = String::from(
        "Values: --flag VALUE or --flag=VALUE. A switch is turned on by --flag and off by --no-flag.\n\
         A flag counts before its variables, and the first variable that is set before the others.\n\
         Settings marked [no effect yet] are checked, but come into effect with a later release.\n",
    );
    for group in Group::ALL {
        let mut rows = TABLE.iter().filter(|row| row.group == group && row.flag.is_none()).peekable();
        if rows.peek().is_some() {
            text.push_str(&format!("\n{} (environment only):\n", group.title()));
        }
        for row in rows {
            text.push_str(&format!("  {}=<{}>\n", row.name(), row.kind.placeholder()));
            text.push_str(&indent(&reference::help_text(row)));
        }
    }
    if binary == Binary::All {
        text.push_str("\nNo cluster at hand? Try `nocrd-all dev`.\n");
    }
    text
}

/// Breaks a paragraph into indented lines of at most [`WIDTH`] columns.
fn indent(text: &str) -> String {
    const MARGIN: &str = "          ";
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if column == 0 || column + 1 + len > WIDTH {
            if column > 0 {
                out.push('\n');
            }
            out.push_str(MARGIN);
            column = MARGIN.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += len;
    }
    out.push('\n');
    out
}
