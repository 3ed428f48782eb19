//! People who sign in with a browser at a certified OpenID provider.

use std::{
    thread,
    time::{Duration, Instant},
};

use nocrd_model::keys;
use serde_json::{Value, json};

use super::{
    browser::Browser,
    front::Front,
    provider::Provider,
    server::{Server, call},
    visitor::Visitor,
};
use crate::dev::PATIENCE;

const TEMPLATE: &str = "default-agent-workspace";
/// How long the provider's tokens are good, and how far clocks may be apart.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30);

/// A provider, and a server that sends to it, behind an address that both know.
pub(super) struct Site {
    pub(super) provider: Provider,
    front: Front,
    pub(super) server: Server,
}

impl Site {
    pub(super) fn open(more: &[(&str, &str)]) -> Self {
        let front = Front::open();
        let provider = Provider::start(front.origin());
        let mut env = provider.env();
        for (name, value) in more {
            env = env.with(name, value);
        }
        let server = Server::start(&env);
        front.to(server.base());
        Self { provider, front, server }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.front.origin())
    }

    /// Signs in with a browser that nobody has used before.
    pub(super) fn sign_in(&self, name: &str) -> Browser {
        let mut browser = Browser::open();
        assert_eq!(browser.go(&self.url("/auth/login?redirect_uri=%2Fpermissions")), 200);
        assert!(browser.address().starts_with(self.provider.issuer()), "{}", browser.address());
        browser.fill("Name", name);
        browser.fill("Password", name);
        browser.press("Sign in", &self.url("/permissions"));
        browser.go(&self.url("/auth/session"));
        let session: Value = serde_json::from_str(&browser.text()).unwrap();
        assert_eq!((&session["sub"], &session["role"]), (&json!(name), &json!("user")), "{session}");
        browser
    }
}

/// The structured result of a tool, called by a script of the page.
fn tool(browser: &mut Browser, name: &str, arguments: Value) -> Value {
    let body = call(name, arguments).to_string();
    let expression = format!(
        "fetch('/mcp', {{ method: 'POST', body: {}, headers: {{ 'content-type': 'application/json', \
         accept: 'application/json, text/event-stream' }} }}).then(async (answer) => \
         answer.ok ? (await answer.json()).result.structuredContent : {{ status: answer.status, text: await answer.text() }})",
        json!(body)
    );
    browser.evaluate(&expression)
}

/// The status of what a script of the page asks for.
fn status(browser: &mut Browser, path: &str) -> Value {
    browser.evaluate(&format!("fetch({}).then((answer) => answer.status)", json!(path)))
}

#[test]
fn two_people_sign_in_and_keep_to_themselves() {
    let site = Site::open(&[]);
    let mut alice = site.sign_in("alice");

    // Where the browser keeps the session, no script can read it; what the way there needed is gone.
    let cookies = alice.cookies(&site.url("/auth/callback"));
    let named = |name: &str| cookies.iter().find(|cookie| cookie["name"] == name);
    for name in ["nocr_sess", "nocr_refresh"] {
        let cookie = named(name).unwrap_or_else(|| panic!("no {name} in {cookies:?}"));
        assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Lax")), "t13 {cookie}");
        assert_eq!(cookie["path"], "/", "t13 {cookie}");
    }
    let left: Vec<_> =
        cookies.iter().filter(|cookie| cookie["name"].as_str().unwrap().starts_with("nocr_login")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(alice.evaluate("document.cookie"), "");

    let spawned =
        tool(&mut alice, "spawn_workspace", json!({ "id": "w1", "templateRef": TEMPLATE, "wait": true }));
    assert_eq!(spawned["status"], "running", "{spawned}");
    assert_eq!(alice.go(&site.url("/route/w1/")), 200);

    // For somebody else there is no such workspace, whatever is asked.
    let mut bob = site.sign_in("bob");
    assert_eq!(bob.go(&site.url("/route/w1/")), 404);
    assert_eq!(bob.go(&site.url("/route/no-such-workspace/")), 404);
    bob.go(&site.url("/auth/session"));
    for (name, arguments) in [
        ("get_workspace", json!({ "id": "w1" })),
        ("get_workspace_events", json!({ "id": "w1" })),
        ("stop_workspace", json!({ "id": "w1" })),
    ] {
        let refused = tool(&mut bob, name, arguments);
        assert_eq!(refused["error"]["code"], 404, "t50 {name}: {refused}");
    }
    assert_eq!(tool(&mut bob, "list_workspaces", json!({}))["workspaces"], json!([]));
    assert_eq!(alice.go(&site.url("/route/w1/")), 200);
    site.server.stop();
}

#[test]
fn a_link_with_a_token_asks_and_leads_into_a_workspace_that_starts() {
    let site = Site::open(&[]);
    let mut alice = site.sign_in("alice");
    let port = json!({ "name": "PORT", "value": "5678" });
    let pod_ip = json!({ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } });
    let spec = json!({
        "initContainers": [{ "name": "wait", "image": "busybox", "command": ["sleep", "5"] }],
        "containers": [{ "name": "agent", "image": nocrd_model::DEFAULT_WORKSPACE_IMAGE, "env": [pod_ip, port] }],
    });
    let annotations = json!({ keys::WORKSPACE_PORT: "5678", keys::WORKSPACE_AUTH_MODE: "token-api" });
    let arguments = json!({ "id": "w1", "spec": spec, "annotations": annotations });
    let spawned = tool(&mut alice, "spawn_workspace", arguments);
    assert!(spawned["error"].is_null(), "{spawned}");
    let token =
        alice.evaluate("fetch('/route/w1/_auth/token').then((answer) => answer.json())")["token"].clone();

    let mut elsewhere = Browser::open();
    let link = site.url(&format!("/route/w1/?tab=files&token={}", token.as_str().unwrap()));
    assert_eq!(elsewhere.go(&link), 200);
    let (address, text) = (elsewhere.address(), elsewhere.text());
    assert!(address.starts_with(&site.url("/auth/link?")), "t08 {address}");
    assert!(text.contains("alice") && text.contains("/route/w1/?tab=files"), "{text}");
    elsewhere.press("Go on as alice", "/route/w1/");
    assert_eq!(elsewhere.address(), site.url("/route/w1/?tab=files"), "d18");
    let text = elsewhere.text();
    assert!(text.contains("The workspace is starting") && text.contains("Find a node"), "{text}");

    // Nobody does anything, and there it is. It counts as ready a little before its program listens.
    let start = Instant::now();
    while elsewhere.text().contains("asks again") {
        assert!(start.elapsed() < PATIENCE, "{}", elsewhere.text());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(elsewhere.address(), site.url("/route/w1/?tab=files"));
    assert_eq!(status(&mut elsewhere, "/route/w1/healthz"), 200);
    site.server.stop();
}

#[test]
fn a_page_that_asks_for_a_sign_in_comes_after_it() {
    let site = Site::open(&[]);
    let mut alice = site.sign_in("alice");
    let spawned =
        tool(&mut alice, "spawn_workspace", json!({ "id": "w1", "templateRef": TEMPLATE, "wait": true }));
    assert_eq!(spawned["status"], "running", "{spawned}");

    let mut elsewhere = Browser::open();
    elsewhere.go(&site.url("/route/w1/?tab=files"));
    if !elsewhere.address().starts_with(site.provider.issuer()) {
        // The page that offers it.
        let sign_in = format!("/auth/login?redirect_uri={}", "%2Froute%2Fw1%2F%3Ftab%3Dfiles");
        elsewhere.go(&site.url(&sign_in));
    }
    elsewhere.fill("Name", "alice");
    elsewhere.fill("Password", "alice");
    elsewhere.press("Sign in", &site.url("/route/w1/?tab=files"));
    assert!(elsewhere.address().ends_with("/route/w1/?tab=files"), "{}", elsewhere.address());

    // Nor does a link lead anywhere else (t26).
    for target in
        ["https://evil.test/", "//evil.test/", "/\\evil.test/", "javascript:alert(1)", "/%2f/evil.test"]
    {
        let target: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        elsewhere.go(&site.url(&format!("/auth/login?redirect_uri={target}")));
        let address = elsewhere.address();
        assert!(
            address.starts_with(site.front.origin()) && !address.contains("evil"),
            "t26 {target}: {address}"
        );
    }
    site.server.stop();
}

#[test]
fn a_session_outlives_tokens_of_thirty_seconds() {
    // Without refreshing, the session would end when the token has, and the life of a session after it.
    const SESSION_TTL: Duration = Duration::from_secs(6);
    let site = Site::open(&[("PROXY_SESSION_TTL", "6")]);
    let mut alice = site.sign_in("alice");
    let begun = Instant::now();
    while begun.elapsed() < TOKEN_LIFETIME + SESSION_TTL + Duration::from_secs(4) {
        assert_eq!(status(&mut alice, "/auth/session"), 200, "after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(alice.go(&site.url("/auth/session")), 200);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let grants = runtime.block_on(site.provider.grants("refresh_token"));
    assert!(grants >= 1, "nothing was refreshed");
    assert_eq!(runtime.block_on(site.provider.grants("authorization_code")), 1);
    site.server.stop();
}

#[test]
fn t16_signing_out_ends_the_session_everywhere() {
    let site = Site::open(&[]);
    let mut alice = site.sign_in("alice");
    // Somebody has made a copy of the cookies.
    let cookies = alice.cookies(&site.url("/"));
    let copy = |names: &[&str]| {
        let kept = cookies.iter().filter(|cookie| names.contains(&cookie["name"].as_str().unwrap()));
        kept.map(|cookie| {
            format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap())
        })
        .collect::<Vec<_>>()
        .join("; ")
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let with = |cookies: String| {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.get(site.url("/auth/session")).header("cookie", cookies);
        runtime.block_on(request.send()).unwrap().status().as_u16()
    };
    assert_eq!(with(copy(&["nocr_sess"])), 200);

    // From the address bar; the provider asks whether it should sign out there, too.
    alice.go(&site.url("/logout"));
    assert!(alice.address().starts_with(site.provider.issuer()), "{}", alice.address());
    alice.press("Sign out", &site.url("/"));
    assert!(!alice.address().starts_with(site.provider.issuer()), "{}", alice.address());
    // The page at the root may ask for nothing.
    alice.go(&site.url("/.well-known/oauth-protected-resource"));
    assert_eq!(status(&mut alice, "/auth/session"), 401);
    let left = alice.cookies(&site.url("/auth/callback"));
    assert!(left.iter().all(|cookie| !cookie["name"].as_str().unwrap().starts_with("nocr_")), "{left:?}");

    assert_eq!(with(copy(&["nocr_sess"])), 401, "the copy of the session is still good");
    assert_eq!(with(copy(&["nocr_refresh"])), 401, "the copy of the refresh token is still good");
    // And the next sign-in asks for the password again.
    alice.go(&site.url("/auth/login"));
    assert!(alice.address().starts_with(site.provider.issuer()), "{}", alice.address());
    site.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_at_a_time_refresh_once() {
    let site = Site::open(&[]);
    let alice = Visitor::of(site.front.origin());
    alice.sign_in("alice").await;
    let refresh = alice.cookie("nocr_refresh").unwrap();
    alice.forget("nocr_sess");

    let asking: Vec<_> = (0..20)
        .map(|_| {
            let tab = alice.copy();
            tokio::spawn(async move { (tab.status("/auth/session").await, tab) })
        })
        .collect();
    let mut tabs = Vec::new();
    for answer in asking {
        let (status, tab) = answer.await.unwrap();
        assert_eq!(status, 200);
        assert!(tab.cookie("nocr_sess").is_some() && tab.cookie("nocr_refresh").as_ref() != Some(&refresh));
        // What each of them got is good.
        assert_eq!(tab.status("/auth/session").await, 200);
        tabs.push(tab);
    }
    let last = tabs.pop().unwrap();
    assert_eq!(site.provider.grants("refresh_token").await, 1);

    // The one that all of them were given has not been used up by any.
    last.forget("nocr_sess");
    assert_eq!(last.status("/auth/session").await, 200);
    assert_eq!(site.provider.grants("refresh_token").await, 2);
    last.forget("nocr_sess");
    last.forget("nocr_refresh");
    assert_eq!(last.status("/auth/session").await, 401);
    site.server.stop();
}
