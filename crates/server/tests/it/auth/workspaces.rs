//! Workspaces that ask for their owner's token, or for nobody's.

use nocrd_testkit::User;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use super::{World, location, send, sign_in::Browser};
use crate::support::{Cluster, Running};

/// A pod that tells the headers it is sent.
async fn telling() -> u16 {
    use axum::{Router, extract::Request, routing::any};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tell = any(async |request: Request| format!("{:?}", request.headers()));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(tell)).await });
    port
}

/// A world with a workspace of alice, with these annotations, and her browser.
async fn with_workspace(annotations: &[(&str, &str)]) -> (World, Browser) {
    let world = World::start(&[]).await;
    let annotations: Vec<_> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    world.cluster.add_pod_of("w1", telling().await, "alice", &annotations);
    world.cluster.make_ready("w1");
    world.idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
    let mut browser = Browser::default();
    browser.sign_in(&world, "/").await;
    let token = world.token("alice", &["user"], "nogoo9:read");
    world.server.until_as(&token, "/route/w1/", |status, _| status == 200).await;
    (world, browser)
}

/// Asks as a script of a page of ours, and keeps the cookies.
async fn ask(world: &World, browser: &mut Browser, method: Method, path: &str) -> (u16, HeaderMap, Value) {
    let request = world.ask(method, path, None).header("cookie", browser.cookies());
    let request = request.header("sec-fetch-site", "same-origin").header("origin", &world.server.base);
    let answer = send(request).await;
    browser.keep(&answer.1);
    answer
}

#[tokio::test]
async fn d24_d25_pages_get_their_owner_s_token_and_no_grant_is_made_twice() {
    let (world, mut browser) = with_workspace(&[("nogoo9/workspace-auth-mode", "token-api")]).await;
    let (status, headers, body) = ask(&world, &mut browser, Method::GET, "/route/w1/_auth/token").await;
    assert_eq!((status, &body["session"]["sub"]), (200, &json!("alice")), "{body}");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(body["session"]["exp"].is_i64() && body["session"]["roles"] == json!(["user"]), "{body}");
    let token = body["token"].as_str().unwrap().to_owned();
    // It is the one of the sign-in, and good here.
    assert_eq!(world.idp.counts().refresh_grants, 0);
    assert_eq!(send(world.ask(Method::GET, "/permissions", Some(&token))).await.0, 200);

    let (status, _, body) = ask(&world, &mut browser, Method::POST, "/route/w1/_auth/refresh").await;
    assert_eq!(status, 200, "{body}");
    assert_ne!(body["token"].as_str().unwrap(), token);
    assert_eq!(world.idp.counts().refresh_grants, 1);
    let (_, _, again) = ask(&world, &mut browser, Method::GET, "/route/w1/_auth/token").await;
    assert_eq!(again["token"], body["token"], "the new one is known");
    assert_eq!((world.idp.counts().refresh_grants, world.idp.counts().reuses), (1, 0));

    // Without a session the refresh token alone makes one: still one grant.
    browser.forget("nocr_sess");
    let (status, _, body) = ask(&world, &mut browser, Method::POST, "/route/w1/_auth/refresh").await;
    assert_eq!((status, body["token"].is_string()), (200, true), "{body}");
    assert_eq!((world.idp.counts().refresh_grants, world.idp.counts().reuses), (2, 0));
    assert!(browser.has("nocr_sess"));

    // Who is let in by one token does not get somebody else's by a cookie beside it.
    let bob = world.session(&world.token("bob", &["user"], "nogoo9:read nogoo9:write")).await;
    let by_alice = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    for (method, path) in [(Method::POST, "refresh"), (Method::GET, "token")] {
        let request = world.ask(method, &format!("/route/w1/_auth/{path}"), Some(&by_alice));
        let (_, _, body) = send(request.header("cookie", &bob).header("sec-fetch-site", "same-origin")).await;
        let token = body["token"].as_str();
        assert!(token.is_none() || token == Some(by_alice.as_str()), "{path}: {body}");
    }

    // Nor can a page elsewhere have it done.
    let foreign =
        world.ask(Method::POST, "/route/w1/_auth/refresh", None).header("cookie", browser.cookies());
    assert_eq!(send(foreign.header("origin", "https://evil.example")).await.0, 403);
    browser.forget("nocr_refresh");
    let (status, _, body) = ask(&world, &mut browser, Method::POST, "/route/w1/_auth/refresh").await;
    assert_eq!((status, &body["message"]), (401, &json!("No refresh token cookie found")));
    assert_eq!(ask(&world, &mut browser, Method::GET, "/auth/session").await.0, 200, "the session stays");
    assert_eq!(world.idp.counts().refresh_grants, 2);
    world.server.stop().await;
}

#[tokio::test]
async fn d17_the_token_goes_to_pages_of_this_workspace_in_the_fragment() {
    let (world, mut browser) = with_workspace(&[("nogoo9/workspace-auth-mode", "token-api")]).await;
    let to = |target: &str| {
        let target: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        format!("/route/w1/_auth/authorize?redirect_uri={target}")
    };
    for (target, page) in [
        ("/route/w1/", "/route/w1/"),
        ("/route/w1/a%20b?x=1&token=y#old", "/route/w1/a%20b?x=1&token=y"),
        (&format!("{}/route/w1/cb", world.server.base), "/route/w1/cb"),
    ] {
        let (status, headers, _) = ask(&world, &mut browser, Method::GET, &to(target)).await;
        assert_eq!(status, 303, "{target}");
        let (found, token) = location(&headers).split_once("#token=").unwrap();
        assert_eq!((found, headers["referrer-policy"].to_str().unwrap()), (page, "no-referrer"));
        assert_eq!(send(world.ask(Method::GET, "/permissions", Some(token))).await.0, 200);
    }
    for target in [
        "/",
        "/route/w2/",
        "/route/w10/",
        "/route/w1",
        "/route/w1/../w2/",
        "/route/w1/%2e%2e/w2/",
        "//evil.example/route/w1/",
        "https://evil.example/route/w1/",
        "/route/w1\\@evil.example/",
        "/auth/login",
        "javascript:alert(1)",
        "ftp://localhost/route/w1/",
        "",
    ] {
        let (status, headers, _) = ask(&world, &mut browser, Method::GET, &to(target)).await;
        assert_eq!((status, headers.get("location")), (400, None), "{target}");
    }
    // It begins at a page of ours, and not at a link from elsewhere.
    let link = world.ask(Method::GET, &to("/route/w1/"), None).header("cookie", browser.cookies());
    assert_eq!(send(link.header("sec-fetch-site", "cross-site")).await.0, 403);
    for query in ["", "?redirect_uri=%2Froute%2Fw1%2F&response_mode=query", "?redirect_uri=a&redirect_uri=b"]
    {
        let path = format!("/route/w1/_auth/authorize{query}");
        assert_eq!(ask(&world, &mut browser, Method::GET, &path).await.0, 400, "{query}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn d52_who_has_only_a_session_gets_a_token_for_a_workspace_that_takes_one() {
    let annotations =
        [("nogoo9/auth-require-token", "true"), ("nogoo9/workspace-auth-mode", "inject-headers")];
    let (world, mut browser) = with_workspace(&annotations).await;
    let (status, _, told) = ask(&world, &mut browser, Method::GET, "/route/w1/").await;
    assert!(status == 200 && told.to_string().contains("x-workspace-jwt"), "{told}");
    assert_eq!(world.idp.counts().refresh_grants, 0, "the one of the sign-in is known");
    // A session without anything that could yield one: programs are told, browsers sent to sign in.
    browser.forget("nocr_refresh");
    let other = world.session(&world.token("alice", &["user"], "nogoo9:read nogoo9:write")).await;
    let (status, _, _) = send(world.ask(Method::GET, "/route/w1/", None).header("cookie", &other)).await;
    assert_eq!(status, 200, "a page's own token is known, too");
    world.server.stop().await;
}

#[tokio::test]
async fn d08_an_open_workspace_asks_nobody_and_everything_else_does() {
    let (world, mut browser) = with_workspace(&[("nogoo9/workspace-auth-mode", "no-auth")]).await;
    world.cluster.add_pod_of("w2", telling().await, "alice", &[]);
    world.cluster.make_ready("w2");
    let anonymous = async |path: &str| send(world.ask(Method::GET, path, None)).await;
    let (status, headers, told) = anonymous("/route/w1/").await;
    assert_eq!(status, 200);
    let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
    assert!(policies.iter().any(|policy| policy.to_str().unwrap().starts_with("sandbox")), "{policies:?}");
    assert!(!told.to_string().contains("x-user-"), "{told}");
    assert_eq!(anonymous("/route/w2/").await.0, 401);
    assert_eq!(anonymous("/route/none/").await.0, 401);
    // Nor do bad tokens keep anybody out of it, and its owner is nobody special to it.
    assert_eq!(send(world.ask(Method::GET, "/route/w1/", Some("bad"))).await.0, 200);
    let (status, _, told) = ask(&world, &mut browser, Method::GET, "/route/w1/").await;
    assert!(status == 200 && !told.to_string().contains("alice"), "{told}");
    world.server.stop().await;
}

#[tokio::test]
async fn without_authentication_there_are_no_tokens() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    let annotations = [("nogoo9/workspace-auth-mode".to_owned(), "token-api".to_owned())];
    cluster.add_pod_of("w1", telling().await, "guest", &annotations);
    cluster.make_ready("w1");
    server.until("/route/w1/", |status, _| status == 200).await;
    let (status, _, body) = send(server.get("/route/w1/_auth/token")).await;
    assert_eq!((status, body["message"].as_str().unwrap().contains("no tokens")), (404, true), "{body}");
    server.stop().await;
}
