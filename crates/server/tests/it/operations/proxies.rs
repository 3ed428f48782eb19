//! Reverse proxies before the server.

use reqwest::Method;

use super::Logs;
use crate::{
    auth::{World, set_cookie},
    support::{Cluster, Running},
};

#[tokio::test]
async fn t31_t13_cookies_are_secure_when_a_trusted_proxy_says_https() {
    for (trusted, secure) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let world = World::start(&[("TRUSTED_PROXIES", trusted)]).await;
        let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
        let answer = world
            .ask(Method::GET, "/auth/session", Some(&token))
            .header("sec-fetch-site", "same-origin")
            .header("x-forwarded-proto", "https")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let cookie = set_cookie(answer.headers(), "nocr_sess").unwrap();
        assert_eq!(cookie.contains("Secure"), secure, "{cookie}");
    }
}

#[tokio::test]
async fn t31_t22_the_host_that_a_trusted_proxy_tells_is_checked_like_any() {
    let cluster = Cluster::start().await;
    let env = [("TRUSTED_PROXIES", "127.0.0.1/32"), ("ALLOWED_HOSTS", "gw.example")];
    let server = Running::start(&cluster, &env).await;
    let ask = async |host: &str| {
        server.get("/permissions").header("x-forwarded-host", host).send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("gw.example").await, ask("evil.example").await, ask("a b").await), (200, 403, 400));
}

#[tokio::test]
async fn t31_a_workspace_is_told_whom_the_trusted_proxy_names_and_nothing_else() {
    use axum::{Router, extract::Request, routing::any};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tell = any(async |request: Request| format!("{:?}", request.headers()));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(tell)).await });

    let told = |address: &str, proto: &str| {
        [("for", address), ("proto", proto)]
            .map(|(what, value)| format!("\"x-forwarded-{what}\": \"{value}\""))
    };
    for (trusted, told) in
        [("127.0.0.0/8", told("203.0.113.9", "https")), ("10.0.0.0/8", told("127.0.0.1", "http"))]
    {
        let cluster = Cluster::start().await;
        let env = [("TRUSTED_PROXIES", trusted), ("ALLOWED_HOSTS", "gw.example")];
        let server = Running::start(&cluster, &env).await;
        cluster.add_pod("w1", port);
        cluster.make_ready("w1");
        server.until("/route/w1/", |status, _| status == 200).await;
        let request = server.get("/route/w1/").header("x-forwarded-for", "1.1.1.1, 203.0.113.9");
        let request = request.header("x-forwarded-proto", "https").header("x-forwarded-host", "gw.example");
        let request = request.header("x-forwarded-uri", "/evil").header("x-real-ip", "1.1.1.1");
        let seen = request.send().await.unwrap().text().await.unwrap();
        assert!(told.iter().all(|told| seen.contains(told)), "{trusted}: {seen}");
        assert_eq!(
            seen.contains("\"x-forwarded-host\": \"gw.example\""),
            trusted.starts_with("127"),
            "{seen}"
        );
        assert!(!seen.contains("1.1.1.1") && !seen.contains("evil"), "{trusted}: {seen}");
        let foreign =
            server.get("/route/w1/").header("x-forwarded-host", "evil.example").send().await.unwrap();
        assert_eq!(foreign.status() == 403, trusted.starts_with("127"));
        server.stop().await;
    }
}

#[tokio::test]
async fn d19_t54_the_log_knows_who_and_whence_and_nothing_secret() {
    let logs = Logs::listen();
    let world = World::start(&[("TRUSTED_PROXIES", "127.0.0.1/32")]).await;
    let token = world.token("alice", &["user"], "nogoo9:read");
    let session = world.session(&token).await;
    let answer = world
        .ask(Method::GET, "/permissions?token=hunter2", None)
        .header("cookie", &session)
        .header("x-forwarded-for", "1.1.1.1, 203.0.113.9")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let text = logs.text();
    let line = text.lines().find(|line| line.contains(&id) && line.contains("answered")).unwrap();
    for part in
        ["path=\"/permissions\"", "client=203.0.113.9", "auth.sub_hash=\"2bd806c97f0e00af\"", "status=200"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    let value = session.split_once('=').unwrap().1;
    for secret in ["hunter2", token.as_str(), value, "alice"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn d19_t54_nor_does_it_know_what_a_websocket_brings() {
    use futures::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::{
        connect_async,
        tungstenite::{Message, client::IntoClientRequest as _},
    };

    let logs = Logs::listen();
    let world = World::start(&[]).await;
    world.cluster.add_pod_of("w1", crate::drain::echo().await, "alice", &[]);
    world.cluster.make_ready("w1");
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    let answers = |status, body: &str| status != 503 && !body.contains("NCR0301");
    world.server.until_as(&token, "/route/w1/", answers).await;
    let session = world.session(&token).await;
    let url = format!("{}/route/w1/?token=hunter2", world.server.base.replacen("http", "ws", 1));
    for (name, value) in [("authorization", format!("Bearer {token}")), ("cookie", session.clone())] {
        let mut request = url.clone().into_client_request().unwrap();
        request.headers_mut().insert("origin", world.server.base.parse().unwrap());
        request.headers_mut().insert(name, value.parse().unwrap());
        let mut socket = connect_async(request).await.unwrap().0;
        socket.send(Message::text("hunter3")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hunter3"));
        socket.close(None).await.unwrap();
    }
    world.server.stop().await;
    let text = logs.text();
    assert!(text.contains("path=\"/route/w1/\"") && text.contains("status=101"), "{text}");
    for secret in ["hunter2", "hunter3", token.as_str(), session.split_once('=').unwrap().1, "alice"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn d10_upgrades_that_nobody_serves_and_sockets_that_are_reset_hurt_nobody() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    cluster.add_pod("w1", crate::drain::echo().await);
    cluster.make_ready("w1");
    server.until("/route/w1/", |status, body| status != 503 && !body.contains("NCR0301")).await;
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    for path in ["/", "/mcp", "/nope", "/healthz", "/route/none/", "/route/w1/"] {
        for kind in ["websocket", "h2c", "\u{1}"] {
            for reads in [true, false] {
                let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
                let request = format!(
                    "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: {kind}\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                );
                socket.write_all(request.as_bytes()).await.unwrap();
                if reads {
                    let mut head = [0; 12];
                    socket.read_exact(&mut head).await.unwrap();
                    assert!(head.starts_with(b"HTTP/1.1 "), "{path} {kind}");
                }
                // A reset, and no orderly end.
                socket.set_zero_linger().unwrap();
            }
        }
    }
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
    server.stop().await;
}
