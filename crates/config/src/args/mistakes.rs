//! What clap complains of, in our words, and how reading goes on after it.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::commands::{DEV, WORKSPACE};
use crate::{settings::TABLE, value::shorten};

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// The flag clap complains of, without placeholder, and without a value that may hang on it and be a secret.
fn culprit(error: &clap::Error) -> Option<String> {
    let text = context(error, ContextKind::InvalidArg)?;
    text.split(['=', ' ', '[']).next().filter(|flag| !flag.is_empty()).map(str::to_owned)
}

/// The setting that a flag would be of, when only the environment sets it.
fn variable(flag: &str) -> Option<&'static str> {
    let name = flag.strip_prefix("--")?.replace('-', "_").to_ascii_uppercase();
    let row = TABLE.iter().find(|row| row.flag.is_none() && row.env.contains(&name.as_str()))?;
    row.env.iter().copied().find(|known| *known == name)
}

pub(super) fn explain(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(flag) = culprit(error)
    {
        if let Some(name) = variable(&flag) {
            return format!("{name} has no flag: set the environment variable {name}");
        }
        let flag = shorten(&flag);
        return match context(error, ContextKind::SuggestedArg) {
            Some(other) => format!("unknown argument {flag:?}: did you mean `{other}`?"),
            None => format!("unknown argument {flag:?}"),
        };
    }
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(name) = context(error, ContextKind::InvalidSubcommand)
    {
        let name = shorten(&name);
        return match context(error, ContextKind::SuggestedSubcommand) {
            Some(other) => format!("unknown command {name:?}: did you mean `{other}`?"),
            None => format!("unknown command {name:?}: there are `{DEV}` and `{WORKSPACE}`"),
        };
    }
    if error.kind() == ErrorKind::InvalidValue
        && let Some(flag) = culprit(error)
    {
        return format!("{flag} needs a value");
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    shorten(first.strip_prefix("error: ").unwrap_or(first))
}

/// Removes the argument clap complains of and, when it is an unknown flag, the value that seems to belong to it. Tells
/// whether it found it.
pub(super) fn remove_culprit(args: &mut Vec<OsString>, error: &clap::Error) -> bool {
    let Some(flag) = culprit(error) else { return false };
    let named = |arg: &OsString| {
        arg.to_str().is_some_and(|text| {
            text == flag || text.strip_prefix(&flag).is_some_and(|rest| rest.starts_with('='))
        })
    };
    let Some(position) = args.iter().position(named) else { return false };
    let removed = args.remove(position);
    let is_value = |arg: &OsString| arg.to_str().is_none_or(|text| !text.starts_with('-'));
    let takes_next = removed.to_str().is_some_and(|text| text.starts_with('-') && !text.contains('='));
    if error.kind() == ErrorKind::UnknownArgument && takes_next && args.get(position).is_some_and(is_value) {
        args.remove(position);
    }
    true
}
