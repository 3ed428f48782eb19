//! The table rendered for people.

use crate::{
    args,
    command::Binary,
    kind::Kind,
    row::{Effect, Group, Preset, Setting},
    settings::TABLE,
};

/// The reference of all settings, Markdown.
#[must_use]
pub fn settings_markdown() -> String {
    let mut text = String::from(
        "# Settings\n\n\
         A setting comes from its flag, else from the first of its environment variables that is set and not empty, else \
         from its default. There is no configuration file. The server reads all of them at start, reports everything that \
         is wrong in one message, and does not start then.\n\n\
         Truth values are `true`, `1`, `yes`, `on` and `false`, `0`, `no`, `off` in any case; a flag alone switches on, \
         `--no-<flag>` off. A setting marked *later* is checked, and named in a warning when it is set, but comes into \
         effect with a later release; one marked *no effect* had its last one in 0.17.\n",
    );
    for group in Group::ALL {
        text.push_str(&format!(
            "\n## {}\n\n| Setting | Flag | Default | Allowed | Since | Meaning |\n|---|---|---|---|---|---|\n",
            group.title()
        ));
        for row in TABLE.iter().filter(|row| row.group == group) {
            text.push_str(&line(row));
        }
    }
    text.push_str(
        "\n## Other variables\n\n\
         | Variable | Meaning |\n|---|---|\n\
         | `KUBERNETES_SERVICE_HOST`, `KUBERNETES_SERVICE_PORT` | Set by Kubernetes in every pod: the server runs in a cluster and uses its service account there. |\n\
         | `HOME` | Where `.kube/config` is looked for. |\n\
         | `SSL_CERT_FILE`, `SSL_CERT_DIR` | Certificates (PEM) that connections to the identity provider are checked with, in place of the system's: for a provider with a CA of your own. |\n\
         | `POD_IP`, `PORT` | Where `nocrd-all workspace` serves when `--addr` is not given. |\n",
    );
    text
}

/// The help of every binary, Markdown.
#[must_use]
pub fn help_markdown() -> String {
    let mut text = String::from("# Command line\n");
    let mut add = |title: &str, help: &str| {
        text.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", help.trim_end()))
    };
    for binary in Binary::ALL {
        add(binary.name(), &args::help(binary));
        if binary == Binary::All {
            for name in ["dev", "workspace"] {
                add(&format!("{} {name}", binary.name()), &args::sub_command_help(name).unwrap_or_default());
            }
        }
    }
    text
}

fn line(row: &Setting) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let names = row.env.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let flag = row.flag.map_or_else(String::new, |flag| match flag.short {
        Some(short) => format!("`-{short}`, `--{}`", flag.long),
        None => format!("`--{}`", flag.long),
    });
    let default = match row.default {
        Preset::None => String::new(),
        Preset::Text(text) => format!("`{text}`"),
        Preset::Computed(text) => text.to_owned(),
    };
    let effect = match row.effect {
        Effect::Now => "",
        Effect::Later(_) => " *(later)*",
        Effect::Gone(_) => " *(no effect)*",
    };
    format!(
        "| {names} | {flag} | {} | {} | {} | {}{effect} |\n",
        cell(&default),
        cell(&row.kind.allowed()),
        row.since,
        cell(row.doc())
    )
}

/// The row as a paragraph of the terminal's help.
pub(crate) fn help_text(row: &Setting) -> String {
    let plain = |text: &str| text.replace("**", "").replace('`', "");
    let mut text = plain(row.doc());
    if row.flag.is_some() {
        text.push_str(&format!(" [env: {}]", row.env.join(", ")));
    } else if let [_, others @ ..] = row.env
        && !others.is_empty()
    {
        text.push_str(&format!(" [also: {}]", others.join(", ")));
    }
    match row.default {
        Preset::None => {}
        Preset::Text(default) => text.push_str(&format!(" [default: {default}]")),
        Preset::Computed(default) => text.push_str(&format!(" [default: {}]", plain(default))),
    }
    match row.kind {
        Kind::Choice(words) => text.push_str(&format!(" [one of: {}]", words.join(", "))),
        Kind::Number { zero, .. } if !zero.is_empty() => text.push_str(&format!(" [0: {zero}]")),
        _ => {}
    }
    match row.effect {
        Effect::Now => {}
        Effect::Later(_) => text.push_str(" [no effect yet]"),
        Effect::Gone(_) => text.push_str(" [no effect]"),
    }
    text
}
