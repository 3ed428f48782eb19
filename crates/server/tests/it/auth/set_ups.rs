//! The set-ups of the guide, each by environment variables alone.

use nocrd_testkit::{
    Idp, TokenForm, idp,
    key::{self, Algorithm, SigningKey},
};
use serde_json::{Value, json};

use crate::{
    auth::send,
    support::{Cluster, Running, initialize, settings},
};

/// What a server says to `GET /auth/session` with this token.
async fn who(server: &Running, token: &str) -> (u16, Value) {
    let (status, _, body) = send(server.get("/auth/session").bearer_auth(token)).await;
    (status, body)
}

async fn start(cluster: &Cluster, env: &[(&str, &str)]) -> Running {
    let fixed = [("AUTH_ENABLED", "true"), ("HOST", "127.0.0.1")];
    Running::start(cluster, &[&fixed[..], env].concat()).await
}

fn claims(extra: Value) -> Value {
    let mut claims = json!({
        "sub": "alice", "aud": "no-crd", "exp": idp::now() + 300, "realm_access": { "roles": ["user"] },
        "scope": "nogoo9:read nogoo9:write",
    });
    claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    claims
}

/// A server with this key lets in whoever has a token of it, and nobody else.
async fn lets_in(env: &[(&str, &str)], key: &SigningKey, other: &SigningKey) {
    let cluster = Cluster::start().await;
    let server = start(&cluster, env).await;
    let (status, body) = who(&server, &key.sign(&claims(json!({})))).await;
    let told = (body.get("sub"), body.get("role"));
    assert_eq!((status, told), (200, (Some(&json!("alice")), Some(&json!("user")))), "{env:?} {body}");
    assert_eq!(who(&server, &other.sign(&claims(json!({})))).await.0, 401, "{env:?}");
    let token = key.sign(&claims(json!({})));
    assert_eq!(server.post_mcp(&initialize()).bearer_auth(&token).send().await.unwrap().status(), 200);
    assert_eq!(server.initialize().await.status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn by_a_shared_secret() {
    let other = SigningKey::generate(Algorithm::HS256);
    lets_in(&[("JWT_SECRET", key::hs256().secret())], key::hs256(), &other).await;
}

#[tokio::test]
async fn by_the_public_key_of_rsa_and_of_p256() {
    let audience = ("JWT_AUDIENCE", "no-crd");
    lets_in(&[("JWT_PUBLIC_KEY", key::rs256().public_pem()), audience], key::rs256(), key::other_rs256())
        .await;
    // As it fits into one line of an environment file.
    let line = key::es256().public_pem().replace('\n', "\\n");
    lets_in(&[("JWT_PUBLIC_KEY", &line), audience], key::es256(), key::other_es256()).await;
}

#[tokio::test]
async fn by_a_key_set_at_a_url_and_in_a_file() {
    let idp = Idp::start().await;
    let client = ("OAUTH_CLIENT_ID", "no-crd");
    lets_in(&[("JWKS_URI", &idp.jwks_uri()), client], key::rs256(), key::other_rs256()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    std::fs::write(&path, key::jwks([key::es256()]).to_string()).unwrap();
    lets_in(&[("JWKS_URI", path.to_str().unwrap()), client], key::es256(), key::other_es256()).await;
}

#[tokio::test]
async fn by_discovery_and_by_the_issuer_alone() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let (discovery, issuer) = (idp.discovery_url(), idp.issuer().to_owned());
    for source in [("OAUTH_DISCOVERY_URL", &discovery), ("AUTH_ISSUER", &issuer)] {
        let server = start(&cluster, &[(source.0, source.1), ("OAUTH_CLIENT_ID", "no-crd")]).await;
        let (status, body) = who(&server, &idp.token(json!({ "sub": "bob" }))).await;
        assert_eq!((status, &body["sub"]), (200, &json!("bob")), "{source:?} {body}");
        assert_eq!(who(&server, &idp.token(json!({ "aud": "another-program" }))).await.0, 401);
        server.stop().await;
    }
}

#[tokio::test]
async fn by_endpoints_without_discovery() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let env = [
        ("OAUTH_AUTHORIZATION_URL", idp.url("/authorize")),
        ("OAUTH_TOKEN_URL", idp.url("/token")),
        ("JWKS_URI", idp.jwks_uri()),
        ("OAUTH_CLIENT_ID", "no-crd".to_owned()),
    ];
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = start(&cluster, &env).await;
    assert_eq!(who(&server, &idp.token(json!({}))).await.0, 200);
    let (status, headers, _) = send(server.get("/auth/login")).await;
    assert_eq!(status, 303);
    assert!(headers["location"].to_str().unwrap().starts_with(&idp.url("/authorize")));
    server.stop().await;
}

#[tokio::test]
async fn by_introspection() {
    let config = idp::Config { access_tokens: TokenForm::Opaque, ..idp::Config::default() };
    let (cluster, idp) = (Cluster::start().await, Idp::with(config).await);
    let endpoint = idp.introspection_endpoint();
    let env = [
        ("INTROSPECTION_ENDPOINT", &endpoint[..]),
        ("OAUTH_CLIENT_ID", "no-crd"),
        ("OAUTH_CLIENT_SECRET", idp::SECRET),
    ];
    let server = start(&cluster, &env).await;
    let token = idp.token(json!({ "sub": "carol", "roles": ["admin"] }));
    let (status, body) = who(&server, &token).await;
    assert_eq!((status, &body["sub"], &body["role"]), (200, &json!("carol"), &json!("admin")), "{body}");
    assert_eq!(who(&server, "no-such-token").await.0, 401);
    server.stop().await;
}

#[tokio::test]
async fn with_claims_of_other_names() {
    let cluster = Cluster::start().await;
    let env = [
        ("JWT_SECRET", key::hs256().secret()),
        ("AUTH_SUB_JSONPATH", "$.email"),
        ("AUTH_ADMIN_JSONPATH", "$['https://example.com/groups'][*].name"),
        ("AUTH_SCOPE_JSONPATH", "$.permissions"),
        ("AUTH_ADMIN_ROLE", "operators"),
        ("AUTH_REQUIRED_READ_SCOPE", "pods:read"),
    ];
    let server = start(&cluster, &env).await;
    let token = |groups: Value, permissions: Value| {
        key::hs256().sign(&json!({
            "sub": "42", "email": "dave@example.com", "exp": idp::now() + 60,
            "https://example.com/groups": groups, "permissions": permissions,
            // Whoever may choose names for these must gain nothing.
            "roles": ["operators"], "realm_access": { "roles": ["operators"] }, "scope": "nogoo9:admin",
        }))
    };
    let (status, body) = who(&server, &token(json!([{ "name": "user" }]), json!(["pods:read"]))).await;
    assert_eq!(
        (status, &body["sub"], &body["role"]),
        (200, &json!("dave@example.com"), &json!("user")),
        "{body}"
    );
    let admin = token(json!([{ "name": "operators" }]), json!(["nogoo9:admin"]));
    assert_eq!(who(&server, &admin).await.1["role"], "admin");
    let other = token(json!([{ "name": "user" }]), json!(["pods:write"]));
    let (status, headers, _) = send(server.post_mcp(&initialize()).bearer_auth(&other)).await;
    assert_eq!(status, 403);
    let challenge = headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("insufficient_scope") && challenge.contains("pods:read"), "{challenge}");
    server.stop().await;
}

#[tokio::test]
async fn d33_with_administrators_by_name() {
    let cluster = Cluster::start().await;
    let env = [("JWT_SECRET", key::hs256().secret()), ("AUTH_ADMIN_USERS", "root, ops@example.com")];
    let server = start(&cluster, &env).await;
    for (sub, role, mcp) in [("ops@example.com", "admin", 200), ("mallory", "none", 403)] {
        let token = key::hs256().sign(&claims(json!({ "sub": sub, "realm_access": { "roles": ["zzz"] } })));
        let (status, body) = who(&server, &token).await;
        assert_eq!((status, body["role"].as_str()), (200, Some(role)), "{body}");
        let answer = server.post_mcp(&initialize()).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), mcp, "{sub}");
    }
    server.stop().await;
}

#[tokio::test]
async fn t07_d05_no_header_makes_a_token_for_somebody_else_good() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let issuer = idp.issuer().to_owned();
    let env = [
        ("AUTH_ISSUER", &issuer[..]),
        ("PUBLIC_URL", "https://no-crd.example"),
        ("ALLOWED_HOSTS", "app.example"),
    ];
    let server = start(&cluster, &env).await;
    let token = idp.token(json!({ "aud": "https://app.example" }));
    for headers in [
        &[][..],
        &[("host", "app.example")],
        &[("x-forwarded-host", "app.example"), ("x-forwarded-proto", "https")],
        &[("host", "app.example"), ("x-forwarded-host", "app.example"), ("x-forwarded-proto", "https")],
        &[("forwarded", "host=app.example;proto=https")],
    ] {
        let request = server.client.get(format!("{}/auth/session", server.base)).bearer_auth(&token);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        assert_eq!(send(request).await.0, 401, "{headers:?}");
    }
    let own = idp.token(json!({ "aud": ["x", "https://NO-CRD.example/mcp"] }));
    assert_eq!(who(&server, &own).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn d26_unchecked_tokens_come_from_the_proxy_only() {
    let cluster = Cluster::start().await;
    let unsigned = key::unsigned(&json!({ "alg": "RS256" }), &claims(json!({})));
    let off = ("JWT_VERIFICATION_REQUIRED", "false");
    let server = start(&cluster, &[off]).await;
    assert_eq!(who(&server, &unsigned).await.0, 200, "a loopback address");
    let expired = key::unsigned(&json!({ "alg": "RS256" }), &claims(json!({ "exp": 1 })));
    assert_eq!(who(&server, &expired).await.0, 401, "the rest is checked");
    server.stop().await;
    // Where proxies are named they decide, also on a loopback address.
    let server = start(&cluster, &[off, ("TRUSTED_PROXIES", "10.0.0.7/32")]).await;
    assert_eq!(who(&server, &unsigned).await.0, 401);
    server.stop().await;
    for (proxies, expected) in [("127.0.0.0/8", 200), ("10.0.0.7/32", 401)] {
        let server = Running::start(
            &cluster,
            &[("AUTH_ENABLED", "true"), ("HOST", "0.0.0.0"), off, ("TRUSTED_PROXIES", proxies)],
        )
        .await;
        assert_eq!(who(&server, &unsigned).await.0, expected, "{proxies}");
        // They check headers, and nobody has checked a link.
        let link = format!("{}/?token={unsigned}", server.base);
        let page = server.client.get(link).header("accept", "text/html").header("sec-fetch-site", "none");
        let (status, headers, _) = send(page).await;
        assert_eq!((status, headers.get("set-cookie")), (200, None), "{proxies}");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_key_ends_the_start() {
    use nocrd_server::{Components, Server, Shutdown};
    let cluster = Cluster::start().await;
    for (name, value) in [("JWT_PUBLIC_KEY", "no key"), ("AUTH_SUB_JSONPATH", "$[?")] {
        let env = [
            ("AUTH_ENABLED", "true"),
            ("JWT_AUDIENCE", "x"),
            ("JWT_SECRET", key::hs256().secret()),
            (name, value),
        ];
        let error = match Server::bind(settings(&cluster, &env), Components::ALL).await {
            Ok(server) => server.serve(Shutdown::new()).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(
            error.to_string().contains(name) && std::error::Error::source(&error).is_some(),
            "{name}: {error}"
        );
    }
}
