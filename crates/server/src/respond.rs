//! Error answers: the only place where the server turns a code into an HTTP answer. Their form is that of the proxy's, so
//! that a client can't tell, and need not know, who answered.

use ::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::{Json, body::Body, response::IntoResponse};
use nocrd_model::{Code, error as codes};
use nocrd_proxy_core::{Failure, Wants};
use serde::Serialize;

/// What the sender of a request with these headers wants to read.
pub(crate) fn wanted(headers: &HeaderMap) -> Wants {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.map_or(Wants::Json, Wants::parse)
}

/// An answer in JSON that nobody stores.
pub(crate) fn fresh(status: StatusCode, body: impl Serialize) -> Response<Body> {
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, no_store, Json(body)).into_response()
}

/// The answer to a request with these headers that failed with `code`.
pub(crate) fn failure(headers: &HeaderMap, code: Code, message: &str) -> Response<Body> {
    Failure { code, message, retry_after: None, progress: None }.response(wanted(headers)).map(Body::from)
}

/// Nothing is served at the path.
pub(crate) async fn not_found(headers: HeaderMap) -> Response<Body> {
    failure(&headers, codes::ROUTE_NOT_FOUND, "nothing is served at this path")
}

/// The path is served, but not with this method. axum adds the `Allow` header.
pub(crate) async fn method_not_allowed(headers: HeaderMap) -> Response<Body> {
    failure(&headers, codes::METHOD_NOT_ALLOWED, "this path does not support the method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        let mut headers = HeaderMap::new();
        let answer = failure(&headers, codes::HOST_NOT_ALLOWED, "no");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (403, "application/json; charset=utf-8")
        );
        headers.insert(header::ACCEPT, "text/html,*/*;q=0.8".parse().unwrap());
        let answer = failure(&headers, codes::ROUTE_NOT_FOUND, "no");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (404, "text/html; charset=utf-8")
        );
    }
}
