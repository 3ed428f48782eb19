//! Ways to fail.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header::LOCATION},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Shared;

/// Part of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The metadata.
    Discovery,
    /// The key set.
    Jwks,
    /// Where users sign in.
    Authorization,
    /// Where codes and refresh tokens are exchanged.
    Token,
    /// Where tokens are asked about.
    Introspection,
    /// Where tokens are revoked.
    Revocation,
    /// Where users sign out.
    EndSession,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Discovery,
        Self::Jwks,
        Self::Authorization,
        Self::Token,
        Self::Introspection,
        Self::Revocation,
        Self::EndSession,
    ];

    pub(super) fn of_path(path: &str) -> Option<Self> {
        Some(match path {
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                Self::Discovery
            }
            "/jwks" => Self::Jwks,
            "/authorize" => Self::Authorization,
            "/token" => Self::Token,
            "/introspect" => Self::Introspection,
            "/revoke" => Self::Revocation,
            "/end-session" => Self::EndSession,
            _ => return None,
        })
    }
}

/// A way to fail.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Connections are closed without an answer.
    Down,
    /// Answers come that late.
    Slow(Duration),
    /// Answers begin at once, with the headers of a JSON document, and never end.
    Stalled,
    /// A status, and a page that is no JSON.
    Status(u16),
    /// Some other answer.
    Answer(u16, Value),
    /// A JSON document of about so many bytes.
    Huge(usize),
    /// A redirect to somewhere else.
    Redirect(String),
    /// Names this issuer instead of its own: discovery in the document, authorization in `iss`, the token endpoint in
    /// tokens.
    WrongIssuer(String),
    /// Other keys: the key set has them under the right ids, the token endpoint signs with them.
    WrongKeys,
}

/// Lets a request meet the fault of its endpoint.
pub(super) async fn meet(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let fault = {
        let mut state = shared.state();
        state.counts.requests += 1;
        Endpoint::of_path(request.uri().path()).and_then(|endpoint| state.faults.get(&endpoint).cloned())
    };
    match fault {
        None | Some(Fault::WrongIssuer(_) | Fault::WrongKeys) => next.run(request).await,
        Some(Fault::Down) => {
            // The connection ends before anything is written.
            let broken = futures::stream::once(async { Err::<Vec<u8>, _>(io::Error::other("down")) });
            Body::from_stream(broken).into_response()
        }
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Some(Fault::Stalled) => {
            let first = futures::stream::once(async { Ok::<_, Infallible>(b"{".to_vec()) });
            let body = Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()));
            ([("content-type", "application/json")], body).into_response()
        }
        Some(Fault::Status(status)) => (self::status(status), "<h1>No</h1>").into_response(),
        Some(Fault::Answer(status, body)) => (self::status(status), axum::Json(body)).into_response(),
        Some(Fault::Huge(bytes)) => axum::Json(json!({ "padding": "x".repeat(bytes) })).into_response(),
        Some(Fault::Redirect(target)) => (StatusCode::FOUND, [(LOCATION, target)]).into_response(),
    }
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap()
}
