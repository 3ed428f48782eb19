use std::path::PathBuf;

use nocrd_model::{Code, ErrorKind, error};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the log can't be opened for appending.
    #[error("can't open {path:?} of {setting}")]
    OpenFile {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else has set up logging in this process.
    #[error("logging is set up already")]
    AlreadySet,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::OpenFile { .. } => error::INVALID_SETTING,
            Self::AlreadySet => error::INTERNAL,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}
