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
