//! Pages that ask before something is done for somebody who came by a link.

use ::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};
use nocrd_proxy_core::page::{STYLE_SOURCE, framed};

use crate::auth::Refusal;

/// The page with this heading, whose form is the question. Nothing is loaded and nobody may frame it. Where its form leads is
/// not limited: from here the browser may go on to the identity provider.
pub(super) fn ask(title: &str, question: &str) -> Response {
    let policy =
        format!("default-src 'none'; style-src {STYLE_SOURCE}; base-uri 'none'; frame-ancestors 'none'");
    let Ok(policy) = HeaderValue::from_str(&policy) else {
        return Refusal::broken().response(&HeaderMap::new());
    };
    let fields = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (fields, Html(framed(title, question))).into_response()
}
