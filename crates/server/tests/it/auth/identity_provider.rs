//! The identity provider's addresses: wrong ones, and ones that the server alone uses.

use nocrd_testkit::{Endpoint, Fault, Idp, TokenForm, User, idp, key};
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, location, send, sign_in::Browser};
use crate::{
    operations::Logs,
    support::{Cluster, Relay, Running, free_port},
};

/// Port 9 of this machine, where nobody answers.
const NOBODY: &str = "http://127.0.0.1:9";

async fn start(cluster: &Cluster, env: &[(&str, &str)]) -> Running {
    let port = free_port();
    let fixed = [
        ("AUTH_ENABLED", "true"),
        ("HOST", "127.0.0.1"),
        ("OAUTH_CLIENT_ID", idp::CLIENT_ID),
        ("METRICS_PORT", &port),
    ];
    Running::start(cluster, &[&fixed[..], env].concat()).await
}

/// What the probe tells operators of the provider, once it was asked; everybody learns whether it answers.
async fn state(server: &Running) -> Value {
    let of = |ready: &Value| ready.pointer("/checks/identityProvider").cloned().unwrap_or_default();
    let is_asked = |ready: &Value| of(ready).get("reachable").is_some_and(Value::is_boolean);
    let state = of(&server.readiness(|status, ready| status == 200 && is_asked(ready)).await);
    let public: Value = server.get("/readyz").send().await.unwrap().json().await.unwrap();
    assert_eq!(of(&public), json!({ "reachable": state.get("reachable") }));
    state
}

#[tokio::test]
async fn an_address_where_nobody_answers_shows_at_the_start() {
    let logs = Logs::listen();
    let cluster = Cluster::start().await;
    for env in [("AUTH_ISSUER", NOBODY), ("JWKS_URI", &format!("{NOBODY}/keys"))] {
        let server = start(&cluster, &[env]).await;
        let state = state(&server).await;
        assert_eq!(state["reachable"], false, "{env:?} {state}");
        let (status, _, body) =
            send(server.get("/permissions").bearer_auth(key::rs256().sign(&json!({})))).await;
        let message = "the identity provider could not be asked about the token";
        assert_eq!((status, &body["message"], &body["code"]), (503, &json!(message), &json!("NCR0406")));
        let told = state["lastError"].as_str().unwrap();
        assert!(told.ends_with("can't be read: not reachable") && !told.contains("127.0.0.1"), "{told}");
        server.stop().await;
    }
    let text = logs.text();
    for address in ["/.well-known/openid-configuration", "/keys"] {
        let line = text.lines().find(|line| line.contains(&format!("{NOBODY}{address} can't be read")));
        assert!(line.is_some_and(|line| line.contains("Connection refused")), "{address}: {text}");
    }
}

#[tokio::test]
async fn another_issuer_shows_beside_the_expected_one() {
    let logs = Logs::listen();
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let other = "https://idp.example/realms/b".to_owned();
    idp.fail(Endpoint::Discovery, Fault::WrongIssuer(other.clone()));
    let server = start(&cluster, &[("AUTH_ISSUER", idp.issuer())]).await;
    assert_eq!(
        state(&server).await["lastError"],
        "the identity provider's metadata can't be read: it names another issuer"
    );
    let text = logs.text();
    let line = text.lines().find(|line| line.contains(&other)).unwrap();
    assert!(line.contains(&format!("not {:?}", idp.issuer())), "{line}");
    server.stop().await;
}

#[tokio::test]
async fn an_introspection_that_refuses_the_server_shows_at_the_start() {
    let logs = Logs::listen();
    let config = idp::Config { access_tokens: TokenForm::Opaque, ..idp::Config::default() };
    let (cluster, idp) = (Cluster::start().await, Idp::with(config).await);
    let endpoint = ("INTROSPECTION_ENDPOINT", &*idp.introspection_endpoint());
    let server = start(&cluster, &[endpoint, ("OAUTH_CLIENT_SECRET", "wrong")]).await;
    assert_eq!(state(&server).await["reachable"], false);
    assert!(logs.text().contains("check OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET"), "{}", logs.text());
    server.stop().await;
    let server = start(&cluster, &[endpoint, ("OAUTH_CLIENT_SECRET", idp::SECRET)]).await;
    assert_eq!(state(&server).await, json!({ "reachable": true }));
    server.stop().await;
}

#[tokio::test]
async fn who_asks_nobody_has_no_provider() {
    let cluster = Cluster::start().await;
    let server = start(&cluster, &[("JWT_SECRET", key::hs256().secret())]).await;
    let checks: Value = server.get("/readyz").send().await.unwrap().json().await.unwrap();
    assert_eq!(checks["checks"].get("identityProvider"), None, "{checks}");
    server.stop().await;
}

#[tokio::test]
async fn the_server_reaches_the_provider_by_another_way_than_browsers_do() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let relay = Relay::start(idp.issuer().strip_prefix("http://").unwrap().parse().unwrap()).await;
    let inside = |path: &str| format!("http://{}{path}", relay.address);
    let (discovery, token) = (inside("/.well-known/openid-configuration"), inside("/token"));
    let keys = inside("/jwks");
    let env = [
        ("AUTH_ENABLED", "true"),
        ("HOST", "127.0.0.1"),
        ("AUTH_ISSUER", idp.issuer()),
        ("OAUTH_CLIENT_ID", idp::CLIENT_ID),
        ("OAUTH_SERVER_DISCOVERY_URL", &discovery),
        ("OAUTH_SERVER_TOKEN_URL", &token),
        ("JWKS_URI", &keys),
    ];
    let server = Running::start(&cluster, &env).await;
    idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
    let world = World { cluster, idp, server };
    let mut browser = Browser::default();
    browser.sign_in(&world, "/").await;
    assert!(browser.has("nocr_sess"));

    let (_, headers, _) = browser.visit(&world, &format!("{}/auth/login", world.server.base)).await;
    assert!(
        location(&headers).starts_with(&world.idp.url("/authorize")),
        "browsers go to the name they know"
    );
    let (_, back, _) = send(world.server.client.get(location(&headers))).await;
    relay.cut();
    assert_eq!(
        browser.visit(&world, location(&back)).await.0,
        503,
        "the code is exchanged by the way inside"
    );
    world.server.stop().await;
}

#[tokio::test]
async fn where_browsers_sign_out_is_what_was_said_whatever_discovery_says() {
    const SAID: &str = "https://sso.example/bye";
    let leads_to = async |world: &World| {
        world.idp.sign_in_as(User::new("alice"));
        let mut browser = Browser::default();
        browser.sign_in(world, "/").await;
        let request = world.ask(Method::POST, "/logout", None).header("cookie", browser.cookies());
        let request = request.header("accept", "text/html").header("origin", &world.server.base);
        let (status, headers, _) = send(request).await;
        assert_eq!(status, 303);
        location(&headers).to_owned()
    };
    let world = World::start(&[("OAUTH_END_SESSION_URL", SAID)]).await;
    let target = leads_to(&world).await;
    assert!(target.starts_with(&format!("{SAID}?client_id=no-crd&post_logout_redirect_uri=")), "{target}");
    world.server.stop().await;

    // Without discovery, nothing else tells.
    for (said, expected) in [(Some(SAID), SAID), (None, "/")] {
        let (cluster, idp) = (Cluster::start().await, Idp::start().await);
        let urls = [idp.url("/authorize"), idp.url("/token"), idp.jwks_uri()];
        let names = ["OAUTH_AUTHORIZATION_URL", "OAUTH_TOKEN_URL", "JWKS_URI"];
        let mut env: Vec<_> = names.into_iter().zip(urls.iter().map(String::as_str)).collect();
        env.extend(said.map(|url| ("OAUTH_END_SESSION_URL", url)));
        let server = start(&cluster, &env).await;
        let world = World { cluster, idp, server };
        let target = leads_to(&world).await;
        assert!(target.starts_with(expected), "{target}");
        world.server.stop().await;
    }
}

#[tokio::test]
async fn the_log_tells_at_the_start_what_the_settings_come_to() {
    let logs = Logs::listen();
    let cluster = Cluster::start().await;
    let server =
        Running::start(&cluster, &[("AUTH_ENABLED", "true"), ("JWT_SECRET", key::hs256().secret())]).await;
    let text = logs.text();
    let line = text.lines().find(|line| line.contains("authentication is on")).unwrap();
    for part in [
        "issuer=\"any\"",
        "checked by JWT_SECRET",
        "set JWT_AUDIENCE",
        "sign_in=false",
        "role viewer, scope nogoo9:read",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(text.contains("the session key is known") && text.contains("source=\"JWT_SECRET\""), "{text}");
    server.stop().await;
}
