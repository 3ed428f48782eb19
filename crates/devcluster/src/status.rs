//! The `Status` object: how the API says that something failed, and why.
//!
//! Codes, reasons and sentences are those of Kubernetes' `apimachinery/pkg/api/errors`: clients act on `reason` and
//! `code`, and people search the web for the sentences.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::kind::Kind;

/// A failed request.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// The cause in one word, for programs.
    pub reason: &'static str,
    /// The cause in a sentence, for people.
    pub message: String,
    /// What it is about.
    pub details: Option<Details>,
}

/// What a failure is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group; empty for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource or kind of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Identity of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The single things that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One of the things that are wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The cause in one word.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// The cause in a sentence.
    pub message: String,
    /// Path of the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Status {
    /// A failure without details.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    /// The same failure with details.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }

    fn about(self, resource: &str, name: &str) -> Self {
        self.with_details(Details { name: name.into(), kind: resource.into(), ..Details::default() })
    }

    /// 400: the request makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401: no or wrong credentials.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: refused by a rule about this very object.
    #[must_use]
    pub fn forbidden(resource: &str, name: &str, why: impl fmt::Display) -> Self {
        let object = if name.is_empty() {
            format!("{resource} is forbidden")
        } else {
            format!("{resource} \"{name}\" is forbidden")
        };
        Self::new(403, "Forbidden", format!("{object}: {why}")).about(resource, name)
    }

    /// 404: no such object.
    #[must_use]
    pub fn not_found(kind: Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.resource()))
            .about(kind.resource(), name)
    }

    /// 404: no such resource or path.
    #[must_use]
    pub fn unknown_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
            .with_details(Details::default())
    }

    /// 405: the resource knows no such verb.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with_details(Details::default())
    }

    /// 409: an object of that name exists.
    #[must_use]
    pub fn already_exists(kind: Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.resource()))
            .about(kind.resource(), name)
    }

    /// 409: somebody else was faster, or the object isn't the one that was meant.
    #[must_use]
    pub fn conflict(resource: &str, name: &str, why: impl fmt::Display) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
            .about(resource, name)
    }

    /// 409: the object's `resourceVersion` is no longer the one the change was based on.
    #[must_use]
    pub fn modified(kind: Kind, name: &str) -> Self {
        Self::conflict(
            kind.resource(),
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 410: the history that was asked for is gone; list again.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413: the body is larger than the server reads.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
            .with_details(Details::default())
    }

    /// 415: a body of that type isn't understood.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_details(Details::default())
    }

    /// 422: the object is understood but not valid. `kind` is the object's kind, not its resource.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let sentences: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let what = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let details = Details {
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
            causes,
            ..Details::default()
        };
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {what}")).with_details(details)
    }

    /// 500: our own fault.
    #[must_use]
    pub fn internal(error: impl fmt::Display) -> Self {
        let message = error.to_string();
        let cause = Cause { reason: "", message: message.clone(), field: String::new() };
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .with_details(Details { causes: vec![cause], ..Details::default() })
    }

    /// The object sent over the wire.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        });
        if let Some(object) = body.as_object_mut() {
            if !self.reason.is_empty() {
                object.insert("reason".into(), self.reason.into());
            }
            if let Some(details) = &self.details {
                object.insert(
                    "details".into(),
                    serde_json::to_value(details).unwrap_or_else(|_| Map::new().into()),
                );
            }
            object.insert("code".into(), self.code.into());
        }
        body
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}
