//! What pages elsewhere can make a browser do, and what they can't.

use reqwest::{Method, header::HeaderMap};

use super::{World, send};
use crate::{proxying::upstream, support::initialize};

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A world with a workspace of alice, and her token.
async fn with_workspace(env: &[(&str, &str)]) -> (World, String) {
    let world = World::start(env).await;
    world.cluster.add_pod_of("w1", upstream().await, "alice", &[]);
    world.cluster.make_ready("w1");
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    world.server.until_as(&token, "/route/w1/", |status, _| status == 200).await;
    (world, token)
}

#[tokio::test]
async fn t21_d20_websockets_open_for_our_pages_and_for_programs_with_a_token() {
    let (world, token) = with_workspace(&[]).await;
    let cookie = world.session(&token).await;
    let own = world.server.base.clone();
    let open = async |token: Option<&str>, headers: &[(&str, &str)]| {
        let request = world.ask(Method::GET, "/route/w1/", token);
        let request = UPGRADE
            .iter()
            .chain(headers)
            .fold(request, |request, (name, value)| request.header(*name, *value));
        send(request).await.0
    };
    // What runs there speaks no WebSocket: its own answer shows that the request came through.
    assert_eq!(open(Some(&token), &[]).await, 200, "a program");
    assert_eq!(open(Some(&token), &[("origin", &own)]).await, 200);
    assert_eq!(open(None, &[("cookie", &cookie), ("origin", &own)]).await, 200);
    assert_eq!(open(None, &[("cookie", &cookie)]).await, 403, "a cookie without an origin");
    for origin in ["https://evil.example", "null", "http://sub.localhost:1"] {
        assert_eq!(open(None, &[("cookie", &cookie), ("origin", origin)]).await, 403, "{origin}");
        assert_eq!(open(Some(&token), &[("origin", origin)]).await, 403, "{origin}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn t24_a_named_site_may_use_the_session_where_that_is_allowed() {
    let env = [("CORS_ORIGIN", "https://app.example"), ("CORS_CREDENTIALS", "true")];
    let world = World::start(&env).await;
    let cookie = world.session(&world.token("alice", &["user"], "nogoo9:read nogoo9:write")).await;
    let ask = async |origin: &str| {
        send(world.server.post_mcp(&initialize()).header("cookie", &cookie).header("origin", origin)).await
    };
    let (status, headers, _) = ask("https://app.example").await;
    assert_eq!(status, 200);
    assert_eq!(headers["access-control-allow-origin"], "https://app.example");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    for origin in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null"] {
        let (status, headers, _) = ask(origin).await;
        assert_eq!((status, headers.get("access-control-allow-origin")), (403, None), "{origin}");
    }
    // Workspaces are for pages of this site only.
    for (method, headers) in [(Method::POST, &[][..]), (Method::GET, &UPGRADE)] {
        let request = world.ask(method, "/route/w1/", None).header("cookie", &cookie);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        assert_eq!(send(request.header("origin", "https://app.example")).await.0, 403);
    }
    world.server.stop().await;

    let world = World::start(&[("CORS_ORIGIN", "*"), ("CORS_CREDENTIALS", "true")]).await;
    let cookie = world.session(&world.token("alice", &["user"], "nogoo9:read nogoo9:write")).await;
    let request = world.server.post_mcp(&initialize()).header("cookie", &cookie);
    let (status, headers, _) = send(request.header("origin", "https://any.example")).await;
    assert_eq!(
        (status, headers.get("access-control-allow-credentials")),
        (403, None),
        "the token is what counts there"
    );
    let token = world.token("alice", &["user"], "nogoo9:read");
    let request = world.server.post_mcp(&initialize()).bearer_auth(token);
    assert_eq!(send(request.header("origin", "https://any.example")).await.0, 200);
    world.server.stop().await;
}

#[tokio::test]
async fn t27_pages_of_the_server_are_not_for_the_frames_of_others() {
    let world = World::start(&[]).await;
    let framed = |headers: &HeaderMap| {
        let policy = headers.get("content-security-policy").map_or("", |policy| policy.to_str().unwrap());
        // The dashboard shows errors of workspaces in its own frames.
        let kept =
            ["frame-ancestors 'none'", "frame-ancestors 'self'"].iter().any(|own| policy.contains(own));
        !kept || headers["x-content-type-options"] != "nosniff"
    };
    for path in ["/", "/nope", "/mcp", "/auth/callback", "/auth/session", "/logout", "/permissions"] {
        let request =
            world.server.get(path).header("accept", "text/html").header("sec-fetch-mode", "navigate");
        let (_, headers, page) = send(request).await;
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        assert!(!framed(&headers), "{path} {headers:?}");
        assert!(!page.as_str().unwrap().contains("<script"), "{path}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn d21_d61_t32_a_workspace_sees_who_asks_and_no_credentials_of_ours() {
    use axum::{Router, extract::Request, routing::any};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = any(async |request: Request| format!("saw {:?}", request.headers()));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });

    let world = World::start(&[]).await;
    world.cluster.add_pod_of("w1", port, "alice", &[]);
    world.cluster.make_ready("w1");
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    world.server.until_as(&token, "/route/w1/", |status, _| status == 200).await;
    let cookie = world.session(&token).await;
    let forged = |request: reqwest::RequestBuilder| {
        request
            .header("x-user-sub", "root")
            .header("x_user_roles", "admin")
            .header("x-workspace-jwt", "forged")
    };
    let by_token = send(forged(world.ask(Method::GET, "/route/w1/", Some(&token)))).await.2;
    let own = format!("{cookie}; theme=dark; nocr_refresh=x");
    let by_cookie = send(forged(world.ask(Method::GET, "/route/w1/", None)).header("cookie", own)).await.2;
    // The token itself is for the owner's own workspace, by this name and no other.
    let jwt = format!("\"x-workspace-jwt\": \"{token}\"");
    assert!(by_token.as_str().unwrap().contains(&jwt) && !by_cookie.as_str().unwrap().contains("jwt"));
    for seen in [by_token, by_cookie.clone()] {
        let seen = seen.as_str().unwrap().replace(&jwt, "");
        assert!(seen.contains("\"x-user-sub\": \"alice\""), "{seen}");
        for secret in [token.as_str(), "nocr_", "authorization", "root", "admin", "forged"] {
            assert!(!seen.contains(secret), "{secret}: {seen}");
        }
    }
    assert!(by_cookie.as_str().unwrap().contains("theme=dark"), "the workspace's own cookies pass");
    world.server.stop().await;

    let world = World::start(&[("AUTH_INJECT_WORKSPACE_JWT", "false")]).await;
    world.cluster.add_pod_of("w1", port, "alice", &[]);
    world.cluster.make_ready("w1");
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    let seen = world.server.until_as(&token, "/route/w1/", |status, _| status == 200).await;
    assert!(seen.contains("\"x-user-sub\": \"alice\"") && !seen.contains("jwt"), "{seen}");
    world.server.stop().await;
}

#[tokio::test]
async fn d55_a_workspace_hears_the_same_name_over_http_and_websockets() {
    use axum::{Router, extract::Request, routing::any};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = any(async |request: Request| format!("saw {:?}", request.headers()));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    let world = World::start(&[("AUTH_SUB_JSONPATH", "$.email")]).await;
    world.cluster.add_pod_of("w1", port, "alice@corp.example", &[]);
    world.cluster.make_ready("w1");
    let token = world.idp.token(serde_json::json!({
        "sub": "raw-sub", "email": "alice@corp.example", "roles": ["user"], "scope": "nogoo9:read nogoo9:write",
    }));
    world.server.until_as(&token, "/route/w1/", |status, _| status == 200).await;
    for headers in [&[][..], &UPGRADE] {
        let request = world.ask(Method::GET, "/route/w1/", Some(&token));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (status, _, seen) = send(request).await;
        let seen = seen.as_str().unwrap();
        assert_eq!(status, 200);
        assert!(
            seen.contains("\"x-user-sub\": \"alice@corp.example\"") && !seen.contains("raw-sub"),
            "{seen}"
        );
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_websocket_takes_the_write_scope() {
    let (world, token) = with_workspace(&[]).await;
    let reader = world.token("alice", &["user"], "nogoo9:read");
    let open = async |token: &str| {
        let request = world.ask(Method::GET, "/route/w1/", Some(token));
        let request = UPGRADE.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        send(request).await.0
    };
    assert_eq!(send(world.ask(Method::GET, "/route/w1/", Some(&reader))).await.0, 200);
    assert_eq!((open(&reader).await, open(&token).await), (403, 200));
    world.server.stop().await;
}

#[tokio::test]
async fn d38_t25_a_page_of_somebody_else_s_workspace_can_use_nobody_s_session() {
    let world = World::start(&[]).await;
    let port = upstream().await;
    let fields =
        [("port", port.to_string()), ("path", "/open".to_owned()), ("visibility", "internal".to_owned())];
    let api = fields.map(|(field, value)| (format!("nogoo9/api.open.{field}"), value));
    world.cluster.add_pod_of("w1", port, "bob", &api);
    world.cluster.make_ready("w1");
    let token = |name: &str| world.token(name, &["user"], "nogoo9:read nogoo9:write");
    world.server.until_as(&token("bob"), "/route/w1/", |status, _| status == 200).await;
    let cookie = world.session(&token("alice")).await;
    let page = world.ask(Method::GET, "/route/w1/open", None).header("cookie", &cookie);
    let (status, headers, _) = send(page).await;
    let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
    let sandbox =
        policies.iter().map(|policy| policy.to_str().unwrap()).find(|policy| policy.contains("sandbox"));
    assert_eq!(status, 200);
    assert!(sandbox.is_some_and(|policy| !policy.contains("allow-same-origin")), "{policies:?}");

    // Scripts of a sandboxed page send this origin, and browsers her cookie.
    let as_page = |request: reqwest::RequestBuilder| {
        request.header("cookie", &cookie).header("origin", "null").header("sec-fetch-site", "cross-site")
    };
    let upgrade =
        UPGRADE.iter().fold(world.ask(Method::GET, "/route/w1/open", None), |request, (name, value)| {
            request.header(*name, *value)
        });
    for request in [
        world.server.post_mcp(&initialize()),
        world.ask(Method::POST, "/route/w1/open", None),
        world.ask(Method::POST, "/logout", None),
        world.ask(Method::POST, "/auth/set-refresh", None).json(&serde_json::json!({ "refresh_token": "x" })),
        upgrade,
    ] {
        assert_eq!(send(as_page(request)).await.0, 403);
    }
    assert_eq!(send(world.ask(Method::GET, "/auth/session", None).header("cookie", &cookie)).await.0, 200);
    world.server.stop().await;
}

#[tokio::test]
async fn d31_nothing_in_a_token_becomes_a_header_of_its_own() {
    use axum::{Router, extract::Request, routing::any};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = any(async |request: Request| format!("saw {:?}", request.headers()));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    let world = World::start(&[]).await;
    world.cluster.add_pod_of("w1", port, "alice", &[]);
    world.cluster.make_ready("w1");
    let good = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    world.server.until_as(&good, "/route/w1/", |status, _| status == 200).await;

    let roles = ["user", "a\r\nX-Evil: 1", "b\nX-Evil: 2", "c,admin", "d\0"];
    let token = world.token("alice", &roles, "nogoo9:read nogoo9:write");
    for upgrade in [false, true] {
        let request = world.ask(Method::GET, "/route/w1/", Some(&token));
        let headers = if upgrade { &UPGRADE[..] } else { &[] };
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (status, _, seen) = send(request).await;
        let seen = seen.as_str().unwrap_or_default().to_lowercase();
        // Either they are left out, or the token is nobody's.
        assert!(
            status == 401 || status == 200 && seen.contains("\"x-user-sub\": \"alice\""),
            "{status} {seen}"
        );
        assert!(!seen.contains("evil") && !seen.contains("admin"), "{seen}");
        for sub in ["alice\r\nX-Evil: 1", "alice\nX-User-Roles: admin", "alice\0"] {
            let token = world.token(sub, &["user"], "nogoo9:read nogoo9:write");
            let request = world.ask(Method::GET, "/route/w1/", Some(&token));
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            assert_eq!(send(request).await.0, 401, "{sub:?}");
        }
    }
    world.server.stop().await;
}
