//! Sessions at a provider that does what the test wants.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use nocrd_testkit::{Config, Endpoint, Fault, Idp, User, idp};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    front::Front,
    server::{Env, Server},
    visitor::Visitor,
};
use crate::dev::PATIENCE;

/// What a server must know about the provider.
pub(super) fn env(idp: &Idp, front: &Front) -> Env {
    Env::new()
        .with("AUTH_ISSUER", idp.issuer())
        .with("OAUTH_CLIENT_ID", idp::CLIENT_ID)
        .with("OAUTH_CLIENT_SECRET", idp::SECRET)
        .with("PUBLIC_URL", front.origin())
}

/// Somebody with the usual role, whose tokens are for the client.
pub(crate) fn user(name: &str) -> User {
    User::new(name).with("realm_access", json!({ "roles": ["user"] }))
}

/// A server that asks this provider, and Alice, who has signed in there.
pub(super) async fn signed_in_at(idp: &Idp) -> (Front, Server, Visitor) {
    let front = Front::open();
    idp.sign_in_as(user("alice"));
    let server = Server::start(&env(idp, &front));
    front.to(server.base());
    let alice = Visitor::of(front.origin());
    alice.sign_in("alice").await;
    (front, server, alice)
}

/// Asks until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn t19_a_session_ends_when_the_provider_ends_it() {
    let (idp, front) = (
        Idp::with(Config { access_lifetime: Duration::from_secs(2), ..Config::default() }).await,
        Front::open(),
    );
    idp.sign_in_as(user("alice"));
    let server = Server::start(&env(&idp, &front).with("PROXY_SESSION_TTL", "4"));
    front.to(server.base());
    let alice = Visitor::of(front.origin());
    alice.sign_in("alice").await;

    // As long as the provider goes along, the session goes on.
    until("a refresh", async || {
        assert_eq!(alice.status("/auth/session").await, 200);
        idp.counts().refresh_grants > 0
    })
    .await;
    assert_eq!(alice.status("/auth/session").await, 200);
    // It throws her out.
    idp.end_all_sign_ins();
    until("the end of the session", async || alice.status("/auth/session").await == 401).await;
    assert!(alice.cookie("nocr_refresh").is_none(), "a refresh token that is good no more is kept");
    assert_eq!(idp.counts().reuses, 0);
    server.stop();
}

#[tokio::test]
async fn opaque_access_tokens_will_do_for_signing_in() {
    let config = Config { access_tokens: nocrd_testkit::TokenForm::Opaque, ..Config::default() };
    let idp = Idp::with(config).await;
    let (_front, server, alice) = signed_in_at(&idp).await;
    assert_eq!(alice.session().await["role"], "user");
    server.stop();
}

#[tokio::test]
async fn a_refusal_at_the_provider_is_told_and_leaves_no_session() {
    let (idp, front) = (Idp::start().await, Front::open());
    let server = Server::start(&env(&idp, &front));
    front.to(server.base());
    let alice = Visitor::of(front.origin());
    let refused = alice.browse("/auth/login").await;
    assert!(refused.url().as_str().starts_with(front.origin()), "{}", refused.url());
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("access_denied"));
    assert!(alice.cookie("nocr_sess").is_none());
    assert_eq!(alice.status("/auth/session").await, 401);

    // Answers that nobody has asked for, or that somebody else answers.
    for path in ["/auth/callback?code=x&state=y", "/auth/callback", "/auth/callback?error=x"] {
        let status = alice.status(path).await;
        assert!(status.is_client_error(), "{path}: {status}");
    }
    idp.sign_in_as(user("alice"));
    idp.fail(Endpoint::Authorization, Fault::WrongIssuer("https://evil.test".to_owned()));
    let mixed_up = alice.browse("/auth/login").await;
    assert!(mixed_up.status().is_client_error(), "{}", mixed_up.status());
    assert_eq!(idp.counts().code_grants, 0, "the code went to the wrong provider");
    idp.heal();
    idp.fail(Endpoint::Token, Fault::WrongKeys);
    let forged = alice.browse("/auth/login").await;
    assert!(forged.status().is_client_error(), "{}", forged.status());
    assert!(alice.cookie("nocr_sess").is_none());
    server.stop();
}

#[tokio::test]
async fn t15_a_session_that_was_there_before_is_not_adopted() {
    let (idp, front) = (Idp::start().await, Front::open());
    let server = Server::start(&env(&idp, &front));
    front.to(server.base());
    let (alice, mallory) = (Visitor::of(front.origin()), Visitor::of(front.origin()));
    idp.sign_in_as(user("mallory"));
    mallory.sign_in("mallory").await;
    // Mallory has put cookies into Alice's browser.
    let alices = mallory.copy();
    idp.sign_in_as(user("alice"));
    alices.sign_in("alice").await;
    assert_ne!(alices.cookie("nocr_sess"), mallory.cookie("nocr_sess"));
    assert_eq!(mallory.session().await["sub"], "mallory");
    // Nor does the answer of Mallory's sign-in sign Alice in.
    let path = mallory.half_a_sign_in("/auth/login").await;
    assert!(alice.status(&path).await.is_client_error());
    assert_eq!(alice.status("/auth/session").await, 401);
    server.stop();
}

#[tokio::test]
async fn t23_pages_elsewhere_can_do_nothing_with_a_session() {
    let idp = Idp::start().await;
    let (front, server, alice) = signed_in_at(&idp).await;
    let cookie = format!("nocr_sess={}", alice.cookie("nocr_sess").unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |path: &str, headers: &[(&str, &str)]| {
        let body = super::server::call("list_workspaces", json!({}));
        let mut request = http.post(format!("{}{path}", front.origin())).json(&body);
        request = request.header("accept", "application/json, text/event-stream").header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    for path in ["/mcp", "/logout"] {
        for headers in [
            &[("origin", "https://evil.test")][..],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[],
        ] {
            assert_eq!(send(path, headers).await, 403, "t23 {path} {headers:?}");
        }
    }
    assert_eq!(send("/mcp", &[("origin", front.origin())]).await, 200);
    assert_eq!(alice.status("/auth/session").await, 200);
    server.stop();
}

#[tokio::test]
async fn t32_a_workspace_learns_who_comes_and_nothing_else_t21_over_web_sockets_too() {
    let (idp, front) = (Idp::start().await, Front::open());
    let server = Server::start(&env(&idp, &front));
    front.to(server.base());
    let (alice, bob, stranger) =
        (Visitor::of(front.origin()), Visitor::of(front.origin()), Visitor::of(front.origin()));
    idp.sign_in_as(user("bob"));
    bob.sign_in("bob").await;
    idp.sign_in_as(user("alice"));
    alice.sign_in("alice").await;
    let arguments = json!({ "id": "w1", "templateRef": "default-agent-workspace", "wait": true });
    assert_eq!(alice.tool("spawn_workspace", arguments).await["status"], "running");

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = idp.token(json!({ "realm_access": { "roles": ["user"] } }));
    let cookie = format!("nocr_sess={}; theirs=1", alice.cookie("nocr_sess").unwrap());
    for (name, value) in [("cookie", cookie), ("authorization", format!("Bearer {token}"))] {
        let request = http.get(format!("{}/route/w1/echo", front.origin())).header(name, value);
        let request = request.header("x-user-sub", "root").header("X-User-Roles", "admin");
        let echo: Value = request.send().await.unwrap().json().await.unwrap();
        let headers = &echo["headers"];
        assert_eq!(headers["x-user-sub"], "alice", "t29 {headers}");
        assert_eq!(
            headers["x-user-roles"].as_str().map(|roles| roles.contains("admin")),
            Some(false),
            "t29 {headers}"
        );
        assert!(headers["authorization"].is_null(), "t32 {headers}");
        assert!(!headers.to_string().contains("nocr_sess"), "t32 {headers}");
    }

    let path = "/route/w1/echo";
    let mut socket = alice.socket(path, Some(front.origin())).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let refused = async |who: &Visitor, origin| who.socket(path, origin).await.err();
    assert_eq!(refused(&alice, Some("https://evil.test")).await, Some(403), "t21");
    assert_eq!(refused(&alice, Some("null")).await, Some(403), "t21");
    assert_eq!(refused(&alice, None).await, Some(403), "t21");
    assert_eq!(refused(&bob, Some(front.origin())).await, Some(404));
    assert_eq!(refused(&stranger, Some(front.origin())).await, Some(401));
    server.stop();
}

/// A page that signs its user in by itself, as earlier versions' dashboard does, hands the refresh token over.
#[tokio::test]
async fn a_page_with_tokens_of_its_own_gets_a_session() {
    // The example of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let (idp, front) = (Idp::start().await, Front::open());
    idp.sign_in_as(user("alice"));
    let server = Server::start(&env(&idp, &front));
    front.to(server.base());

    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = format!("{}/ui", front.origin());
    let asks = [
        ("response_type", "code"),
        ("client_id", idp::CLIENT_ID),
        ("redirect_uri", &page),
        ("scope", "openid offline_access nogoo9:read nogoo9:write"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let there = url::Url::parse_with_params(&idp.url("/authorize"), asks).unwrap();
    let back = http.get(there).send().await.unwrap();
    let back = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", idp::CLIENT_ID),
        ("code", &code),
        ("redirect_uri", &page),
        ("code_verifier", VERIFIER),
    ];
    let tokens: Value =
        http.post(idp.url("/token")).form(&fields).send().await.unwrap().json().await.unwrap();

    let alice = Visitor::of(front.origin());
    let with_token = alice.with_token(tokens["access_token"].as_str().unwrap());
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    let kept = with_token.fetch(Method::POST, "/auth/set-refresh", Some(body)).await;
    assert_eq!(kept.status(), 200, "{}", kept.text().await.unwrap());
    // From here on it needs no token: the session will do, and then the refresh token.
    assert_eq!(alice.session().await["sub"], "alice");
    alice.forget("nocr_sess");
    assert_eq!(alice.session().await["via"], "refresh");
    assert_eq!(idp.counts().refresh_grants, 1);

    alice.sign_out().await;
    until("the revocation at the provider", async || idp.counts().revocations > 0).await;
    server.stop();
}

/// A client that was refused sends its next request on the same connection, and that may begin before the body of the first
/// has come.
#[tokio::test]
async fn a_refused_request_leaves_its_connection_good() {
    let (idp, front) = (Idp::start().await, Front::open());
    let server = Server::start(&env(&idp, &front));
    let address = server.base().strip_prefix("http://").unwrap().to_owned();
    let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    );
    for _ in 0..3 {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // The body comes in another packet.
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(b"{}").await.unwrap();
        stream.flush().await.unwrap();
        let (mut status, mut length) = (String::new(), 0);
        stream.read_line(&mut status).await.unwrap();
        assert!(status.starts_with("HTTP/1.1 401"), "{status:?}");
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let line = line.trim().to_ascii_lowercase();
            assert_ne!(line, "connection: close");
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
    }
    server.stop();
}
