//! The page at the server's root, until there is a dashboard: what this is, how to use it, and who is signed in.

use std::sync::Arc;

use ::http::{HeaderValue, header, uri::Authority};
use axum::{
    extract::State,
    response::{Html, IntoResponse, Response},
};
use nocrd_config::Settings;
use nocrd_model::Caller;
use nocrd_proxy_core::page::escaped;

use crate::{
    Urls,
    auth::{Door, Sender, Visitor, set_cookies},
};

const TEMPLATE: &str = include_str!("landing.html");
/// What MCP clients show that can show pages: without scripts, and without anything about who looks at it.
const APP: &str = include_str!("app.html");
/// The page loads nothing; its style is allowed by its digest, which is that of the text between the style tags.
const POLICY: &str = "default-src 'none'; style-src 'sha256-sZKj51bgPahPd9CRboaGx9oV0cbD5X5lNPCiH5XIHk8='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page tells.
pub(crate) struct Page {
    values: Vec<(&'static str, String)>,
    /// Where clients reach the server; `None` when only their requests tell.
    url: Option<String>,
    scheme: &'static str,
    base: String,
    /// Who asks is of interest where callers are asked who they are.
    door: Option<Arc<Door>>,
}

/// How MCP clients get a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// They need none.
    None,
    /// They learn from the server where to get one.
    Found,
    /// They are given one.
    Given,
}

/// Who looks at the page.
enum Viewer<'a> {
    /// Nobody in particular. Where they can sign in, at this address.
    Nobody(Option<String>),
    /// Somebody who has signed in, and where they sign out.
    Somebody(&'a Caller, String),
}

impl Tokens {
    fn of(door: Option<&Arc<Door>>) -> Self {
        match door {
            None => Self::None,
            Some(door) if door.leads_clients() => Self::Found,
            Some(_) => Self::Given,
        }
    }

    /// What stands before the configuration, in it, and after it.
    fn texts(self) -> [(&'static str, String); 3] {
        const HEADERS: &str = ",\n      \"headers\": { \"Authorization\": \"Bearer TOKEN\" }";
        let (before, headers, after) = match self {
            Self::None => ("Most clients take this configuration:", "", ""),
            Self::Found => (
                "Most clients take this configuration, and then ask you to sign in:",
                "",
                "<p>A client that can't do that takes a token beside the URL: <code>\"headers\": { \"Authorization\": \
                 \"Bearer TOKEN\" }</code></p>\n",
            ),
            Self::Given => ("Most clients take this configuration, with your token for TOKEN:", HEADERS, ""),
        };
        [("{{before}}", before), ("{{headers}}", headers), ("{{after}}", after)]
            .map(|(name, text)| (name, text.to_owned()))
    }
}

impl Viewer<'_> {
    fn account(&self) -> String {
        match self {
            Self::Nobody(None) => String::new(),
            Self::Nobody(Some(login)) => {
                format!(
                    "<p class=\"account\"><a class=\"main\" href=\"{}\">Sign in</a></p>\n",
                    escaped(login)
                )
            }
            Self::Somebody(caller, logout) => format!(
                "<p class=\"account\"><span>Signed in as <strong>{}</strong> ({})</span> <a href=\"{}\">Sign out</a></p>\n",
                escaped(caller.subject.as_str()),
                caller.role.as_str(),
                escaped(logout)
            ),
        }
    }
}

impl Page {
    pub(crate) fn new(settings: &Settings, urls: &Urls, door: Option<Arc<Door>>) -> Self {
        let values = [
            ("{{base}}", escaped(&settings.base_url)),
            ("{{repository}}", escaped(env!("CARGO_PKG_REPOSITORY"))),
        ];
        let values = names(settings).into_iter().chain(values);
        Self {
            values: values.chain(Tokens::of(door.as_ref()).texts()).collect(),
            url: urls.users().contains("://").then(|| urls.users().to_owned()),
            scheme: if settings.tls_cert.is_some() { "https" } else { "http" },
            base: settings.base_url.clone(),
            door,
        }
    }

    /// The page for whoever asked `host` for it.
    fn render(&self, host: &str, viewer: &Viewer<'_>) -> String {
        let asked = || format!("{}://{host}{}", self.scheme, self.base);
        let url = ("{{url}}", escaped(&self.url.clone().unwrap_or_else(asked)));
        let account = ("{{account}}", viewer.account());
        fill_in(TEMPLATE, &[&self.values[..], &[url, account]].concat())
    }
}

/// What pages tell of the server itself.
fn names(settings: &Settings) -> [(&'static str, String); 3] {
    [
        ("{{title}}", escaped(&settings.ui_title)),
        ("{{subtitle}}", escaped(&settings.ui_subtitle)),
        ("{{version}}", escaped(env!("CARGO_PKG_VERSION"))),
    ]
}

/// The page that MCP clients with MCP Apps show.
pub(crate) fn app(settings: &Settings) -> String {
    fill_in(APP, &names(settings))
}

pub(crate) async fn page(State(page): State<Arc<Page>>, sender: Sender) -> Response {
    // It was checked, and is one of ours.
    let host = sender.uri.authority().map(Authority::as_str);
    let host = host.or_else(|| sender.headers.get(header::HOST)?.to_str().ok()).unwrap_or("localhost");
    if let Some(door) = &page.door {
        let target = sender.uri.path_and_query();
        if let Some(answer) = door.followed_link(sender.request(), target, Some(sender.visit())).await {
            return answer.map(axum::body::Body::from);
        }
    }
    let visitor = match &page.door {
        Some(door) => door.visitor(&sender).await,
        None => Visitor::default(),
    };
    let viewer = match (&visitor.caller, &page.door) {
        (Some(caller), Some(door)) => Viewer::Somebody(caller, door.sign_out_at()),
        (_, door) => Viewer::Nobody(door.as_ref().and_then(|door| door.sign_in_at(None))),
    };
    // What names somebody is for nobody else, and neither is it for the same browser after they have signed out.
    let cache = if page.door.is_some() { "no-store" } else { "no-cache" };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    let mut answer = (headers, Html(page.render(host, &viewer))).into_response();
    set_cookies(answer.headers_mut(), &visitor.cookies);
    answer
}

/// Replaces names in one pass, so that a value which looks like a name stays what it is.
pub(crate) fn fill_in(template: &str, values: &[(&str, String)]) -> String {
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
        Page::new(&settings, &urls, None).render("10.0.0.7:3000", &Viewer::Nobody(None))
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

    #[test]
    fn the_app_is_a_plain_page() {
        let env = std::collections::BTreeMap::from([("UI_TITLE".to_owned(), "<script>".to_owned())]);
        let app = app(&Settings::from_env(&env).unwrap());
        assert!(app.contains("<h1>&lt;script&gt;</h1>") && !app.contains("<script"), "{app}");
        assert!(!app.contains("{{") && !app.contains("://"), "{app}");
    }

    #[test]
    fn who_is_signed_in_can_not_inject_markup() {
        let caller = Caller::verified("<script>&\"".into(), nocrd_model::Role::User);
        let account = Viewer::Somebody(&caller, "/gw/logout".to_owned()).account();
        assert!(account.contains("<strong>&lt;script&gt;&amp;&quot;</strong> (user)"), "{account}");
        assert!(account.contains("href=\"/gw/logout\""), "{account}");
        assert!(Viewer::Nobody(Some("/auth/login".to_owned())).account().contains("Sign in"));
        assert_eq!(Viewer::Nobody(None).account(), "");
    }

    #[test]
    fn clients_that_find_no_tokens_are_given_one() {
        let texts = |tokens: Tokens| tokens.texts().map(|(_, text)| text).concat();
        assert!(!texts(Tokens::None).contains("TOKEN"));
        assert!(texts(Tokens::Given).contains("\"headers\": { \"Authorization\": \"Bearer TOKEN\" }"));
        assert!(texts(Tokens::Found).contains("ask you to sign in"));
    }
}
