//! Who may talk to the listener: whoever has the token, and says so to an address of this machine.
//!
//! Programs of other users of the machine can reach a loopback port, and so can web pages in its browsers: the former
//! lack the token, and the latter the name (their `Host` is that of a site).

use std::{fmt, net::IpAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::status::Status;

/// A bearer token of 256 random bits. It is shown by [`Token::reveal`] only.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A new token.
    #[must_use]
    pub fn generate() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// The token with this text.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The token's text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that tells nothing of either text, not even its length.
    fn is(&self, text: &str) -> bool {
        Sha256::digest(self.0.as_bytes()).ct_eq(&Sha256::digest(text.as_bytes())).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Refuses requests to `router` that don't carry `token`, except those for its health, and all that aren't addressed
/// to this machine.
pub fn require_token(router: Router, token: Token) -> Router {
    router.layer(from_fn_with_state(token, check))
}

async fn check(State(token): State<Token>, request: Request, next: Next) -> Response {
    if !addresses_this_machine(&request) {
        let status = Status::new(403, "Forbidden", "the request's Host is not an address of this machine");
        return failure(&status);
    }
    let path = request.uri().path();
    let health = matches!(path, "/healthz" | "/livez" | "/readyz");
    if health || bearer(&request).is_some_and(|text| token.is(text)) {
        next.run(request).await
    } else {
        failure(&Status::unauthorized())
    }
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, text) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// The host is in the `Host` header, or with HTTP/2 in the URI.
fn addresses_this_machine(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str)) else {
        return false;
    };
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn failure(status: &Status) -> Response {
    let mut response = Response::new(Body::from(status.to_value().to_string()));
    *response.status_mut() = StatusCode::from_u16(status.code).unwrap_or(StatusCode::FORBIDDEN);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    async fn status(host: &str, path: &str, authorization: Option<&str>) -> u16 {
        let token = Token("secret".into());
        let router = require_token(Router::new().fallback(|| async { "in" }), token);
        let mut request = Request::builder().uri(path).header("host", host);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Body::empty()).expect("a request");
        router.oneshot(request).await.expect("an answer").status().as_u16()
    }

    #[tokio::test]
    async fn only_the_token_lets_in() {
        assert_eq!(status("localhost:1", "/api", Some("Bearer secret")).await, 200);
        assert_eq!(status("localhost:1", "/api", Some("bearer secret")).await, 200);
        for wrong in [
            None,
            Some("Bearer secre"),
            Some("Bearer secret2"),
            Some("Basic secret"),
            Some("secret"),
            Some("Bearer "),
        ] {
            assert_eq!(status("localhost:1", "/version", wrong).await, 401, "{wrong:?}");
        }
        assert_eq!(status("localhost", "/healthz", None).await, 200);
        assert_eq!(status("localhost", "/healthz/../api", None).await, 401);
    }

    #[tokio::test]
    async fn requests_for_other_hosts_are_refused() {
        for host in ["127.0.0.1", "127.9.9.9:6443", "[::1]:6443", "LOCALHOST"] {
            assert_eq!(status(host, "/readyz", None).await, 200, "{host}");
        }
        for host in
            ["example.com", "localhost.example.com", "10.0.0.1", "127.0.0.1.example.com:80", "a@b c", ""]
        {
            assert_eq!(status(host, "/readyz", Some("Bearer secret")).await, 403, "{host}");
        }
    }

    #[test]
    fn tokens_are_long_different_and_not_shown() {
        let (a, b) = (Token::generate(), Token::generate());
        assert_eq!(a.reveal().len(), 43);
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!(format!("{a:?}"), "Token(…)");
    }
}
