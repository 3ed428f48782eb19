//! How often one may ask.

use nocrd_testkit::{Idp, TokenForm, idp};
use reqwest::{Method, header::HeaderMap};
use serde_json::json;

use crate::{
    auth::{World, send},
    support::{Cluster, Running, initialize},
};

const HOUR: (&str, &str) = ("RATE_LIMIT_WINDOW", "3600000");

fn number(headers: &HeaderMap, name: &str) -> u64 {
    headers[name].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn d36_t44_the_limit_is_the_address_s_and_not_a_header_s() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("RATE_LIMIT_MAX", "3"), HOUR]).await;
    let ask = |by: u8| send(server.get("/logout").header("x-forwarded-for", format!("203.0.113.{by}")));
    for by in 0..3 {
        let (status, headers, _) = ask(by).await;
        assert_eq!(status, 200);
        assert_eq!(number(&headers, "x-ratelimit-limit"), 3);
        assert_eq!(number(&headers, "x-ratelimit-remaining"), u64::from(2 - by));
    }
    let (status, headers, body) = ask(9).await;
    assert_eq!(
        (status, &body["code"], &body["error"]),
        (429, &json!("NCR0613"), &json!("Too Many Requests"))
    );
    let wait = number(&headers, "retry-after");
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(number(&headers, "x-ratelimit-remaining"), 0);
    assert!(number(&headers, "x-ratelimit-reset") >= wait);
    // What is not limited goes on.
    assert_eq!(send(server.get("/healthz")).await.0, 200);
}

#[tokio::test]
async fn t31_t44_behind_a_trusted_proxy_each_client_has_its_own_limit() {
    let cluster = Cluster::start().await;
    let env = [("RATE_LIMIT_MAX", "1"), HOUR, ("TRUSTED_PROXIES", "127.0.0.1/32")];
    let server = Running::start(&cluster, &env).await;
    let ask = async |by: &str| send(server.get("/logout").header("x-forwarded-for", by)).await.0;
    assert_eq!((ask("203.0.113.1").await, ask("203.0.113.2").await), (200, 200));
    // What stands left of the client is the client's own invention.
    assert_eq!((ask("9.9.9.9, 203.0.113.1").await, ask("203.0.113.2").await), (429, 429));
    // All addresses of one IPv6 network are one client.
    assert_eq!(
        (ask("2001:db8::1").await, ask("2001:db8::2").await, ask("2001:db8:1::1").await),
        (200, 429, 200)
    );
}

#[tokio::test]
async fn t44_mcp_is_limited_by_who_asks() {
    let world = World::start(&[("MCP_RATE_LIMIT_MAX", "2"), HOUR]).await;
    let ask = async |who: &str| {
        let token = world.token(who, &["user"], "nogoo9:read");
        send(world.server.post_mcp(&initialize()).bearer_auth(token)).await.0
    };
    assert_eq!((ask("alice").await, ask("alice").await, ask("alice").await), (200, 200, 429));
    assert_eq!(ask("bob").await, 200);
}

#[tokio::test]
async fn mcp_is_not_limited_unless_that_is_set() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("RATE_LIMIT_MAX", "1"), HOUR]).await;
    for _ in 0..5 {
        let answer = server.initialize().await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers().contains_key("x-ratelimit-limit")),
            (200, false)
        );
    }
}

#[tokio::test]
async fn t44_who_sends_many_bad_tokens_has_to_wait_and_neighbours_don_t() {
    let world = World::start(&[("RATE_LIMIT_MAX", "3"), HOUR]).await;
    let ask = async |token: &str| send(world.ask(Method::GET, "/permissions", Some(token))).await;
    for _ in 0..3 {
        assert_eq!(ask("bad").await.0, 401);
    }
    let (status, headers, _) = ask("bad").await;
    assert_eq!(status, 429);
    assert!(number(&headers, "retry-after") > 0);
    let good = world.token("alice", &["user"], "nogoo9:read");
    assert_eq!(ask(&good).await.0, 200);
}

#[tokio::test]
async fn t44_bad_tokens_keep_nobody_out_whose_token_was_good_nor_all_clients_of_a_proxy() {
    let config = idp::Config { access_tokens: TokenForm::Opaque, ..idp::Config::default() };
    let (cluster, idp) = (Cluster::start().await, Idp::with(config).await);
    let endpoint = idp.introspection_endpoint();
    let env = [
        ("AUTH_ENABLED", "true"),
        ("HOST", "127.0.0.1"),
        ("INTROSPECTION_ENDPOINT", &endpoint[..]),
        ("OAUTH_CLIENT_ID", "no-crd"),
        ("OAUTH_CLIENT_SECRET", idp::SECRET),
        ("RATE_LIMIT_MAX", "3"),
        HOUR,
    ];
    let server = Running::start(&cluster, &env).await;
    let ask = async |token: &str| send(server.get("/permissions").bearer_auth(token)).await.0;
    let alice = idp.token(json!({ "sub": "alice", "roles": ["user"] }));
    let bob = idp.token(json!({ "sub": "bob", "roles": ["user"] }));
    assert_eq!(ask(&alice).await, 200);
    for n in 0..3 {
        assert_eq!(ask(&format!("bad-{n}")).await, 401);
    }
    assert_eq!((ask("bad-3").await, ask(&alice).await, ask(&bob).await), (429, 200, 429));
    // What comes through a reverse proxy that we don't know comes from everybody.
    let through = server.get("/permissions").bearer_auth(&bob).header("x-forwarded-for", "203.0.113.9");
    assert_eq!(send(through).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn t44_sign_in_endpoints_are_limited_by_who_asks_where_that_is_known() {
    let world = World::start(&[("RATE_LIMIT_MAX", "2"), HOUR]).await;
    let ask = async |who: &str| {
        let token = world.token(who, &["user"], "nogoo9:read");
        send(world.ask(Method::GET, "/auth/session", Some(&token))).await.0
    };
    assert_eq!((ask("alice").await, ask("alice").await, ask("alice").await), (200, 200, 429));
    assert_eq!(ask("bob").await, 200, "from the same address");
    world.server.stop().await;
}

#[tokio::test]
async fn t45_bodies_of_other_endpoints_are_limited_too() {
    let world = World::start(&[]).await;
    let cookie = world.session(&world.token("alice", &["user"], "nogoo9:read")).await;
    let ask = async |size: usize| {
        let request = world.ask(Method::POST, "/auth/set-refresh", None).header("cookie", &cookie);
        let request = request.header("sec-fetch-site", "same-origin");
        send(request.json(&json!({ "refresh_token": "rt", "more": "x".repeat(size) }))).await.0
    };
    assert_eq!((ask(60 * 1024).await, ask(65 * 1024).await), (200, 413));
    world.server.stop().await;
}
