//! Writing answers.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::{object, status::Status};

/// Answers with JSON.
pub(super) fn json(code: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_type(code, "application/json", bytes),
        Err(error) => {
            with_type(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", error.to_string())
        }
    }
}

/// Answers with a body of a given type.
pub(super) fn with_type(code: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Answers with a failure.
pub(super) fn failure(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, &status.to_value());
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Adds warnings to an answer (RFC 7234, code 299).
pub(super) fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let quoted = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_str(&quoted) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// An object with its kind and version, which are not stored.
pub(super) struct Typed<'a> {
    pub(super) kind: &'a str,
    pub(super) api_version: &'a str,
    pub(super) object: &'a Value,
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.kind)?;
        map.serialize_entry("apiVersion", self.api_version)?;
        for (name, value) in self.object.as_object().into_iter().flatten() {
            if name != "kind" && name != "apiVersion" {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// An object of the core group.
pub(super) fn core<'a>(kind: &'a str, object: &'a Value) -> Typed<'a> {
    Typed { kind, api_version: "v1", object }
}

/// The metadata of an object, as an object of its own.
pub(super) struct MetadataOnly<'a>(pub(super) &'a Value);

impl Serialize for MetadataOnly<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("kind", "PartialObjectMetadata")?;
        map.serialize_entry("apiVersion", "meta.k8s.io/v1")?;
        map.serialize_entry("metadata", self.0.get("metadata").unwrap_or(&Value::Null))?;
        map.end()
    }
}

/// Metadata of a list.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    /// Where the next page begins.
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    pub(super) next: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remaining_item_count: Option<usize>,
}

/// A list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<'a, T: Serialize> {
    pub(super) kind: String,
    pub(super) api_version: &'static str,
    pub(super) metadata: &'a ListMeta,
    pub(super) items: Vec<T>,
}

/// Items of a list, which carry neither kind nor version.
pub(super) struct Bare<'a>(pub(super) &'a Arc<Value>);

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.as_object().into_iter().flatten() {
            if name != "kind" && name != "apiVersion" {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// The answer to a deletion that left nothing to show.
pub(super) fn deleted(resource: &str, object: &Value) -> Value {
    serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": { "name": object::name(object), "kind": resource, "uid": object::uid(object) },
    })
}
