//! The page at the server's root, until there is a dashboard: what this is, and how to use it.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};
use axum::{
    extract::State,
    response::{Html, IntoResponse, Response},
};
use nocrd_config::Settings;

use crate::Urls;

const TEMPLATE: &str = include_str!("landing.html");
/// The page loads nothing; its style is allowed by its digest, which is that of the text between the style tags.
const POLICY: &str = "default-src 'none'; style-src 'sha256-i6l7+evDadMgjvvTcXDBwqC9pTo1pbwSPgKmyj6QOFI='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page tells.
#[derive(Debug)]
pub(crate) struct Page {
    values: Vec<(&'static str, String)>,
    /// Where clients reach the server; `None` when only their requests tell.
    url: Option<String>,
    scheme: &'static str,
    base: String,
}

impl Page {
    pub(crate) fn new(settings: &Settings, urls: &Urls) -> Self {
        let values = vec![
            ("{{title}}", escape(&settings.ui_title)),
            ("{{subtitle}}", escape(&settings.ui_subtitle)),
            ("{{version}}", escape(env!("CARGO_PKG_VERSION"))),
            ("{{base}}", escape(&settings.base_url)),
            ("{{repository}}", escape(env!("CARGO_PKG_REPOSITORY"))),
        ];
        Self {
            values,
            url: urls.users().contains("://").then(|| urls.users().to_owned()),
            scheme: if settings.tls_cert.is_some() { "https" } else { "http" },
            base: settings.base_url.clone(),
        }
    }

    /// The page for whoever asked `host` for it.
    fn render(&self, host: &str) -> String {
        let asked = || format!("{}://{host}{}", self.scheme, self.base);
        let url = ("{{url}}", escape(&self.url.clone().unwrap_or_else(asked)));
        fill_in(TEMPLATE, &[&self.values[..], &[url]].concat())
    }
}

pub(crate) async fn page(State(page): State<Arc<Page>>, uri: Uri, headers: HeaderMap) -> Response {
    // It was checked, and is one of ours.
    let host = uri.authority().map(Authority::as_str);
    let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or("localhost");
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Html(page.render(host))).into_response()
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

    fn page(env: &[(&str, &str)], address: &str) -> String {
        let env: std::collections::BTreeMap<_, _> =
            env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let settings = Settings::from_env(&env).unwrap();
        let urls = Urls::new(&settings, address.parse().unwrap(), false);
        Page::new(&settings, &urls).render("10.0.0.7:3000")
    }

    #[test]
    fn settings_can_not_inject_markup() {
        let page = page(&[("UI_TITLE", "<script>{{version}}</script>")], "127.0.0.1:3000");
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
    fn the_url_is_the_one_users_know() {
        assert!(page(&[("BASE_URL", "/gw")], "0.0.0.0:3000").contains("http://10.0.0.7:3000/gw/mcp"));
        assert!(
            page(&[("PUBLIC_URL", "https://a.example")], "0.0.0.0:3000").contains("https://a.example/mcp")
        );
    }

    #[test]
    fn every_name_in_the_page_is_known() {
        let page = page(&[], "127.0.0.1:3000");
        assert!(!page.contains("{{"), "{page}");
    }
}
