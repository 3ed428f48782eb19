//! Whom a token is meant for (RFC 7519 section 4.1.3), compared with what the configuration says, never with what a
//! request says.

use serde_json::Value;
use url::Url;

use super::TokenError;

/// Whom tokens must be meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Anybody: tokens of any application of the identity provider are accepted.
    Any,
    /// One of these: a client id, a name, or this server's URL. None at all is enough for a shared secret only.
    These(Vec<String>),
}

/// The same, read.
#[derive(Debug)]
pub(super) enum Audiences {
    Any,
    These(Vec<Accepted>),
}

#[derive(Debug)]
pub(super) enum Accepted {
    Name(String),
    Url(Url),
}

impl Audiences {
    pub(super) fn new(audience: Audience) -> Self {
        match audience {
            Audience::Any => Self::Any,
            Audience::These(names) => {
                let names = names.iter().filter(|name| !name.trim().is_empty());
                Self::These(names.map(|name| Accepted::parse(name)).collect())
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::These(accepted) if accepted.is_empty())
    }

    /// Checks the claim `aud`: one entry that is accepted is enough. `unasked` tells that an absent configuration asks
    /// for nothing.
    pub(super) fn check(&self, claim: Option<&Value>, unasked: bool) -> Result<(), TokenError> {
        let accepted = match self {
            Self::Any => return Ok(()),
            Self::These(accepted) if accepted.is_empty() && unasked => return Ok(()),
            Self::These(accepted) => accepted,
        };
        let entries = entries(claim)?;
        if entries.iter().any(|entry| accepted.iter().any(|one| one.accepts(entry))) {
            Ok(())
        } else {
            Err(TokenError::WrongAudience)
        }
    }
}

/// The entries of the claim `aud`: a text, or a list of texts.
pub(super) fn entries(claim: Option<&Value>) -> Result<Vec<&str>, TokenError> {
    let entries = match claim {
        None | Some(Value::Null) => return Err(TokenError::MissingClaim("aud")),
        Some(Value::String(entry)) => vec![entry.as_str()],
        Some(Value::Array(entries)) => entries.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err(TokenError::InvalidClaim("aud")),
    };
    if entries.iter().all(|entry| entry.trim().is_empty()) {
        return Err(TokenError::MissingClaim("aud"));
    }
    Ok(entries)
}

impl Accepted {
    /// As it was configured, but for its spelling.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Url(url) => url.as_str(),
        }
    }

    fn parse(text: &str) -> Self {
        match plain_url(text.trim()) {
            Some(url) => Self::Url(url),
            None => Self::Name(normal(text).to_owned()),
        }
    }

    /// A name is accepted when it is the same but for case and a slash at the end. A URL is accepted when it is on the
    /// same host, and one of the two paths leads to the other: tokens are issued for a whole site, or for `/mcp`.
    fn accepts(&self, entry: &str) -> bool {
        match self {
            Self::Name(name) => normal(entry).eq_ignore_ascii_case(name),
            Self::Url(ours) => plain_url(entry.trim()).is_some_and(|theirs| {
                ours.scheme() == theirs.scheme()
                    && ours.host_str() == theirs.host_str()
                    && ours.port_or_known_default() == theirs.port_or_known_default()
                    && (is_within(ours.path(), theirs.path()) || is_within(theirs.path(), ours.path()))
            }),
        }
    }
}

fn normal(text: &str) -> &str {
    let text = text.trim();
    text.strip_suffix('/').unwrap_or(text)
}

/// An http or https URL of scheme, host, port and path only.
fn plain_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// Tells whether a path is the other, or below it.
fn is_within(path: &str, parent: &str) -> bool {
    let parent = parent.trim_end_matches('/');
    path.trim_end_matches('/') == parent
        || path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}
