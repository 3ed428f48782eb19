//! The key of sessions, on a server as it is composed.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nocrd_devcluster::{access::Rule, kind::Kind, store::Preconditions};
use nocrd_model::keys::{REVOCATIONS_CONFIG_MAP, SESSION_KEY_SECRET};
use nocrd_server::{Components, endpoints};
use nocrd_testkit::{Idp, idp};
use serde_json::{Value, json};

use crate::support::{Cluster, PATIENCE, Relay, Running, free_port};

/// Replicas of one installation.
async fn start(cluster: &Cluster, idp: &Idp, env: &[(&str, &str)]) -> Running {
    let issuer = idp.issuer().to_owned();
    let fixed = [("AUTH_ENABLED", "true"), ("AUTH_ISSUER", &issuer), ("OAUTH_CLIENT_ID", idp::CLIENT_ID)];
    let local = [("HOST", "127.0.0.1")];
    Running::begin(cluster, &[&fixed[..], &local, env].concat(), Components::ALL).await
}

/// What `/readyz` says that readiness depends on.
async fn checks(server: &Running) -> Value {
    let text = server.until("/readyz", |_, text| text.starts_with('{')).await;
    serde_json::from_str::<Value>(&text).unwrap().get("checks").unwrap().clone()
}

#[tokio::test]
async fn replicas_share_the_key_through_a_secret() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let replicas = [start(&cluster, &idp, &[]).await, start(&cluster, &idp, &[]).await];
    for replica in &replicas {
        replica.ready().await;
        assert_eq!(checks(replica).await["sessionKey"], true);
    }
    let token = idp.token(serde_json::json!({ "sub": "alice", "roles": ["user"], "scope": "nogoo9:read" }));
    let answer = replicas[0]
        .get("/auth/session")
        .bearer_auth(token)
        .header("sec-fetch-site", "same-origin")
        .send()
        .await
        .unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    for replica in &replicas {
        let answer = replica.get("/auth/session").header("cookie", &cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test]
async fn a_key_that_nobody_else_has_is_told_as_such() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let ports = [(); 4].map(|()| free_port());
    let ports = ports.each_ref().map(|port| ("METRICS_PORT", &**port));
    let sharing = [start(&cluster, &idp, &ports[..1]).await, start(&cluster, &idp, &ports[1..2]).await];
    for server in &sharing {
        server.ready().await;
    }
    cluster.dev.access().set(vec![Rule::deny("*", "secrets")]);
    let alone = start(&cluster, &idp, &ports[2..3]).await;
    let told = [("PROXY_SESSION_SECRET", "a secret that was told to all replicas"), ports[3]];
    let told = start(&cluster, &idp, &told).await;
    let mut keys = Vec::new();
    for (server, shared) in [(&sharing[0], true), (&sharing[1], true), (&alone, false), (&told, true)] {
        server.ready().await;
        let checks = checks(server).await;
        assert_eq!((&checks["sessionKey"], &checks["sessionKeyShared"]), (&json!(true), &json!(shared)));
        // An id is a hash of the key, for operators alone.
        assert_eq!(checks.get("sessionKeyId"), None);
        let checks = &server.readiness(|status, _| status == 200).await["checks"];
        keys.push(checks["sessionKeyId"].as_str().unwrap().to_owned());
    }
    assert_eq!(keys[0], keys[1]);
    assert!(keys[0] != keys[2] && keys[2] != keys[3] && keys[0] != keys[3], "{keys:?}");
    for server in sharing.into_iter().chain([alone, told]) {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_server_without_a_key_is_not_ready() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let store = cluster.dev.store();
    let meta = serde_json::json!({ "name": SESSION_KEY_SECRET, "namespace": "nogoo9" });
    let data = serde_json::json!({ "key": STANDARD.encode("too short") });
    store.create(Kind::Secret, serde_json::json!({ "metadata": meta, "data": data })).unwrap();
    let server = start(&cluster, &idp, &[]).await;
    let text = server.until("/readyz", |_, text| text.contains("\"synced\":true")).await;
    assert!(text.contains("\"sessionKey\":false") && text.contains("not known yet"), "{text}");
    for path in ["/readyz", "/healthz"] {
        assert_eq!(server.get(path).send().await.unwrap().status(), 503, "{path}");
    }
    store.delete(Kind::Secret, "nogoo9", SESSION_KEY_SECRET, &Preconditions::none()).unwrap();
    server.ready().await;
    server.stop().await;
}

#[tokio::test]
async fn d02_t20_no_path_of_the_public_listener_gives_the_key() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let [free, metrics] = [free_port(), free_port()];
    let token_file = tempfile::NamedTempFile::new().unwrap();
    let path = token_file.path().display().to_string();
    let env = [("PEER_PORT", &free[..]), ("PEER_TOKEN_FILE", &path), ("METRICS_PORT", &metrics)];
    let server = start(&cluster, &idp, &env).await;
    server.ready().await;
    let secret = cluster.dev.store().get(Kind::Secret, "nogoo9", SESSION_KEY_SECRET).unwrap();
    let key = String::from_utf8(STANDARD.decode(secret["data"]["key"].as_str().unwrap()).unwrap()).unwrap();
    let admin = idp.token(serde_json::json!({
        "sub": "root", "roles": ["admin"], "scope": "nogoo9:read nogoo9:write nogoo9:admin",
    }));
    let hidden = [key.clone(), STANDARD.encode(&key), URL_SAFE_NO_PAD.encode(&key)];
    let tells_nothing = async |base: &str, method: &str, path: &str| {
        let request = server.client.request(method.parse().unwrap(), format!("{base}{path}"));
        // The last is what earlier versions took for a proof.
        let request = request
            .bearer_auth(&admin)
            .header("sec-fetch-site", "same-origin")
            .header("x-nogoo9-internal", "nogoo9");
        let answer = request.send().await.unwrap();
        let (status, mut told) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        // A stream that is open has no end.
        if answer.headers().get("content-type").is_none_or(|kind| kind != "text/event-stream") {
            told.push_str(&answer.text().await.unwrap());
        }
        assert!(hidden.iter().all(|key| !told.contains(key)), "{method} {path}: {told}");
        status
    };
    for endpoint in endpoints::TABLE {
        for method in endpoint.methods() {
            tells_nothing(&server.base, method, endpoint.path()).await;
        }
    }
    for path in ["/internal/session-key", "/session-key", "/mcp/session-key", "/auth/session-key"] {
        for method in ["GET", "POST"] {
            assert_eq!(tells_nothing(&server.base, method, path).await, 404, "{method} {path}");
        }
    }
    let measured = format!("http://127.0.0.1:{metrics}");
    for path in ["/metrics", "/readyz", "/session-key"] {
        tells_nothing(&measured, "GET", path).await;
    }
    // The peers' listener is another one, and serves nothing without a proof.
    let peers = format!("http://127.0.0.1:{free}");
    for path in ["/internal/session-key", "/readyz", "/mcp", "/"] {
        assert_eq!(server.client.get(format!("{peers}{path}")).send().await.unwrap().status(), 404, "{path}");
    }
    let unproven = server.client.post(format!("{peers}/session-key")).body("{}").send().await.unwrap();
    assert_eq!(unproven.status(), 400);
    server.stop().await;
}

/// The rights of nocrd-proxy in `deploy/`, but for the names, which this API server does not look at.
#[tokio::test]
async fn t55_the_proxy_shares_sessions_with_few_rights() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let mcp = start(&cluster, &idp, &[]).await;
    mcp.ready().await;
    let meta = json!({ "name": REVOCATIONS_CONFIG_MAP, "namespace": "nogoo9" });
    cluster.dev.store().create(Kind::ConfigMap, json!({ "metadata": meta })).unwrap();
    let allow = |verbs: &[&str], resource: &str| Rule {
        allow: true,
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..Rule::deny("", resource)
    };
    let may_ask = allow(&["create"], "selfsubjectaccessreviews");
    let configmaps = allow(&["get", "list", "watch", "update"], "configmaps");
    let pods = allow(&["list", "watch"], "pods");
    let all = [may_ask, pods, configmaps, allow(&["get"], "secrets"), Rule::deny("*", "*")];
    cluster.dev.access().set(all.into());
    let issuer = idp.issuer().to_owned();
    let env = [
        ("AUTH_ENABLED", "true"),
        ("AUTH_ISSUER", &*issuer),
        ("OAUTH_CLIENT_ID", idp::CLIENT_ID),
        ("HOST", "127.0.0.1"),
    ];
    let proxy = Running::begin(&cluster, &env, Components::PROXY).await;
    proxy.ready().await;
    assert_eq!(checks(&proxy).await["sessionKeyShared"], true);

    let token = idp.token(json!({ "sub": "alice", "roles": ["user"], "scope": "nogoo9:read" }));
    let ask = mcp.get("/auth/session").bearer_auth(&token).header("sec-fetch-site", "same-origin");
    let answer = ask.send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let status = async |server: &Running| {
        server.get("/auth/session").header("cookie", &cookie).send().await.unwrap().status().as_u16()
    };
    assert_eq!((status(&mcp).await, status(&proxy).await), (200, 200));
    let out = proxy.client.post(format!("{}/logout", proxy.base)).header("cookie", &cookie);
    assert_eq!(out.header("sec-fetch-site", "same-origin").send().await.unwrap().status(), 200);
    let ended = async {
        while status(&mcp).await != 401 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    for server in [mcp, proxy] {
        server.stop().await;
    }
}

#[tokio::test]
async fn t16_a_replica_that_does_not_know_yet_who_signed_out_believes_no_cookie() {
    let (cluster, idp) = (Cluster::start().await, Idp::start().await);
    let secret = ("PROXY_SESSION_SECRET", "a secret of the tests, long enough");
    let first = start(&cluster, &idp, &[secret]).await;
    first.ready().await;
    let token = idp.token(serde_json::json!({ "sub": "alice", "roles": ["user"], "scope": "nogoo9:read" }));
    let ask = first.get("/auth/session").bearer_auth(&token).header("sec-fetch-site", "same-origin");
    let answer = ask.send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let out = first.client.post(format!("{}/logout", first.base)).header("cookie", &cookie);
    assert_eq!(out.header("sec-fetch-site", "same-origin").send().await.unwrap().status(), 200);

    let relay = Relay::start(cluster.address()).await;
    cluster.reach_through(&relay);
    relay.cut();
    let second = start(&cluster, &idp, &[secret]).await;
    let text = second.until("/readyz", |_, text| text.starts_with('{')).await;
    let ready: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ready.pointer("/checks/revocations"), Some(&Value::Bool(false)), "{text}");
    let status = async || {
        second.get("/auth/session").header("cookie", &cookie).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 503);
    let by_token = second.get("/auth/session").bearer_auth(&token).send().await.unwrap();
    assert_eq!(by_token.status(), 200, "tokens need no list");
    relay.mend();
    second.ready().await;
    assert_eq!(status().await, 401);
    first.stop().await;
    second.stop().await;
}
