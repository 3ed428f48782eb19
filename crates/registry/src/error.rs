use nocrd_model::{Code, ErrorKind, error as codes};

/// Why images could not be listed. No text holds credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none of a registry.
    #[error("the registry's address is no http or https URL")]
    InvalidUrl,
    /// The HTTP client can't be made.
    #[error("the HTTP client for the registry can't be made")]
    Client,
    /// The registry, or the server that its tokens come from, can't be reached now.
    #[error("the registry {registry} can't be reached: {reason}")]
    Unreachable {
        /// Its name.
        registry: String,
        /// What happened.
        reason: Reason,
    },
    /// The registry answered, and that did not help.
    #[error("the registry {registry} does not tell what it has: {reason}")]
    Failed {
        /// Its name.
        registry: String,
        /// What is wrong.
        reason: Reason,
    },
}

impl Error {
    pub(crate) fn of(registry: &str, reason: Reason) -> Self {
        let registry = registry.to_owned();
        if reason.is_outage() {
            Self::Unreachable { registry, reason }
        } else {
            Self::Failed { registry, reason }
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::InvalidUrl => codes::INVALID_SETTING,
            Self::Client => codes::INTERNAL,
            Self::Unreachable { .. } => codes::REGISTRY_UNREACHABLE,
            Self::Failed { .. } => codes::REGISTRY_FAILED,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}

/// Why a list was not got, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// No answer within the time.
    #[error("no answer in time")]
    Timeout,
    /// No connection, or one that broke, by what the system says.
    #[error("{0}")]
    Connection(String),
    /// An answer that sends elsewhere.
    #[error("the answer is a redirect, and those are not followed")]
    Redirect,
    /// Without credentials, or with those that were given, this is not for us.
    #[error("access is refused, with status {0}")]
    Denied(u16),
    /// Another status than 200.
    #[error("the answer's status is {0}")]
    Status(u16),
    /// An answer that is larger than any honest one.
    #[error("the answer is too large")]
    TooLarge,
    /// An answer that is not what was asked for.
    #[error("the answer can't be used: {0}")]
    Malformed(&'static str),
    /// Tokens would have to be asked for where nobody should send credentials.
    #[error("it names a token server that is neither asked by https nor at the registry's own address")]
    TokenServer,
    /// The server that tokens come from gives none.
    #[error("no token from the server that it names: {0}")]
    Token(#[source] Box<Reason>),
    /// There is more than is looked at.
    #[error("only the first {0} are looked at")]
    TooMany(usize),
}

impl Reason {
    /// Tells whether nobody answered.
    fn is_outage(&self) -> bool {
        match self {
            Self::Timeout | Self::Connection(_) => true,
            Self::Token(reason) => reason.is_outage(),
            _ => false,
        }
    }
}
