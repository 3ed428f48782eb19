use std::{io, net::SocketAddr};

use nocrd_model::{Code, ErrorKind, error as codes};

/// Why a workspace can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An environment variable has a value that can't be used.
    #[error("{name}={value:?} must be {expected}")]
    InvalidSetting {
        /// The variable.
        name: &'static str,
        /// Its value, cut to a readable length.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The address can't be listened on.
    #[error("can't listen on {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::InvalidSetting { .. } => codes::INVALID_SETTING,
            Self::Bind { .. } => codes::INTERNAL,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}
