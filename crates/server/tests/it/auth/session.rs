//! Sessions as cookies: who gets one, and what it is good for.

use reqwest::Method;
use serde_json::json;

use super::{World, send, set_cookie};
use crate::support::initialize;

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

#[tokio::test]
async fn t13_d39_attributes_of_cookies() {
    for (env, path, secure) in [
        (&[][..], "/", false),
        (&[("BASE_URL", "/gw")], "/gw", false),
        (&[("TRUSTED_PROXIES", "127.0.0.0/8")], "/", true),
        (&[("BASE_URL", "/gw"), ("PUBLIC_URL", "https://no-crd.example/front")], "/front", false),
    ] {
        let world = World::start(env).await;
        let token = world.token("alice", &["user"], "nogoo9:read");
        let request =
            world.ask(Method::GET, "/auth/session", Some(&token)).header(SAME_ORIGIN.0, SAME_ORIGIN.1);
        let (status, headers, body) = send(request.header("x-forwarded-proto", "https")).await;
        assert_eq!(status, 200, "{body}");
        let cookie = set_cookie(&headers, "nocr_sess").unwrap();
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        assert!(attributes.contains(&&*format!("Path={path}")), "{cookie}");
        assert!(attributes.contains(&"HttpOnly") && attributes.contains(&"SameSite=Lax"), "{cookie}");
        assert_eq!(attributes.contains(&"Secure"), secure, "{cookie}");
        assert!(attributes.iter().any(|attribute| attribute.starts_with("Max-Age=")), "{cookie}");
        assert!(!cookie.to_ascii_lowercase().contains("domain"), "{cookie}");
        assert_eq!(headers["cache-control"], "no-store");
        world.server.stop().await;
    }
}

#[tokio::test]
async fn d06_d15_only_who_was_let_in_gets_a_session_and_only_by_a_page_of_ours() {
    let world = World::start(&[]).await;
    let sessions = async |path: &str, token: &str, headers: &[(&str, &str)]| {
        let request = world.ask(Method::GET, path, Some(token)).header("accept", "text/event-stream");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (status, headers, _) = send(request).await;
        (status, set_cookie(&headers, "nocr_sess").is_some_and(|cookie| !cookie.contains("Max-Age=0")))
    };
    let good = world.token("alice", &["user"], "nogoo9:read");
    let poor = world.token("alice", &["user"], "something:else");
    assert_eq!(sessions("/permissions", &good, &[SAME_ORIGIN]).await, (200, true));
    assert_eq!(sessions("/permissions", &good, &[]).await, (200, false), "a program");
    assert_eq!(sessions("/permissions", &poor, &[SAME_ORIGIN]).await, (403, false));
    assert_eq!(sessions("/permissions", "x", &[SAME_ORIGIN]).await, (401, false));
    for path in ["/healthz", "/", "/logout"] {
        let (_, set) = sessions(&format!("{path}?token={good}"), &good, &[]).await;
        assert!(!set, "{path}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn d06_a_session_can_do_what_its_token_could_and_nothing_more() {
    let world = World::start(&[]).await;
    for (roles, scope, role) in [
        (&["viewer"][..], "nogoo9:read", "viewer"),
        (&["user"], "nogoo9:read nogoo9:write", "user"),
        (&["admin"], "nogoo9:admin", "admin"),
        // Without the scope of administrators the role is worth less.
        (&["admin"], "nogoo9:write", "user"),
    ] {
        let token = world.token("alice", roles, scope);
        let cookie = world.session(&token).await;
        let by_token = send(world.ask(Method::GET, "/auth/session", Some(&token))).await.2;
        let by_cookie = send(world.ask(Method::GET, "/auth/session", None).header("cookie", &cookie)).await.2;
        assert_eq!(by_cookie["role"], role, "{by_cookie}");
        assert_eq!(by_cookie["via"], "session");
        for field in ["sub", "role", "roles", "scopes"] {
            assert_eq!(by_cookie[field], by_token[field], "{field}");
        }
    }
    let poor = world.session(&world.token("alice", &["user"], "something:else")).await;
    let request =
        world.server.post_mcp(&initialize()).header("cookie", poor).header(SAME_ORIGIN.0, SAME_ORIGIN.1);
    assert_eq!(send(request).await.0, 403);
    world.server.stop().await;
}

#[tokio::test]
async fn d50_a_stale_token_beside_a_good_session_does_no_harm() {
    let world = World::start(&[]).await;
    let cookie = world.session(&world.token("alice", &["user"], "nogoo9:read")).await;
    let stale = world.idp.token(json!({ "sub": "alice", "exp": 1 }));
    let request = world.ask(Method::GET, "/auth/session", Some(&stale)).header("cookie", &cookie);
    let (status, _, body) = send(request).await;
    assert_eq!((status, &body["via"]), (200, &json!("session")));
    world.server.stop().await;
}

#[tokio::test]
async fn t23_a_cookie_that_changes_something_needs_a_page_of_ours() {
    let world = World::start(&[]).await;
    let cookie = world.session(&world.token("alice", &["user"], "nogoo9:read nogoo9:write")).await;
    let origin = world.server.base.clone();
    let ask = async |headers: &[(&str, &str)]| {
        let request = world.server.post_mcp(&initialize()).header("cookie", &cookie);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (status, _, body) = send(request).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask(&[SAME_ORIGIN]).await.0, 200);
    assert_eq!(ask(&[("origin", &origin)]).await.0, 200);
    for headers in [
        &[][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "null")],
        &[("origin", "http://localhost:1")],
        &[("origin", "https://evil.example"), SAME_ORIGIN],
    ] {
        let (status, code) = ask(headers).await;
        assert_eq!((status, code.as_str()), (403, "NCR0405"), "{headers:?}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn t14_t15_cookies_put_there_by_somebody_else_are_nobodys() {
    let world = World::start(&[]).await;
    let alice = world.session(&world.token("alice", &["user"], "nogoo9:read")).await;
    let mallory = world.session(&world.token("mallory", &["user"], "nogoo9:read")).await;
    let who = async |cookies: &str| {
        let (status, _, body) =
            send(world.ask(Method::GET, "/auth/session", None).header("cookie", cookies)).await;
        (status, body["sub"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(who(&alice).await, (200, "alice".to_owned()));
    assert_eq!(who(&format!("nocr_sess=junk; {alice}")).await, (200, "alice".to_owned()));
    assert_eq!(who(&format!("{mallory}; {alice}")).await.0, 401);
    assert_eq!(who(&format!("{alice}; {mallory}")).await.0, 401);
    assert_eq!(who(&alice[..alice.len() - 2]).await.0, 401);

    // A session that the browser brings along is never taken over by whoever signs in.
    let token = world.token("alice", &["user"], "nogoo9:read");
    let request = world.ask(Method::GET, "/auth/session", Some(&token)).header(SAME_ORIGIN.0, SAME_ORIGIN.1);
    let (_, headers, body) = send(request.header("cookie", &mallory)).await;
    assert_eq!(body["sub"], "alice");
    let fresh = set_cookie(&headers, "nocr_sess").unwrap();
    assert!(!fresh.starts_with(&mallory) && !fresh.starts_with(&alice));
    world.server.stop().await;
}

#[tokio::test]
async fn t08_d18_a_token_in_the_url_is_nobodys() {
    let world = World::start(&[]).await;
    let token = world.token("alice", &["user"], "nogoo9:read");
    for path in ["/mcp", "/permissions", "/auth/session"] {
        let (status, headers, body) = send(world.server.get(&format!("{path}?token={token}"))).await;
        assert_eq!(status, 401, "{path}");
        assert!(body["message"].as_str().unwrap().contains("Authorization header"), "{body}");
        assert!(set_cookie(&headers, "nocr_sess").is_none());
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_refresh_token_of_a_page_is_kept_where_the_page_can_not_read_it() {
    let world = World::start(&[]).await;
    let token = world.token("alice", &["user"], "nogoo9:read");
    let set = async |token: Option<&str>, headers: &[(&str, &str)], body: serde_json::Value| {
        let request = world.ask(Method::POST, "/auth/set-refresh", token).json(&body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        send(request).await
    };
    let body = json!({ "refresh_token": "rt-1", "refresh_expires_in": 600 });
    let (status, headers, answer) = set(Some(&token), &[SAME_ORIGIN], body.clone()).await;
    assert_eq!((status, answer), (200, json!({ "ok": true })));
    let cookie = set_cookie(&headers, "nocr_refresh").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("rt-1"),
        "{cookie}"
    );
    assert!(set_cookie(&headers, "nocr_sess").is_some());
    let session = world.session(&token).await;
    assert_eq!(set(None, &[SAME_ORIGIN, ("cookie", &session)], body.clone()).await.0, 200, "by session");

    assert_eq!(set(None, &[SAME_ORIGIN], body.clone()).await.0, 401);
    assert_eq!(set(Some(&token), &[], body.clone()).await.0, 403, "no page of ours");
    assert_eq!(set(None, &[("cookie", &session)], body).await.0, 403);
    for body in [json!({}), json!({ "refresh_token": "" }), json!([]), json!({ "refresh_token": 5 })] {
        assert_eq!(set(Some(&token), &[SAME_ORIGIN], body.clone()).await.0, 400, "{body}");
    }
    let (status, _, answer) = set(Some(&token), &[SAME_ORIGIN], json!({})).await;
    assert_eq!((status, answer["message"].as_str()), (400, Some("Missing refresh_token in request body")));
    world.server.stop().await;
}
