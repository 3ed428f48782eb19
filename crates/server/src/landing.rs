//! The page at the server's root, until there is a dashboard: what this is, and how to use it.

use std::sync::Arc;

use ::http::{HeaderValue, header};
use axum::{
    extract::State,
    response::{Html, IntoResponse, Response},
};
use nocrd_config::Settings;

const TEMPLATE: &str = include_str!("landing.html");
/// The page loads nothing; its style is allowed by its digest, which is that of the text between the style tags.
const POLICY: &str = "default-src 'none'; style-src 'sha256-i6l7+evDadMgjvvTcXDBwqC9pTo1pbwSPgKmyj6QOFI='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, ready to be sent.
#[derive(Debug)]
pub(crate) struct Page(String);

impl Page {
    /// `url` is where clients reach this server, with the path prefix.
    pub(crate) fn new(settings: &Settings, url: &str) -> Self {
        let values = [
            ("{{title}}", escape(&settings.ui_title)),
            ("{{subtitle}}", escape(&settings.ui_subtitle)),
            ("{{version}}", escape(env!("CARGO_PKG_VERSION"))),
            ("{{url}}", escape(url)),
            ("{{base}}", escape(&settings.base_url)),
            ("{{repository}}", escape(env!("CARGO_PKG_REPOSITORY"))),
        ];
        Self(fill_in(TEMPLATE, &values))
    }
}

pub(crate) async fn page(State(page): State<Arc<Page>>) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Html(page.0.clone())).into_response()
}

/// Replaces names in one pass, so that a value which looks like a name stays what it is.
fn fill_in(template: &str, values: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        match values.iter().find_map(|(name, value)| Some((from.strip_prefix(name)?, value))) {
            Some((after, value)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = from.get(2..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_the_style_that_is_sent() {
        let style = TEMPLATE.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let digest = BASE64_STANDARD.encode(Sha256::digest(style.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{digest}'")), "{digest}");
    }

    #[test]
    fn settings_can_not_inject_markup() {
        let env = [("UI_TITLE", "<script>{{version}}</script>")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let settings = Settings::from_env(&std::collections::BTreeMap::from(env)).unwrap();
        let page = Page::new(&settings, "http://127.0.0.1:3000").0;
        assert!(
            page.contains("&lt;script&gt;{{version}}&lt;/script&gt;") && !page.contains("<script"),
            "{page}"
        );
        assert!(
            page.contains(env!("CARGO_PKG_VERSION")) && page.contains("http://127.0.0.1:3000/mcp"),
            "{page}"
        );
    }

    #[test]
    fn every_name_in_the_page_is_known() {
        let settings = Settings::from_env(&std::collections::BTreeMap::new()).unwrap();
        let page = Page::new(&settings, "u").0;
        assert!(!page.contains("{{"), "{page}");
    }
}
