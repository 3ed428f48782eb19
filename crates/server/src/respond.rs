//! Error answers: the only place where the server turns a code into an HTTP answer. Their form is that of the proxy's, so
//! that a client can't tell, and need not know, who answered.

use ::http::{HeaderMap, Response, header};
use axum::body::Body;
use nocrd_model::{Code, error as codes};
use nocrd_proxy_core::{Failure, Wants};

/// The answer to a request with these headers that failed with `code`.
pub(crate) fn failure(headers: &HeaderMap, code: Code, message: &str) -> Response<Body> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let wants = accept.map_or(Wants::Json, Wants::parse);
    Failure { code, message, retry_after: None }.response(wants).map(Body::from)
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
