//! Identity providers that are down, slow, or wrong: those who are signed in already go on, everybody else is told that it
//! is not their fault, and nobody gets in.

use std::time::{Duration, Instant};

use nocrd_testkit::{Endpoint, Fault, Idp, key};
use serde_json::{Value, json};

use super::{
    server::{Agent, Env, Server},
    session::signed_in_at,
    visitor::Visitor,
};

const AUDIENCE: &str = "https://no-crd.test";
/// Longest that anybody has to wait for an answer about a provider that gives none, on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

fn token(idp: &Idp, more: Value) -> String {
    let mut claims = json!({ "aud": AUDIENCE, "realm_access": { "roles": ["user"] } });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    idp.token(claims)
}

/// The status of a request with this token, which must come soon.
async fn status(server: &Server, token: &str) -> u16 {
    let begun = Instant::now();
    let status = Agent::new(server.base(), Some(token)).status().await;
    assert!(begun.elapsed() < BOUND, "it took {:?}", begun.elapsed());
    status
}

/// All ways for a document to be of no use.
fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("down", Fault::Down),
        ("slow", Fault::Slow(Duration::from_secs(120))),
        ("stalled", Fault::Stalled),
        ("an error", Fault::Status(500)),
        ("no document", Fault::Status(200)),
        ("another document", Fault::Answer(200, json!({ "keys": "none" }))),
        ("huge", Fault::Huge(8 << 20)),
        ("t04 a redirect", Fault::Redirect("http://169.254.169.254/latest/meta-data".to_owned())),
    ]
}

#[tokio::test]
async fn t05_without_a_key_set_nobody_gets_in_and_it_heals() {
    let trials = faults().into_iter().map(async |(what, fault)| {
        let idp = Idp::start().await;
        let env = Env::new().with("JWKS_URI", &idp.jwks_uri()).with("JWT_AUDIENCE", AUDIENCE);
        // It starts all the same: the provider may come up later.
        idp.fail(Endpoint::Jwks, fault);
        let server = Server::start(&env);
        let good = token(&idp, json!({}));
        assert_eq!(status(&server, &good).await, 503, "{what}");
        idp.heal();
        super::session::until(what, async || status(&server, &good).await == 200).await;
        server.stop();
    });
    // Each waits for a while before it asks once more: all at a time.
    futures::future::join_all(trials).await;
}

#[tokio::test]
async fn t05_keys_that_are_known_stay_good_while_the_provider_is_away() {
    let idp = Idp::start().await;
    let env = Env::new().with("AUTH_ISSUER", idp.issuer()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    assert_eq!(status(&server, &token(&idp, json!({}))).await, 200);
    for (what, fault) in faults() {
        idp.heal();
        idp.fail(Endpoint::Jwks, fault.clone());
        idp.fail(Endpoint::Discovery, fault);
        assert_eq!(status(&server, &token(&idp, json!({}))).await, 200, "{what}");
        // A key that nobody has heard of does not get in, and does not take long.
        let stranger = key::es256().sign(&idp.claims(json!({ "aud": AUDIENCE })));
        let answer = status(&server, &stranger).await;
        assert!(matches!(answer, 401 | 503), "{what}: {answer}");
    }
    server.stop();
}

#[tokio::test]
async fn t04_unknown_keys_ask_for_the_set_now_and_then_only() {
    let idp = Idp::start().await;
    let env = Env::new().with("JWKS_URI", &idp.jwks_uri()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    assert_eq!(status(&server, &token(&idp, json!({}))).await, 200);
    let (before, begun) = (idp.counts().jwks, Instant::now());
    for number in 0..30 {
        let header = json!({ "alg": "RS256", "kid": format!("../../{number}' OR 1=1 --http://evil.test/") });
        let forged = key::other_rs256().sign_with(&header, &idp.claims(json!({ "aud": AUDIENCE })));
        assert_eq!(status(&server, &forged).await, 401, "t03");
    }
    let asked = idp.counts().jwks - before;
    let allowed = 1 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap();
    assert!(asked <= allowed, "{asked} requests in {:?}", begun.elapsed());
    server.stop();
}

#[tokio::test]
async fn wrong_keys_and_wrong_issuers_let_nobody_in() {
    // Keys of somebody else under the right ids.
    let idp = Idp::start().await;
    idp.fail(Endpoint::Jwks, Fault::WrongKeys);
    let env = Env::new().with("AUTH_ISSUER", idp.issuer()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    assert_eq!(status(&server, &token(&idp, json!({}))).await, 401);
    server.stop();

    // A discovery document of somebody else.
    let idp = Idp::start().await;
    idp.fail(Endpoint::Discovery, Fault::WrongIssuer("https://evil.test".to_owned()));
    let env = Env::new().with("AUTH_ISSUER", idp.issuer()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    let good = token(&idp, json!({}));
    assert_eq!(status(&server, &good).await, 503);
    assert_eq!(status(&server, &token(&idp, json!({ "iss": "https://evil.test" }))).await, 503);
    idp.heal();
    super::session::until("the right document", async || status(&server, &good).await == 200).await;
    server.stop();
}

#[tokio::test]
async fn t09_introspection_that_does_not_answer_lets_nobody_in() {
    let idp = Idp::start().await;
    let env = Env::new()
        .with("INTROSPECTION_ENDPOINT", &idp.introspection_endpoint())
        .with("OAUTH_CLIENT_ID", nocrd_testkit::idp::CLIENT_ID)
        .with("OAUTH_CLIENT_SECRET", nocrd_testkit::idp::SECRET)
        .with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    for (what, fault) in faults() {
        idp.fail(Endpoint::Introspection, fault);
        let answer = status(&server, &token(&idp, json!({}))).await;
        assert!(matches!(answer, 401 | 503), "{what}: {answer}");
    }
    idp.heal();
    idp.fail(
        Endpoint::Introspection,
        Fault::Answer(200, json!({ "active": "true", "sub": "alice", "exp": 4_000_000_000_u64 })),
    );
    assert_eq!(status(&server, &token(&idp, json!({}))).await, 401, "a text is not true");
    idp.heal();
    assert_eq!(status(&server, &token(&idp, json!({}))).await, 200);
    server.stop();
}

#[tokio::test]
async fn whoever_is_signed_in_stays_so_while_the_provider_is_away() {
    let idp = Idp::start().await;
    let (front, server, alice) = signed_in_at(&idp).await;

    for fault in [Fault::Down, Fault::Slow(Duration::from_secs(120)), Fault::Status(503)] {
        idp.fail_everywhere(&fault);
        let begun = Instant::now();
        assert_eq!(alice.session().await["sub"], "alice");
        // What only the provider can say is not known now, and the means to ask it later are kept.
        let (cut_off, refresh) = (alice.copy(), alice.cookie("nocr_refresh"));
        cut_off.forget("nocr_sess");
        assert_eq!(cut_off.status("/auth/session").await, 503, "d35 {fault:?}");
        assert_eq!(cut_off.cookie("nocr_refresh"), refresh, "d35 {fault:?}");
        assert!(begun.elapsed() < BOUND, "{fault:?}: it took {:?}", begun.elapsed());
    }
    let refresh = alice.cookie("nocr_refresh").unwrap();
    alice.forget("nocr_sess");
    let stranger = Visitor::of(front.origin());
    assert_eq!(stranger.status("/auth/session").await, 401);
    assert!(stranger.status("/auth/login").await.is_redirection(), "what it said about itself is forgotten");

    idp.heal();
    super::session::until("the refresh", async || alice.status("/auth/session").await == 200).await;
    assert!(alice.cookie("nocr_sess").is_some() && alice.cookie("nocr_refresh") != Some(refresh));
    // A provider that refuses is another matter than one that fails.
    alice.forget("nocr_sess");
    idp.fail(Endpoint::Token, Fault::Answer(400, json!({ "error": "invalid_grant" })));
    assert_eq!(alice.status("/auth/session").await, 401);
    assert!(alice.cookie("nocr_refresh").is_none());
    server.stop();
}
