//! The server as an OAuth protected resource (RFC 9728): where clients learn which authorization server to ask.

use std::sync::Arc;

use ::http::{HeaderValue, header};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use nocrd_authz::{challenge::ResourceMetadata, return_to::Site};

use super::{Door, sender::Sender};

/// The path of the document, before what it is about.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The document about the endpoint at this path below the prefix.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) door: Arc<Door>,
    /// Empty, or `/mcp`.
    pub(crate) endpoint: &'static str,
}

/// Where the document about `endpoint` is. Below the path prefix, and not before it as the standard would have it: what
/// stands in front of us may pass on nothing else. The standard's place is served too.
pub(super) fn url(site: &Site, endpoint: &str) -> String {
    format!("{}{}{WELL_KNOWN}{endpoint}", site.origin, site.base)
}

/// Answers with the document.
pub(crate) async fn document(State(About { door, endpoint }): State<About>, sender: Sender) -> Response {
    let site = door.seen(sender.request());
    let metadata = ResourceMetadata {
        resource: format!("{}{}{endpoint}", site.origin, site.base),
        authorization_servers: door.issuer().await.into_iter().collect(),
        scopes_supported: door.all_scopes.clone(),
        bearer_methods_supported: vec!["header"],
        resource_name: Some(door.name.clone()),
    };
    // Without PUBLIC_URL it says what the request says of our address, which is for nobody else.
    let cache = if door.site.public_url().is_some() { "max-age=60" } else { "no-store" };
    let fields = [
        // It is public, and clients that run in a browser read it before they have anything to be trusted with.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::VARY, HeaderValue::from_static("host")),
    ];
    (fields, Json(metadata)).into_response()
}

/// Answers the question whether a page elsewhere may read the document with the headers of its protocol: it may.
pub(crate) async fn preflight() -> Response {
    let fields = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
    ];
    (::http::StatusCode::NO_CONTENT, fields).into_response()
}
