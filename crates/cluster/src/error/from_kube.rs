//! From the client library's errors to ours.

#[cfg(test)]
mod tests;

use std::{error::Error as StdError, fmt};

use kube::core::Status;
use nocrd_model::Namespace;

use super::Error;

/// What was asked of the API server, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) verb: &'static str,
    /// With the subresource after a slash.
    pub(crate) resource: &'static str,
    pub(crate) namespace: Option<&'a Namespace>,
    pub(crate) name: Option<&'a str>,
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        match (self.namespace, self.name) {
            (Some(namespace), Some(name)) => write!(f, " {namespace}/{name}"),
            (Some(namespace), None) => write!(f, " in {namespace}"),
            (None, Some(name)) => write!(f, " {name}"),
            (None, None) => Ok(()),
        }
    }
}

impl Asked<'_> {
    /// Whatever was asked for is not there.
    pub(crate) fn not_found(&self) -> Error {
        Error::NotFound { what: format!("{} {:?}", self.resource, self.name.unwrap_or_default()) }
    }

    /// Translates what went wrong. `server` is the API server's URL without credentials.
    pub(crate) fn failed(&self, error: kube::Error, server: Option<&str>) -> Error {
        match error {
            kube::Error::Api(status) => self.refused(*status),
            kube::Error::Auth(_) => Error::Credentials,
            kube::Error::SerdeError(source) => self.unreadable(source.into()),
            kube::Error::FromUtf8(source) => self.unreadable(source.into()),
            // Everything else happens on the way: connecting, TLS, sending, receiving.
            other => Error::Unreachable { server: server.map(str::to_owned), cause: cause(&other) },
        }
    }

    pub(crate) fn unreadable(&self, source: Box<dyn StdError + Send + Sync>) -> Error {
        Error::Unreadable { what: self.to_string(), source }
    }

    fn refused(&self, status: Status) -> Error {
        let Status { code, message, reason, details, .. } = status;
        // The client library's own word for an answer that is no Status; its message is then the body.
        let (reason, message) = if reason == "Failed to parse error data" {
            (String::new(), String::new())
        } else {
            (reason, message)
        };
        match (code, reason.as_str()) {
            (_, "AlreadyExists") => Error::AlreadyExists { what: self.what(details.as_ref()) },
            (401, _) => Error::Unauthorized,
            (403, _) => self.forbidden(message),
            (404, _) => Error::NotFound { what: self.what(details.as_ref()) },
            (409, _) => Error::Conflict { message },
            (413, _) => {
                Error::TooLarge { message: or(message, "the object is too large for the API server") }
            }
            (429 | 503 | 504, _) => Error::Busy { message: or(message, "try again") },
            (400 | 422, _) => {
                let causes = details.map(|details| details.causes).unwrap_or_default();
                let causes = causes.into_iter().map(|cause| match cause.field.as_str() {
                    "" => cause.message,
                    field => format!("{field}: {}", cause.message),
                });
                Error::Invalid {
                    message: or(message, "the API server refuses the request"),
                    causes: causes.collect(),
                }
            }
            _ => Error::Api { code, reason, message },
        }
    }

    /// 403 is the answer to a missing permission, but also to a used-up quota and of most admission rules.
    fn forbidden(&self, message: String) -> Error {
        if message.contains("exceeded quota") {
            return Error::QuotaExceeded { message };
        }
        if let Some((verb, resource, namespace)) = parse_denial(&message) {
            return Error::Forbidden {
                verb: verb.to_owned(),
                resource: resource.to_owned(),
                namespace: namespace.map(str::to_owned),
            };
        }
        if self.verb == "create" && !message.is_empty() {
            return Error::Refused { message };
        }
        Error::Forbidden {
            verb: self.verb.to_owned(),
            resource: self.resource.to_owned(),
            namespace: self.namespace.map(ToString::to_string),
        }
    }

    fn what(&self, details: Option<&kube::core::response::StatusDetails>) -> String {
        match details {
            Some(details) if !details.kind.is_empty() && !details.name.is_empty() => {
                format!("{} {:?}", details.kind, details.name)
            }
            _ => match self.name {
                Some(name) => format!("{} {name:?}", self.resource),
                None => self.resource.to_owned(),
            },
        }
    }
}

fn or(message: String, otherwise: &str) -> String {
    if message.is_empty() { otherwise.to_owned() } else { message }
}

/// Reads `… cannot <verb> resource "<resource>" in API group "" in the namespace "<namespace>"`.
fn parse_denial(message: &str) -> Option<(&str, &str, Option<&str>)> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let namespace = rest.split_once(" in the namespace \"").and_then(|(_, rest)| rest.split('"').next());
    (!verb.contains(' ')).then_some((verb, resource, namespace))
}

/// The causes of `error` without the client library's own wrapping.
fn cause(error: &kube::Error) -> String {
    match error.source() {
        Some(source) => chain(source),
        None => error.to_string(),
    }
}

/// An error's text and those of its sources, without repetitions.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

/// Whether the version asked for is no longer known to the API server, so that everything must be read anew.
pub(crate) fn is_expired(status: &Status) -> bool {
    status.code == 410 || matches!(status.reason.as_str(), "Expired" | "Gone")
}
