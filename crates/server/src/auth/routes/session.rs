//! Who the caller is.

use std::sync::Arc;

use ::http::StatusCode;
use axum::{Extension, extract::State, response::Response};
use nocrd_authz::authenticator::{Authenticated, Via};
use nocrd_model::Role;
use serde::Serialize;

use crate::{auth::Door, respond};

/// What a page may know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    sub: &'a str,
    role: Role,
    roles: Vec<&'a str>,
    /// `null`: the token carries no scopes, so that the role alone decides.
    scopes: Option<Vec<&'a str>>,
    /// Scopes without which the roles are worth less than they say; not there when none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_scopes: Vec<&'a str>,
    /// By what the caller was recognised.
    via: &'static str,
    /// When the session ends unless it is used, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// When it ends in any case, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<i64>,
}

/// `GET /auth/session`.
pub(crate) async fn session(
    State(door): State<Arc<Door>>,
    Extension(authenticated): Extension<Arc<Authenticated>>,
) -> Response {
    let caller = &authenticated.caller;
    let session = authenticated.session.as_ref();
    let body = Session {
        sub: caller.subject.as_str(),
        role: caller.role,
        roles: caller.grants.roles.iter().map(String::as_str).collect(),
        scopes: caller.grants.scopes.as_ref().map(|scopes| scopes.iter().map(String::as_str).collect()),
        missing_scopes: door.policy.missing_scopes(caller),
        via: match authenticated.via {
            Via::Bearer => "bearer",
            Via::Session => "session",
            Via::Refresh => "refresh",
        },
        expires_at: session.map(|session| session.expires.as_secs()),
        ends_at: session.map(|session| session.latest.as_secs()),
    };
    respond::fresh(StatusCode::OK, body)
}
