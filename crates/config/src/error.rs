//! What can be wrong with settings.

use nocrd_model::{Code, ErrorKind, error};

use crate::{resolve::Source, row::Setting, value::shorten};

/// One thing that is wrong with the command line or the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value of a setting is not allowed.
    #[error("{setting} ({origin}){}: it must be {allowed}{}", shown(value.as_deref()), because(why))]
    Invalid {
        /// Name of the setting.
        setting: &'static str,
        /// Where the value came from.
        origin: Source,
        /// The value, cut to a readable length; `None` when it must not be shown.
        value: Option<String>,
        /// What would be allowed.
        allowed: String,
        /// What is wrong beyond that; may be empty.
        why: String,
    },
    /// Settings that are valid on their own don't go together, or can't be honoured.
    #[error("{message}")]
    Rule {
        /// Name of the setting to look at first.
        setting: &'static str,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The command line can't be understood.
    #[error("{message}")]
    Usage {
        /// What is wrong, and what may have been meant.
        message: String,
    },
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" is {value:?}"))
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!("; {why}") }
}

impl Error {
    pub(crate) fn invalid(row: &Setting, origin: Source, text: &str, why: String) -> Self {
        // A URL may hold a password, and a key may have landed in the wrong variable.
        let hidden = row.is_secret() || text.contains('@') || text.contains("PRIVATE KEY");
        Self::Invalid {
            setting: row.name(),
            origin,
            value: (!hidden).then(|| shorten(text)),
            allowed: row.kind.allowed(),
            why: if hidden && !row.is_secret() { String::new() } else { why },
        }
    }

    pub(crate) fn rule(setting: &'static str, message: impl Into<String>) -> Self {
        Self::Rule { setting, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into() }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        error::INVALID_SETTING
    }

    /// What the operator can do: correct it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}

/// Everything that is wrong, for a report in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    binary: &'static str,
    errors: Vec<Error>,
}

impl Errors {
    pub(crate) fn new(binary: &'static str, errors: Vec<Error>) -> Self {
        Self { binary, errors }
    }

    /// The errors, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &Error> {
        self.errors.iter()
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.errors.len();
        writeln!(
            f,
            "{}: {count} {} [{}]",
            self.binary,
            if count == 1 { "error" } else { "errors" },
            error::INVALID_SETTING.id
        )?;
        for error in &self.errors {
            writeln!(f, "  - {error}")?;
        }
        write!(f, "Run `{} --help` for all settings.", self.binary)
    }
}

impl std::error::Error for Errors {}
