//! The command line: clap commands built from the table, and what was found on it.

mod commands;
mod mistakes;
mod options;

use std::{collections::BTreeMap, ffi::OsString};

use clap::{ArgMatches, error::ErrorKind};

use crate::{
    command::Binary,
    error::Error,
    kind::{Kind, parse_bool},
    resolve::Flags,
    row::Setting,
    settings::TABLE,
};
use commands::{CHECK_PERMISSIONS, DEV, DEV_OPTIONS, RUNTIME, WORKSPACE, WORKSPACE_OPTIONS, command};

pub use commands::help;
pub(crate) use commands::sub_command_help;
pub(crate) use options::{dev_options, workspace_options};

/// Which sub-command was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SubCommand {
    #[default]
    None,
    Dev,
    Workspace,
}

/// What was found on the command line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) sub_command: SubCommand,
    pub(crate) flags: Flags,
    pub(crate) options: BTreeMap<&'static str, String>,
    pub(crate) check_permissions: bool,
    pub(crate) warnings: Vec<String>,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Help or version was asked for.
    Print(String),
    /// The line is wrong; what could be read of it is given, so that its values are checked too.
    Errors(Line, Vec<Error>),
}

/// Reads the command line.
pub(crate) fn parse(binary: Binary, args: Vec<OsString>) -> Result<Line, Failure> {
    let mut args = join_booleans(args);
    let mut errors = Vec::new();
    loop {
        let name = OsString::from(binary.name());
        match command(binary).try_get_matches_from(std::iter::once(name).chain(args.iter().cloned())) {
            Ok(matches) => {
                let line = read(&matches, &mut errors);
                return if errors.is_empty() { Ok(line) } else { Err(Failure::Errors(line, errors)) };
            }
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                return Err(Failure::Print(error.to_string()));
            }
            Err(error) => {
                errors.push(Error::usage(mistakes::explain(&error)));
                // clap stops at the first thing it does not understand. Take that away and read on, to report the rest.
                if !mistakes::remove_culprit(&mut args, &error) {
                    return Err(Failure::Errors(Line::default(), errors));
                }
            }
        }
    }
}

/// Rewrites `--switch false` to `--switch=false` and `--no-switch` to `--switch=false`, which are the forms clap can tell
/// from a switch followed by a sub-command.
fn join_booleans(args: Vec<OsString>) -> Vec<OsString> {
    let is_switch = |long: &str| {
        TABLE.iter().any(|row| row.kind == Kind::Bool && row.flag.is_some_and(|flag| flag.long == long))
    };
    let mut out = Vec::with_capacity(args.len());
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let long = arg.to_str().and_then(|text| text.strip_prefix("--")).map(str::to_owned);
        let joined = match long {
            Some(long) if is_switch(&long) => args
                .next_if(|next| next.to_str().is_some_and(|word| parse_bool(word).is_some()))
                .and_then(|word| word.to_str().map(|word| format!("--{long}={word}"))),
            Some(long) => {
                long.strip_prefix("no-").filter(|long| is_switch(long)).map(|long| format!("--{long}=false"))
            }
            None => None,
        };
        out.push(joined.map_or(arg, OsString::from));
    }
    out
}

fn read(matches: &ArgMatches, errors: &mut Vec<Error>) -> Line {
    let mut line = Line { check_permissions: matches.get_flag(CHECK_PERMISSIONS), ..Line::default() };
    if matches.contains_id(RUNTIME) {
        line.warnings.push("--runtime is accepted, but there is no runtime to choose any more".to_owned());
    }
    read_flags(matches, &mut line.flags, errors);
    match matches.subcommand() {
        Some((DEV, sub)) => {
            line.sub_command = SubCommand::Dev;
            read_flags(sub, &mut line.flags, errors);
            read_options(sub, DEV_OPTIONS, &mut line.options, errors);
        }
        Some((WORKSPACE, sub)) => {
            line.sub_command = SubCommand::Workspace;
            read_options(sub, WORKSPACE_OPTIONS, &mut line.options, errors);
            if !line.flags.is_empty() {
                errors.push(Error::usage("`workspace` takes --addr and --root only"));
            }
        }
        _ => {}
    }
    if line.check_permissions && line.sub_command != SubCommand::None {
        errors.push(Error::usage("--check-permissions goes with no command"));
    }
    line
}

fn read_flags(matches: &ArgMatches, flags: &mut Flags, errors: &mut Vec<Error>) {
    let with_flag = |row: &&Setting| row.flag.is_some();
    for row in TABLE.iter().filter(with_flag) {
        if let Some(value) = read_text(matches, row.field, errors) {
            flags.insert(row.field, value);
        }
    }
}

fn read_options(
    matches: &ArgMatches,
    options: &[(&'static str, &str, &str)],
    found: &mut BTreeMap<&'static str, String>,
    errors: &mut Vec<Error>,
) {
    for (name, ..) in options {
        if let Some(value) = read_text(matches, name, errors) {
            found.insert(name, value);
        }
    }
}

fn read_text(matches: &ArgMatches, id: &str, errors: &mut Vec<Error>) -> Option<String> {
    let value = matches.get_one::<OsString>(id)?;
    let text = value.to_str();
    if text.is_none() {
        errors.push(Error::usage(format!("the value of --{} is not valid Unicode", id.replace('_', "-"))));
    }
    text.map(str::to_owned)
}
