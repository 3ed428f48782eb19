//! What can go wrong in setting up, and in asking the identity provider. Refused tokens are [`TokenError`]s.
//!
//! [`TokenError`]: crate::verify::TokenError

use std::error::Error as StdError;

use nocrd_model::{Code, ErrorKind, error};

use crate::http::FetchError;

/// Why something could not be set up, learned, or read from a token.
///
/// The texts hold names of settings and claims, never their values; but for [`Error::Fetch`], which names an address, and is
/// for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A claim's path is no JSONPath, or one that could take long to evaluate.
    #[error("the path of the {claim} claim can't be used: {reason}")]
    InvalidPath {
        /// What it should find: `subject`, `scope` or `roles`.
        claim: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The configured public key can't be used.
    #[error("the public key can't be used: {0}")]
    InvalidKey(&'static str),
    /// The configured secret is too short to withstand guessing.
    #[error("the secret that signs tokens has {bytes} bytes; it needs 32")]
    WeakSecret {
        /// How long it is.
        bytes: usize,
    },
    /// Nothing is configured that could check a token.
    #[error(
        "nothing is configured that tokens can be checked with: a secret, a public key, a key set or introspection"
    )]
    NoKeySource,
    /// Tokens of an identity provider that serves many applications are checked, and nothing says which are meant for
    /// this server.
    #[error("tokens of an identity provider need an audience to be configured")]
    AudienceRequired,
    /// An address can't be used.
    #[error("{what} is no http or https URL")]
    InvalidUrl {
        /// Whose address it is.
        what: &'static str,
    },
    /// The HTTP client can't be made.
    #[error("the HTTP client can't be made: {0}")]
    Client(&'static str),
    /// The identity provider did not give a document.
    #[error("{what}{} can't be read", at.as_ref().map_or_else(String::new, |at| format!(" at {at}")))]
    Fetch {
        /// What was asked for.
        what: &'static str,
        /// Where, without what may be secret of an address.
        at: Option<String>,
        /// Why not.
        #[source]
        source: FetchError,
    },
    /// A claim of a verified token can't be used.
    #[error("the token's {claim} claim {problem}")]
    Claim {
        /// What was looked for: `subject` or `roles`.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::InvalidPath { .. }
            | Self::InvalidKey(_)
            | Self::WeakSecret { .. }
            | Self::NoKeySource
            | Self::AudienceRequired
            | Self::InvalidUrl { .. } => error::INVALID_SETTING,
            Self::Client(_) => error::INTERNAL,
            Self::Fetch { .. } => error::IDENTITY_PROVIDER_UNAVAILABLE,
            Self::Claim { .. } => error::UNAUTHENTICATED,
        }
    }

    /// What is wrong, without addresses and what others wrote.
    #[must_use]
    pub fn outline(&self) -> String {
        match self {
            Self::Fetch { what, source, .. } => format!("{what} can't be read: {}", source.outline()),
            error => error.to_string(),
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}

/// An error with what led to it, in one line.
#[must_use]
pub fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The beginning of what somebody else wrote, for a field of the log.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
