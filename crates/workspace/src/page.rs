//! The landing page: one document that needs nothing else, so that a strict policy can forbid everything else.

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, header};
use jiff::Timestamp;
use nocrd_model::WorkspaceId;
use sha2::{Digest, Sha256};

use crate::Config;

const TEMPLATE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// Allows the page's own style and script, by their digests, and requests to the workspace. Who may frame the page is
/// not for the workspace to say: dashboards do, from origins it does not know.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

pub(crate) fn response(config: &Config, started: Timestamp) -> Response {
    let mut response = Html(render(config, started)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

fn render(config: &Config, started: Timestamp) -> String {
    let host = config.hostname.as_deref().unwrap_or("unknown");
    let name = config.workspace_id.as_ref().map_or(host, WorkspaceId::as_str);
    let started = started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let value = |mark: &str| match mark {
        "style" => Some(STYLE.to_owned()),
        "script" => Some(SCRIPT.to_owned()),
        "name" => Some(escape(name)),
        "host" => Some(escape(host)),
        "greeting" => Some(escape(&config.echo_text)),
        "started" => Some(escape(&started)),
        "version" => Some(env!("CARGO_PKG_VERSION").to_owned()),
        _ => None,
    };
    fill(TEMPLATE, value)
}

/// Replaces `{{mark}}` by its value in one pass, so that no value is searched for marks.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut page = String::with_capacity(template.len() + STYLE.len() + SCRIPT.len());
    let mut rest = template;
    while let Some((before, from)) = rest.split_once("{{") {
        page.push_str(before);
        let found = from.split_once("}}").and_then(|(mark, after)| Some((value(mark)?, after)));
        let Some((text, after)) = found else {
            page.push_str("{{");
            rest = from;
            continue;
        };
        page.push_str(&text);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Makes a text safe between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(config: &Config) -> String {
        render(config, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_mark_is_filled_and_nothing_comes_from_elsewhere() {
        let page = page(&Config { hostname: Some("ws-w1".into()), ..Config::default() });
        assert!(!page.contains("{{"), "{page}");
        for needle in ["ws-w1", "hello", "1970-01-01T00:00:00Z", env!("CARGO_PKG_VERSION")] {
            assert!(page.contains(needle), "{needle}");
        }
        for (at, _) in page.match_indices("href=\"").chain(page.match_indices("src=\"")) {
            let target = page[at..].split('"').nth(1).unwrap();
            assert!(!target.starts_with('/') && !target.contains("://"), "{target} is not relative");
        }
    }

    #[test]
    fn the_policy_names_what_the_page_holds() {
        let page = page(&Config::default());
        let between = |open: &str, close: &str| {
            page.split_once(open).unwrap().1.split_once(close).unwrap().0.to_owned()
        };
        let policy = POLICY.to_str().unwrap();
        for text in [between("<style>", "</style>"), between("<script>", "</script>")] {
            assert!(policy.contains(&STANDARD.encode(Sha256::digest(text.as_bytes()))), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        let attributes =
            page.split('<').filter_map(|tag| tag.split_once('>')).flat_map(|(tag, _)| tag.split(' '));
        for attribute in attributes.filter(|a| a.contains('=')) {
            assert!(!attribute.starts_with("on") && !attribute.starts_with("style"), "{attribute}");
        }
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in "[ -~<>&\"'{}]{0,40}") {
            let with = |text: &str| {
                page(&Config { echo_text: text.to_owned(), hostname: Some(text.to_owned()), ..Config::default() })
            };
            let (plain, odd) = (with("x"), with(&text));
            prop_assert_eq!(odd.matches('<').count(), plain.matches('<').count());
            prop_assert_eq!(odd.matches('"').count(), plain.matches('"').count());
        }
    }
}
