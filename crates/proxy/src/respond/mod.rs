//! Error answers: JSON for programs, a small page for people.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use nocrd_model::Code;

mod accept;
pub mod page;

pub use accept::Wants;
use page::Offer;

use crate::Progress;

/// An error as its answer tells it.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// Its stable code, which decides the status.
    pub code: Code,
    /// What happened, for the client; it is escaped as needed.
    pub message: &'a str,
    /// When asking again may help.
    pub retry_after: Option<Duration>,
    /// How far it is, what the answer waits for.
    pub progress: Option<&'a Progress>,
}

/// Makes the answers to failed requests. The proxy itself sees to status-independent matters: no body for `HEAD`, and
/// nothing is stored in caches.
pub trait RenderError: Send + Sync + fmt::Debug + 'static {
    /// The answer to `failure`, in the form the client wants.
    fn render(&self, failure: &Failure<'_>, wants: Wants) -> Response<Bytes>;
}

/// The answers this crate makes by itself: `{"error": reason phrase, "message", "code"}`, or a page without scripts,
/// images or anything else to load.
#[derive(Debug, Clone, Copy, Default)]
pub struct ErrorPages;

impl RenderError for ErrorPages {
    fn render(&self, failure: &Failure<'_>, wants: Wants) -> Response<Bytes> {
        failure.response(wants)
    }
}

impl Failure<'_> {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// `{"error", "message", "code"}`.
    #[must_use]
    pub fn json(&self) -> String {
        let error = self.status().canonical_reason().unwrap_or("Error");
        serde_json::json!({ "error": error, "message": self.message, "code": self.code.id }).to_string()
    }

    /// The whole answer.
    #[must_use]
    pub fn response(&self, wants: Wants) -> Response<Bytes> {
        self.response_with(wants, &Offer::default())
    }

    /// The whole answer; the page for people offers more than the error's code says.
    #[must_use]
    pub fn response_with(&self, wants: Wants, offer: &Offer<'_>) -> Response<Bytes> {
        let (body, content_type) = match wants {
            Wants::Json => (self.json(), "application/json; charset=utf-8"),
            Wants::Html => (page::render(self, offer), "text/html; charset=utf-8"),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(retry_seconds(wait));
            // The page asks again by itself, but only where waiting helps.
            if wants == Wants::Html && offer.ways.is_empty() {
                headers.insert(header::REFRESH, seconds.clone());
            }
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if self.status() == StatusCode::REQUEST_TIMEOUT {
            // RFC 9110, 15.5.9: the rest of the body is not waited for.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Whole seconds, at least one: `Retry-After: 0` invites a loop.
fn retry_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// What of a request decides the form of an error answer; kept aside, because forwarding takes the request apart.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    accept: Option<HeaderValue>,
    head: bool,
}

impl Asker {
    pub(crate) fn of(method: &http::Method, headers: &HeaderMap) -> Self {
        Self { accept: headers.get(header::ACCEPT).cloned(), head: method == http::Method::HEAD }
    }

    /// The form wanted. Several `Accept` headers are rare; the first one decides.
    pub(crate) fn wants(&self) -> Wants {
        self.accept.as_ref().and_then(|accept| accept.to_str().ok()).map_or(Wants::Json, Wants::parse)
    }

    pub(crate) fn is_head(&self) -> bool {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use nocrd_model::error as codes;

    use super::*;

    fn failure(code: Code, message: &str, retry_after: Option<Duration>) -> Failure<'_> {
        Failure { code, message, retry_after, progress: None }
    }

    #[test]
    fn json_for_programs() {
        let answer = failure(codes::ROUTE_NOT_FOUND, "no \"x\"", None).response(Wants::Json);
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(!answer.headers().contains_key("retry-after"));
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body, serde_json::json!({"error": "Not Found", "message": "no \"x\"", "code": "NCR0601"}));
    }

    #[test]
    fn a_page_that_asks_again_for_people() {
        let wait = Some(Duration::from_millis(2500));
        let answer = failure(codes::WORKSPACE_NOT_READY, "<script>&", wait).response(Wants::Html);
        assert_eq!(answer.status(), 503);
        assert_eq!(
            (&answer.headers()["retry-after"], &answer.headers()["refresh"]),
            (&"3".parse().unwrap(), &"3".parse().unwrap())
        );
        let page = std::str::from_utf8(answer.body()).unwrap();
        assert!(page.contains("&lt;script&gt;&amp;") && !page.contains("<script"), "{page}");
        assert!(page.contains(codes::WORKSPACE_NOT_READY.remedy), "{page}");
        assert_eq!(
            failure(codes::DRAINING, "", Some(Duration::ZERO)).response(Wants::Json).headers()["retry-after"],
            "1"
        );
    }

    #[test]
    fn statuses() {
        for (code, status) in
            [(codes::METHOD_NOT_ALLOWED, 405), (codes::REQUEST_TIMEOUT, 408), (codes::UPSTREAM_TIMEOUT, 504)]
        {
            assert_eq!(failure(code, "", None).status(), status);
        }
    }
}
