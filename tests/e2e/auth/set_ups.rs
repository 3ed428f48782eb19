//! The ways to set authentication up, each by environment variables alone.

use std::fs;

use nocrd_testkit::{Client, Config, Idp, SigningKey, TokenForm, key};
use serde_json::{Value, json};

use super::{
    front::Front,
    server::{Agent, Env, Server},
    session::user,
    visitor::Visitor,
};
use crate::program::Program;

const AUDIENCE: &str = "https://no-crd.test";
const TEMPLATE: &str = "default-agent-workspace";

/// Claims of a user's token, with these among them; `null` takes one away.
fn claims(more: Value) -> Value {
    let mut all = json!({
        "sub": "alice",
        "aud": AUDIENCE,
        "exp": nocrd_testkit::idp::now() + 300,
        "scope": "nogoo9:read nogoo9:write",
        "realm_access": { "roles": ["user"] },
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    all
}

/// A server lets the tokens of this key in, and no others.
async fn tells_keys_apart(server: &Server, key: &SigningKey, other: &SigningKey) {
    let status = async |token: &str| Agent::new(server.base(), Some(token)).status().await;
    let good = key.sign(&claims(json!({})));
    assert_eq!(status(&good).await, 200);
    let who = Agent::new(server.base(), Some(&good)).who().await;
    assert_eq!((&who["sub"], &who["role"]), (&json!("alice"), &json!("user")), "{who}");

    for (what, token) in [
        ("another key", other.sign(&claims(json!({})))),
        ("expired", key.sign(&claims(json!({ "exp": nocrd_testkit::idp::now() - 3600 })))),
        ("no expiry", key.sign(&claims(json!({ "exp": null })))),
        ("another audience", key.sign(&claims(json!({ "aud": "https://other.test" })))),
        ("no audience", key.sign(&claims(json!({ "aud": null })))),
        ("no subject", key.sign(&claims(json!({ "sub": null })))),
        ("t01 no signature", key::unsigned(&json!({ "alg": "none" }), &claims(json!({})))),
        ("t01 no signature", key::unsigned(&json!({ "alg": "NoNe" }), &claims(json!({})))),
        ("t01 no algorithm", key::unsigned(&json!({}), &claims(json!({})))),
        ("tampered", good.replacen('.', ".e30", 1)),
        ("no token at all", "x".to_owned()),
    ] {
        assert_eq!(status(&token).await, 401, "{what}");
    }
    asks_for_a_token(server.base()).await;
}

/// Without a token there is a challenge that tells where to learn more.
async fn asks_for_a_token(base: &str) {
    let answer = Agent::new(base, None).post("list_workspaces", json!({})).await;
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Bearer ") && challenge.contains("resource_metadata=\""), "{challenge}");
}

#[tokio::test]
async fn a_shared_secret() {
    let key = key::hs256();
    let env = Env::new().with("JWT_SECRET", key.secret()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    let other = SigningKey::of_secret("another secret, long enough to be one, too");
    tells_keys_apart(&server, key, &other).await;
    // An address is written down in too many places.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = key.sign(&claims(json!({})));
    for path in ["/mcp", "/auth/session", "/permissions"] {
        let url = format!("{}{path}?token={token}", server.base());
        let post = http.post(&url).json(&super::server::call("list_workspaces", json!({})));
        assert_eq!(http.get(&url).send().await.unwrap().status(), 401, "t08 {path}");
        assert!(post.send().await.unwrap().status().is_client_error(), "t08 {path}");
    }
    server.stop();
}

#[tokio::test]
async fn an_rsa_key() {
    let key = key::rs256();
    let env = Env::new().with("JWT_PUBLIC_KEY", key.public_pem()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    tells_keys_apart(&server, key, key::other_rs256()).await;
    // Whoever knows the public key must not be able to sign with it.
    let confused = SigningKey::of_secret(key.public_pem()).sign(&claims(json!({})));
    assert_eq!(Agent::new(server.base(), Some(&confused)).status().await, 401, "t02");
    server.stop();
}

#[tokio::test]
async fn an_elliptic_key_on_one_line() {
    let key = key::es256();
    let line = key.public_pem().replace("\r\n", "\\n").replace('\n', "\\n");
    let env = Env::new().with("JWT_PUBLIC_KEY", &line).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    tells_keys_apart(&server, key, key::other_es256()).await;
    server.stop();
}

#[tokio::test]
async fn a_certificate() {
    let key = key::rs256();
    let env = Env::new().with("JWT_PUBLIC_KEY", key.certificate_pem()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    tells_keys_apart(&server, key, key::other_rs256()).await;
    server.stop();
}

#[tokio::test]
async fn a_key_set_at_a_url_and_its_rotation() {
    let idp = Idp::start().await;
    let env = Env::new().with("JWKS_URI", &idp.jwks_uri()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    tells_keys_apart(&server, key::rs256(), key::other_rs256()).await;

    // Another key, of another kind, signs from now on. What it signs makes the server look once more.
    let old = key::rs256().sign(&claims(json!({ "jti": "old" })));
    idp.rotate_to(key::eddsa());
    let new = Agent::new(server.base(), Some(&key::eddsa().sign(&claims(json!({})))));
    let deadline = std::time::Instant::now() + crate::dev::PATIENCE;
    // An unknown key id may ask for the set only now and then.
    while new.status().await != 200 {
        assert!(std::time::Instant::now() < deadline, "the new key is not learned");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(Agent::new(server.base(), Some(&old)).status().await, 200);
    server.stop();
}

#[tokio::test]
async fn a_key_set_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    fs::write(&path, key::jwks([key::es256(), key::es384()]).to_string()).unwrap();
    let env = Env::new().with("JWKS_URI", path.to_str().unwrap()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    tells_keys_apart(&server, key::es256(), key::other_es256()).await;
    let also = key::es384().sign(&claims(json!({})));
    assert_eq!(Agent::new(server.base(), Some(&also)).status().await, 200);
    server.stop();
}

#[tokio::test]
async fn an_issuer_whose_discovery_tells_the_rest() {
    let idp = Idp::start().await;
    let env = Env::new().with("AUTH_ISSUER", idp.issuer()).with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    let token = |more: Value| {
        let mut all = claims(json!({ "iss": idp.issuer() }));
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        idp.token(all)
    };
    assert_eq!(Agent::new(server.base(), Some(&token(json!({})))).status().await, 200);
    for wrong in [json!("https://evil.test"), Value::Null, json!([idp.issuer()])] {
        let token = token(json!({ "iss": wrong }));
        assert_eq!(Agent::new(server.base(), Some(&token)).status().await, 401, "t06 iss {wrong}");
    }

    // RFC 9728, at the root and before the path of the endpoint.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, resource) in [("", ""), ("/mcp", "/mcp")] {
        let url = format!("{}/.well-known/oauth-protected-resource{path}", server.base());
        let document: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(document["resource"], format!("{}{resource}", server.base()), "{document}");
        assert_eq!(document["authorization_servers"], json!([idp.issuer()]), "{document}");
        assert_eq!(
            document["scopes_supported"],
            json!(["nogoo9:read", "nogoo9:write", "nogoo9:admin"]),
            "{document}"
        );
    }
    server.stop();
}

#[tokio::test]
async fn endpoints_without_discovery() {
    let (idp, front) = (Idp::start().await, Front::open());
    idp.sign_in_as(user("alice"));
    let env = Env::new()
        .with("JWKS_URI", &idp.jwks_uri())
        .with("OAUTH_AUTHORIZATION_URL", &idp.url("/authorize"))
        .with("OAUTH_TOKEN_URL", &idp.url("/token"))
        .with("OAUTH_CLIENT_ID", nocrd_testkit::idp::CLIENT_ID)
        .with("OAUTH_CLIENT_SECRET", nocrd_testkit::idp::SECRET)
        .with("PUBLIC_URL", front.origin());
    let server = Server::start(&env);
    front.to(server.base());
    let alice = Visitor::of(front.origin());
    alice.sign_in("alice").await;
    alice.forget("nocr_sess");
    assert_eq!(alice.session().await["via"], "refresh");
    let counts = idp.counts();
    assert_eq!((counts.discovery, counts.code_grants, counts.refresh_grants), (0, 1, 1), "{counts:?}");
    server.stop();
}

#[tokio::test]
async fn introspection_of_opaque_tokens() {
    let config = Config {
        access_tokens: TokenForm::Opaque,
        audience: Some(json!(AUDIENCE)),
        clients: vec![Client::confidential("gateway", "p:ss/w%rd +")],
        ..Config::default()
    };
    let idp = Idp::with(config).await;
    let env = Env::new()
        .with("INTROSPECTION_ENDPOINT", &idp.introspection_endpoint())
        .with("OAUTH_CLIENT_ID", "gateway")
        .with("OAUTH_CLIENT_SECRET", "p:ss/w%rd +")
        .with("JWT_AUDIENCE", AUDIENCE);
    let server = Server::start(&env);
    let agent = |token: &str| Agent::new(server.base(), Some(token));
    let good = idp.token(claims(json!({})));
    assert_eq!(agent(&good).status().await, 200);
    assert_eq!(agent(&good).who().await["sub"], "alice");
    let asked = idp.counts().introspections;
    assert_eq!(agent(&good).status().await, 200);
    assert_eq!(idp.counts().introspections, asked, "a good answer is kept for a while");

    assert_eq!(agent("nobody-made-this").status().await, 401, "t09");
    let elsewhere = idp.token(claims(json!({ "aud": "https://other.test" })));
    assert_eq!(agent(&elsewhere).status().await, 401, "t09 another audience");
    let expired = idp.token(claims(json!({ "exp": 1 })));
    assert_eq!(agent(&expired).status().await, 401, "t09 expired");
    asks_for_a_token(server.base()).await;
    server.stop();
}

#[tokio::test]
async fn claims_in_other_places() {
    let key = key::hs256();
    let env = Env::new()
        .with("JWT_SECRET", key.secret())
        .with("AUTH_SUB_JSONPATH", "$['https://no-crd.test/claims'].email")
        .with("AUTH_ROLES_JSONPATH", "$.resource_access['no-crd'].roles")
        .with("AUTH_SCOPE_JSONPATH", "$.permissions[*].name")
        .with("AUTH_ADMIN_ROLE", "operator")
        .with("AUTH_REQUIRED_WRITE_ROLE", "developer")
        .with("AUTH_REQUIRED_READ_SCOPE", "see")
        .with("AUTH_REQUIRED_WRITE_SCOPE", "do");
    let server = Server::start(&env);
    let token = |roles: &[&str], scopes: &[&str]| {
        let permissions: Vec<Value> = scopes.iter().map(|name| json!({ "name": name })).collect();
        key.sign(&json!({
            "sub": "an id that nobody reads",
            "exp": nocrd_testkit::idp::now() + 300,
            "https://no-crd.test/claims": { "email": "alice@no-crd.test" },
            "resource_access": { "no-crd": { "roles": roles } },
            "permissions": permissions,
            // What the paths don't name does not count.
            "scope": "nogoo9:admin",
            "realm_access": { "roles": ["operator"] },
        }))
    };
    let developer = Agent::new(server.base(), Some(&token(&["developer"], &["see", "do"])));
    let who = developer.who().await;
    assert_eq!((&who["sub"], &who["role"]), (&json!("alice@no-crd.test"), &json!("user")), "{who}");
    assert_eq!(who["scopes"], json!(["do", "see"]), "{who}");
    let spawned = developer.tool("spawn_workspace", json!({ "id": "w1", "templateRef": TEMPLATE })).await;
    assert_eq!(spawned["id"], "w1", "{spawned}");

    // Less scope, less right; and the challenge tells which scope to ask for.
    for (scopes, tool, missing) in
        [(&["see"], "stop_workspace", "scope=\"do\""), (&["other"], "get_workspace", "scope=\"see\"")]
    {
        let agent = Agent::new(server.base(), Some(&token(&["developer"], scopes)));
        let answer = agent.post(tool, json!({ "id": "w1" })).await;
        assert_eq!(answer.status(), 403, "{tool}");
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains("insufficient_scope") && challenge.contains(missing), "{challenge}");
    }
    assert_eq!(developer.tool("get_workspace", json!({ "id": "w1" })).await["id"], "w1");
    let unrelated = Agent::new(server.base(), Some(&token(&["gardener"], &["see", "do"])));
    assert_eq!(unrelated.status().await, 403);
    server.stop();
}

#[tokio::test]
async fn administrators_by_name() {
    let key = key::hs256();
    let env = Env::new()
        .with("JWT_SECRET", key.secret())
        .with("AUTH_ADMIN_USERS", "carol@no-crd.test, dave")
        .with("PROXY_SESSION_TTL", "600");
    let server = Server::start(&env);
    let agent = |sub: &str| {
        let claims = json!({ "sub": sub, "exp": nocrd_testkit::idp::now() + 300, "scope": "nogoo9:read nogoo9:write" });
        Agent::new(server.base(), Some(&key.sign(&claims)))
    };
    let (alice, carol, dave) = (agent("alice"), agent("carol@no-crd.test"), agent("dave"));
    assert_eq!(carol.who().await["role"], "admin");
    assert_eq!(dave.who().await["role"], "admin");
    assert_eq!(agent("Dave").who().await["role"], "viewer", "names are compared exactly");

    let spawned = alice.tool("spawn_workspace", json!({ "id": "w1", "templateRef": TEMPLATE })).await;
    assert_eq!(spawned["id"], "w1", "{spawned}");
    let hidden = agent("bob").tool("get_workspace", json!({ "id": "w1" })).await;
    assert_eq!(hidden["error"]["code"], 404, "{hidden}");
    let seen = carol.tool("get_workspace", json!({ "id": "w1" })).await;
    assert_eq!(seen["id"], "w1", "{seen}");
    let stopped = carol.tool("stop_workspace", json!({ "id": "w1" })).await;
    assert_eq!(stopped["id"], "w1", "{stopped}");
    server.stop();
}

#[test]
fn t11_settings_that_protect_nothing_end_the_start() {
    let wrong = |env: &[(&str, &str)], named: &str| {
        let ended = Program::start(&["--port=0"], &[&[("AUTH_ENABLED", "true")], env].concat()).end();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(named), "{named} is not in\n{}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "it shows the secret:\n{}", ended.stderr);
    };
    wrong(&[], "AUTH_ISSUER");
    wrong(&[("JWT_SECRET", "hunter2")], "JWT_SECRET");
    wrong(&[("JWKS_URI", "https://idp.test/jwks")], "JWT_AUDIENCE");
    let secret = ("JWT_SECRET", "a secret that is long enough to be one");
    wrong(&[secret, ("AUTH_SUB_JSONPATH", "sub")], "AUTH_SUB_JSONPATH");
    let env = [("AUTH_ENABLED", "true"), secret, ("AUTH_ROLES_JSONPATH", "$.[")];
    let ended = Program::start(&["--port=0"], &env).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("AUTH_ROLES_JSONPATH"), "{}", ended.stderr);
    wrong(&[secret, ("AUTH_DEFAULT_ROLE", "admin")], "AUTH_DEFAULT_ROLE");
    wrong(
        &[secret, ("JWT_VERIFICATION_REQUIRED", "false"), ("HOST", "0.0.0.0")],
        "JWT_VERIFICATION_REQUIRED",
    );
}
