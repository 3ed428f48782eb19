//! Answers to requests that go no further than the transport.

use ::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::http::Body;

/// JSON-RPC 2.0: not JSON.
pub(super) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0: JSON, but no request.
pub(super) const INVALID_REQUEST: i32 = -32600;
/// Of those that JSON-RPC leaves to servers: not now.
const BUSY: i32 = -32000;
/// Likewise: not with this token.
const FORBIDDEN: i32 = -32003;
/// Likewise: what the official servers answer to an unknown session.
const SESSION_NOT_FOUND: i32 = -32001;

/// Why a request goes no further.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) code: i32,
    pub(super) message: String,
    /// `WWW-Authenticate`.
    challenge: Option<HeaderValue>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), challenge: None }
    }

    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, BUSY, message)
    }

    pub(super) fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, BUSY, message)
    }

    /// A token with another scope would do.
    pub(super) fn insufficient_scope(message: impl Into<String>, challenge: HeaderValue) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::FORBIDDEN, FORBIDDEN, message) }
    }

    pub(super) fn no_such_session() -> Self {
        let message = "session not found: begin a new one with initialize";
        Self::new(StatusCode::NOT_FOUND, SESSION_NOT_FOUND, message)
    }

    pub(super) fn not_a_message() -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, "not a JSON-RPC 2.0 message of this protocol")
    }

    /// The answer to the request with that id.
    pub(super) fn into_response(self, id: Option<Value>) -> Response<Body> {
        let error =
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": self.code, "message": self.message}});
        let mut response = Response::new(Full::new(Bytes::from(error.to_string())).boxed());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
