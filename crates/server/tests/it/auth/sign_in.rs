//! Signing in as a browser does it, without any token reaching a page.

use nocrd_testkit::{Endpoint, Fault, User};
use reqwest::{Method, header::HeaderMap};
use serde_json::json;

use super::{World, location, send, set_cookie};

/// A browser's cookies, and its way of following a link.
#[derive(Default)]
pub(super) struct Browser {
    jar: Vec<(String, String)>,
}

impl Browser {
    pub(super) fn cookies(&self) -> String {
        self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.jar.iter().any(|(known, _)| known.starts_with(name))
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.jar.retain(|(known, _)| known != name);
    }

    pub(super) fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.jar.retain(|(known, _)| known != name);
            let value = rest.split(';').next().unwrap();
            if !rest.contains("Max-Age=0") {
                self.jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub(super) async fn visit(&mut self, world: &World, url: &str) -> (u16, HeaderMap, String) {
        let request =
            world.server.client.get(url).header("accept", "text/html").header("cookie", self.cookies());
        let request = request.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate");
        let (status, headers, body) = send(request).await;
        self.keep(&headers);
        (status, headers, body.as_str().map_or_else(|| body.to_string(), str::to_owned))
    }

    /// Signs in, and gives the page that is shown then.
    pub(super) async fn sign_in(&mut self, world: &World, wanted: &str) -> String {
        let url = format!("{}/auth/login?redirect_uri={wanted}", world.server.base);
        let (status, headers, body) = self.visit(world, &url).await;
        assert_eq!(status, 303, "{body}");
        let (_, back, _) = send(world.server.client.get(location(&headers))).await;
        let (status, headers, body) = self.visit(world, location(&back)).await;
        assert_eq!(status, 303, "{body}");
        assert_eq!(headers.get("cache-control").unwrap(), "no-store");
        assert_eq!(headers.get("referrer-policy").unwrap(), "no-referrer");
        location(&headers).to_owned()
    }
}

#[tokio::test]
async fn a_browser_signs_in_and_no_script_sees_a_token() {
    let world = World::start(&[]).await;
    world.idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
    let mut browser = Browser::default();
    let page = browser.sign_in(&world, "/route/w1/a%3Fb").await;
    assert_eq!(page, "/route/w1/a?b");
    assert!(browser.has("nocr_sess") && browser.has("nocr_refresh") && !browser.has("nocr_login"));
    let request = world.ask(Method::GET, "/auth/session", None).header("cookie", browser.cookies());
    let (status, headers, body) = send(request).await;
    assert_eq!((status, &body["sub"], &body["role"]), (200, &json!("alice"), &json!("user")), "{body}");
    // D-59: the new token is for us alone.
    assert!(!headers.contains_key("x-refreshed-token"));
    assert_eq!(world.idp.counts().code_grants, 1);
    world.server.stop().await;
}

#[tokio::test]
async fn a_workspace_leads_to_the_sign_in_and_back() {
    let world = World::start(&[("BASE_URL", "/gw")]).await;
    world.idp.sign_in_as(User::new("alice"));
    let mut browser = Browser::default();
    let url = format!("{}/route/w1/x?a=1&token=secret", world.server.base);
    let (status, headers, _) = browser.visit(&world, &url).await;
    assert_eq!(status, 303);
    // A path that nobody has is no reason to tell so.
    assert_eq!(location(&headers), "/gw/auth/login?redirect_uri=%2Fgw%2Froute%2Fw1%2Fx%3Fa%3D1");
    assert_eq!(browser.sign_in(&world, "%2Fgw%2Froute%2Fw1%2Fx%3Fa%3D1").await, "/gw/route/w1/x?a=1");
    let (status, ..) = browser.visit(&world, &url).await;
    assert_eq!(status, 404, "signed in, and there is no such workspace");

    let program = world.server.client.get(&url).header("accept", "application/json");
    let (status, headers, _) = send(program).await;
    assert_eq!(status, 401);
    assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
    world.server.stop().await;
}

#[tokio::test]
async fn t26_signing_in_leads_nowhere_else() {
    let world = World::start(&[]).await;
    world.idp.sign_in_as(User::new("alice"));
    for target in [
        "//evil.example",
        "%2F%2Fevil.example",
        "/%5Cevil.example",
        "/%252f%252fevil.example/%252e%252e",
        "https://evil.example/",
        "https://localhost@evil.example/",
        "javascript:alert(1)",
        "/x%0d%0aSet-Cookie:%20a=b",
        "/auth/login",
        "",
    ] {
        let page = Browser::default().sign_in(&world, target).await;
        assert!(
            page.starts_with('/') && !page.starts_with("//") && !page.contains("evil.example"),
            "{target} {page}"
        );
    }
    let page = Browser::default().sign_in(&world, "//evil.example").await;
    assert_eq!(page, "/");
    world.server.stop().await;
}

#[tokio::test]
async fn t15_an_answer_that_this_browser_did_not_ask_for_is_refused() {
    let world = World::start(&[]).await;
    world.idp.sign_in_as(User::new("mallory"));
    let (mut mallory, mut alice) = (Browser::default(), Browser::default());
    let login = format!("{}/auth/login", world.server.base);
    let (_, headers, _) = mallory.visit(&world, &login).await;
    let (_, back, _) = send(world.server.client.get(location(&headers))).await;
    let (_, _, _) = alice.visit(&world, &login).await;
    let (status, headers, page) = alice.visit(&world, location(&back)).await;
    assert_eq!(status, 400, "{page}");
    assert!(
        set_cookie(&headers, "nocr_sess").is_none() && page.contains("not begun in this browser"),
        "{page}"
    );
    // The same answer a second time is of no use to its owner either.
    assert_eq!(mallory.visit(&world, location(&back)).await.0, 303);
    assert_eq!(mallory.visit(&world, location(&back)).await.0, 400);
    world.server.stop().await;
}

#[tokio::test]
async fn failures_of_the_provider_are_told_and_sign_nobody_in() {
    let world = World::start(&[]).await;
    let mut browser = Browser::default();
    let login = format!("{}/auth/login", world.server.base);
    let (_, headers, _) = browser.visit(&world, &login).await;
    let (_, back, _) = send(world.server.client.get(location(&headers))).await;
    let (status, _, page) = browser.visit(&world, location(&back)).await;
    assert!(status == 403 && page.contains("access_denied"), "{status} {page}");

    world.idp.sign_in_as(User::new("alice"));
    let (_, headers, _) = browser.visit(&world, &login).await;
    let (_, back, _) = send(world.server.client.get(location(&headers))).await;
    world.idp.fail(Endpoint::Token, Fault::Down);
    let (status, _, page) = browser.visit(&world, location(&back)).await;
    assert_eq!(status, 503, "{page}");
    assert!(!browser.has("nocr_sess"));
    assert!(!page.contains(world.idp.issuer()), "{page}");
    world.server.stop().await;
}

#[tokio::test]
async fn without_a_client_there_is_no_sign_in() {
    let cluster = crate::support::Cluster::start().await;
    let env = [("AUTH_ENABLED", "true"), ("JWT_SECRET", nocrd_testkit::key::hs256().secret())];
    let server = crate::support::Running::start(&cluster, &env).await;
    for path in ["/auth/login", "/auth/callback?code=x&state=y"] {
        let (status, _, body) = send(server.get(path)).await;
        assert!(status == 404 && body["message"].as_str().unwrap().contains("OAUTH_CLIENT_ID"), "{body}");
    }
    let page = server.get("/route/w1/").header("accept", "text/html");
    assert_eq!(send(page).await.0, 401);
    server.stop().await;
}
