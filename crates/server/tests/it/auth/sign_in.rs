//! Signing in as a browser does it, without any token reaching a page.

use nocrd_testkit::{Endpoint, Fault, User};
use reqwest::{Method, header::HeaderMap};
use serde_json::json;

use super::{World, location, send, set_cookie};
use crate::operations::Logs;

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
async fn d59_a_browser_signs_in_and_no_script_sees_a_token() {
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
    assert!(page.contains("<a href=\"/auth/login?redirect_uri=%2F\">Try again</a>"), "{page}");

    world.idp.sign_in_as(User::new("alice"));
    let (_, headers, _) = browser.visit(&world, &login).await;
    let (_, back, _) = send(world.server.client.get(location(&headers))).await;
    world.idp.fail(Endpoint::Token, Fault::Down);
    let (status, headers, page) = browser.visit(&world, location(&back)).await;
    assert_eq!(status, 503, "{page}");
    // The address is used up: to ask for it again would end in an error that is none.
    assert!(!headers.contains_key("refresh") && page.contains("Try again</a>"), "{page}");
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
        let message = body["message"].as_str().unwrap();
        let expected = "set OAUTH_CLIENT_ID and OAUTH_AUTHORIZATION_URL and OAUTH_TOKEN_URL";
        assert!(status == 404 && message.contains(expected), "{body}");
    }
    let (status, _, page) = send(server.get("/route/w1/").header("accept", "text/html")).await;
    assert!(status == 401 && !page.as_str().unwrap().contains("Sign in</a>"), "{page}");
    let (_, _, page) = send(server.get("/").header("accept", "text/html")).await;
    let page = page.as_str().unwrap();
    assert!(page.contains("Bearer TOKEN") && !page.contains("Sign in"), "{page}");
    server.stop().await;
}

/// Has the provider answer a sign-in of this browser with a refusal.
async fn refused(world: &World, browser: &mut Browser, answer: &[(&str, &str)]) -> (u16, String) {
    let login = format!("{}/auth/login?redirect_uri=/route/w1/", world.server.base);
    let (_, headers, _) = browser.visit(world, &login).await;
    let begun = reqwest::Url::parse(location(&headers)).unwrap();
    let state = begun.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let mut back = reqwest::Url::parse(&format!("{}/auth/callback", world.server.base)).unwrap();
    let fixed = [("state", state.as_str()), ("iss", world.idp.issuer())];
    back.query_pairs_mut().extend_pairs(fixed.iter().chain(answer));
    let (status, headers, page) = browser.visit(world, back.as_str()).await;
    assert!(!headers.contains_key("refresh"), "{page}");
    (status, page)
}

#[tokio::test]
async fn each_refusal_is_told_by_whose_it_is_and_the_rest_is_for_the_log() {
    let logs = Logs::listen();
    let world = World::start(&[]).await;
    let mut browser = Browser::default();
    for (code, status, told) in [
        ("access_denied", 403, "another account"),
        ("invalid_scope", 503, "Tell the operator"),
        ("unauthorized_client", 503, "Tell the operator"),
        ("server_error", 503, "at the moment"),
        ("temporarily_unavailable", 503, "at the moment"),
    ] {
        let said = ("error_description", "about <realm-7>\n");
        let (found, page) = refused(&world, &mut browser, &[("error", code), said]).await;
        assert!(found == status && page.contains(told), "{code}: {found} {page}");
        let again = "<a href=\"/auth/login?redirect_uri=%2Froute%2Fw1%2F\">Try again</a>";
        assert!(page.contains(again) && !page.contains("realm-7"), "{page}");
    }
    let text = logs.text();
    let line = text.lines().find(|line| line.contains("invalid_scope")).unwrap();
    for part in ["about <realm-7>\\n", "openid profile", "nogoo9:admin", "OAUTH_SCOPES"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let line = text.lines().find(|line| line.contains("unauthorized_client")).unwrap();
    assert!(line.contains("OAUTH_CLIENT_SECRET"), "{line}");
}

#[tokio::test]
async fn what_the_token_endpoint_says_is_in_the_log() {
    let logs = Logs::listen();
    let world = World::start(&[]).await;
    world.idp.sign_in_as(User::new("alice"));
    let said = json!({ "error": "invalid_client", "error_description": "secret of no-crd has expired" });
    world.idp.fail(Endpoint::Token, Fault::Answer(401, said));
    let mut browser = Browser::default();
    let (_, headers, _) = browser.visit(&world, &format!("{}/auth/login", world.server.base)).await;
    let (_, back, _) = send(world.server.client.get(location(&headers))).await;
    let (status, _, page) = browser.visit(&world, location(&back)).await;
    assert!(status == 503 && page.contains("Tell the operator") && !page.contains("has expired"), "{page}");
    let text = logs.text();
    for part in [
        "secret of no-crd has expired",
        "check OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET",
        &world.idp.url("/token"),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let act = logs.acts().into_iter().find(|act| act["action"] == "sign-in").unwrap();
    assert_eq!((&act["outcome"], &act["code"]), (&json!("failed"), &json!("NCR0406")), "{act}");
}

#[tokio::test]
async fn sign_ins_are_acts() {
    let logs = Logs::listen();
    let world = World::start(&[]).await;
    let mut browser = Browser::default();
    refused(&world, &mut browser, &[("error", "access_denied")]).await;
    world.idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
    browser.sign_in(&world, "/").await;
    let told: Vec<_> = logs
        .acts()
        .into_iter()
        .filter(|act| act["action"] == "sign-in")
        .map(|act| [act["outcome"].clone(), act["subject"].clone(), act["role"].clone(), act["code"].clone()])
        .collect();
    let null = serde_json::Value::Null;
    assert_eq!(told[0], [json!("refused"), null.clone(), null.clone(), json!("NCR0403")]);
    assert_eq!(told[1], [json!("done"), json!("alice"), json!("user"), null]);
}

#[tokio::test]
async fn an_administrator_is_one_in_a_browser_too() {
    let world = World::start(&[]).await;
    for (roles, role) in [(json!(["admin"]), "admin"), (json!(["user"]), "user")] {
        world.idp.sign_in_as(User::new("root").with("roles", roles));
        let mut browser = Browser::default();
        browser.sign_in(&world, "/").await;
        let session = world.ask(Method::GET, "/auth/session", None).header("cookie", browser.cookies());
        let (_, _, session) = send(session).await;
        assert_eq!((&session["role"], session.get("missingScopes")), (&json!(role), None), "{session}");
    }
    let token = world.token("root", &["admin"], "nogoo9:read nogoo9:write");
    let (_, _, session) = send(world.ask(Method::GET, "/auth/session", Some(&token))).await;
    assert_eq!((&session["role"], &session["missingScopes"]), (&json!("user"), &json!(["nogoo9:admin"])));
    world.server.stop().await;
}

#[tokio::test]
async fn a_page_for_nobody_leads_to_the_sign_in() {
    let world = World::start(&[("BASE_URL", "/gw")]).await;
    for path in ["/permissions", "/auth/session"] {
        let request = world.ask(Method::GET, path, None).header("accept", "text/html");
        let (status, headers, page) = send(request).await;
        assert!(status == 401 && headers.contains_key("www-authenticate"), "{path}");
        assert!(page.as_str().unwrap().contains("<a href=\"/gw/auth/login\">Sign in</a>"), "{path} {page}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn the_first_page_knows_who_is_signed_in() {
    let world = World::start(&[]).await;
    let mut browser = Browser::default();
    let home = format!("{}/", world.server.base);
    let (status, headers, page) = browser.visit(&world, &home).await;
    assert!(status == 200 && page.contains("href=\"/auth/login\">Sign in</a>"), "{page}");
    assert!(page.contains("ask you to sign in") && !page.contains("Sign out"), "{page}");
    assert_eq!(headers["cache-control"], "no-store");
    world.idp.sign_in_as(User::new("<b>alice</b>").with("roles", json!(["user"])));
    browser.sign_in(&world, "/").await;
    let (_, _, page) = browser.visit(&world, &home).await;
    assert!(page.contains("<strong>&lt;b&gt;alice&lt;/b&gt;</strong> (user)"), "{page}");
    assert!(page.contains("href=\"/logout\">Sign out</a>") && !page.contains(">Sign in<"), "{page}");
    // A session that is none is no reason for an error.
    let request = world.ask(Method::GET, "/", None).header("cookie", "nocr_sess=x");
    assert_eq!(send(request).await.0, 200);
    world.server.stop().await;
}

#[tokio::test]
async fn who_is_asked_whether_to_sign_out_can_stay() {
    let world = World::start(&[("BASE_URL", "/gw")]).await;
    let (status, headers, page) =
        Browser::default().visit(&world, &format!("{}/logout", world.server.base)).await;
    assert_eq!(status, 200);
    assert!(page.contains("<button>Sign out</button><a href=\"/gw/\">Stay signed in</a>"), "{page}");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("style-src 'sha256-"));
    world.server.stop().await;
}

#[tokio::test]
async fn why_a_token_is_refused_is_in_the_log_and_the_token_is_not() {
    let logs = Logs::listen();
    let world = World::start(&[]).await;
    let foreign = world.idp.token(json!({ "sub": "alice", "aud": "another-program" }));
    assert_eq!(send(world.ask(Method::GET, "/permissions", Some(&foreign))).await.0, 401);
    let text = logs.text();
    let line = text.lines().find(|line| line.contains("a token is not accepted")).unwrap();
    for part in ["another audience", "another-program", "no-crd", world.idp.issuer(), "kid"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let act = logs.acts().into_iter().find(|act| act["action"] == "access").unwrap();
    assert_eq!(act["reason"], "the token is meant for another audience", "{act}");
    assert!(!text.contains(&foreign) && !text.contains(foreign.rsplit_once('.').unwrap().1));
}
