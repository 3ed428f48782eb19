//! Rights that come from a token and end in the cluster.

use futures::future::join_all;
use nocrd_devcluster::kind::Kind;
use nocrd_testkit::idp;
use serde_json::{Value, json};

use super::{World, send};
use crate::support::Running;

const BOTH: &str = "nogoo9:read nogoo9:write";

async fn call(server: &Running, token: &str, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = server.post_mcp(&message).bearer_auth(token).header("mcp-protocol-version", "2025-11-25");
    let (status, _, body) = send(request).await;
    assert_eq!(status, 200, "{tool}: {body}");
    body.get("result").unwrap().clone()
}

#[tokio::test]
async fn t56_each_user_has_as_many_workspaces_as_allowed_over_all_replicas() {
    let env = [("STATELESS", "true"), ("MAX_WORKSPACES_PER_USER", "3")];
    let world = World::start(&env).await;
    let issuer = world.idp.issuer().to_owned();
    let fixed = [("AUTH_ENABLED", "true"), ("AUTH_ISSUER", &issuer), ("OAUTH_CLIENT_ID", idp::CLIENT_ID)];
    let local = [("HOST", "127.0.0.1"), ("PROXY_SESSION_SECRET", "a secret of the tests, long enough")];
    let other = Running::start(&world.cluster, &[&fixed[..], &local, &env].concat()).await;
    let users = ["alice", "bob"].map(|name| (name, world.token(name, &["user"], BOTH)));
    let spawns = (0..16).map(|n| {
        let (server, (name, token)) = ([&world.server, &other][n % 2], &users[n / 2 % 2]);
        async move {
            let spec = json!({ "containers": [{ "name": "agent", "image": "busybox" }] });
            let arguments = json!({ "id": format!("w{n}"), "spec": spec });
            let done = call(server, token, "spawn_workspace", arguments).await["isError"] == json!(false);
            (*name, done)
        }
    });
    let outcomes = join_all(spawns).await;
    for (name, token) in &users {
        let done = outcomes.iter().filter(|(who, done)| who == name && *done).count();
        assert_eq!(done, 3, "{name}: {outcomes:?}");
        // What was undone is gone a moment later, there too.
        tokio::time::timeout(crate::support::PATIENCE, async {
            loop {
                let listed = call(&other, token, "list_workspaces", json!({})).await;
                match listed.pointer("/structuredContent/workspaces").unwrap().as_array().unwrap().len() {
                    3 => break,
                    more => assert!(more > 3, "{name}: {listed}"),
                }
            }
        })
        .await
        .unwrap();
    }
    let pods = world.cluster.dev.store().list(Kind::Pod, None).items.len();
    assert_eq!(pods, 6);
    other.stop().await;
    world.server.stop().await;
}

#[tokio::test]
async fn templates_are_for_whose_token_says_so() {
    let world = World::start(&[("STATELESS", "true")]).await;
    let template = json!({
        "metadata": {
            "name": "gpu", "namespace": "nogoo9", "labels": { "nogoo9/pod-template": "true" },
            "annotations": { "nogoo9/allowed-roles": "ml, ops", "nogoo9/allowed-scopes": "gpu:use" },
        },
        "data": { "spec": "containers: [{name: agent, image: busybox}]" },
    });
    world.cluster.dev.store().create(Kind::ConfigMap, template).unwrap();
    let allowed = world.token("alice", &["user", "ml"], &format!("{BOTH} gpu:use"));
    let names = async |token: &str| {
        let listed = call(&world.server, token, "list_templates", json!({})).await;
        listed.pointer("/structuredContent/templates").unwrap().to_string()
    };
    // The index learns of it.
    tokio::time::timeout(crate::support::PATIENCE, async {
        while !names(&allowed).await.contains("gpu") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    let spawn = async |token: &str, id: &str| {
        call(&world.server, token, "spawn_workspace", json!({ "id": id, "templateRef": "nogoo9/gpu" })).await
    };
    for (n, (roles, scopes)) in [
        (&["user"][..], "gpu:use"),
        (&["user", "ML"], "gpu:use"),
        (&["user", "ml"], ""),
        (&["user", "ml"], "gpu:user"),
        (&["user", "mlops"], "gpu:use"),
    ]
    .into_iter()
    .enumerate()
    {
        let token = world.token("bob", roles, &format!("{BOTH} {scopes}"));
        assert!(!names(&token).await.contains("gpu"), "{roles:?} {scopes}");
        assert_eq!(
            call(&world.server, &token, "get_template", json!({ "name": "gpu" })).await["isError"],
            true
        );
        assert_eq!(spawn(&token, &format!("no-{n}")).await["isError"], true, "{roles:?} {scopes}");
    }
    assert_eq!(spawn(&allowed, "yes").await["isError"], false);
    let admin = world.token("root", &["admin"], &format!("{BOTH} nogoo9:admin"));
    assert_eq!(spawn(&admin, "too").await["isError"], false);
    assert_eq!(world.cluster.dev.store().list(Kind::Pod, None).items.len(), 2);
    world.server.stop().await;
}

#[tokio::test]
async fn the_server_s_own_rights_are_told_with_the_tools_they_allow() {
    let world = World::start(&[]).await;
    let token = world.token("alice", &["viewer"], "nogoo9:read");
    let told = async || send(world.ask(reqwest::Method::GET, "/permissions", Some(&token))).await.2;
    let body = told().await;
    assert_eq!(body["configuredFlags"]["mode"], "cluster", "{body}");
    assert!(body["permissions"].is_object() || body["permissions"].is_array(), "{body}");
    let has = |body: &Value, list: &str, tool: &str| {
        body[list].as_array().unwrap().iter().any(|entry| entry == tool || entry["name"] == tool)
    };
    assert!(
        has(&body, "enabledTools", "spawn_workspace") && has(&body, "enabledTools", "list_workspaces"),
        "{body}"
    );
    world.server.stop().await;

    let cluster = crate::support::Cluster::start().await;
    cluster.dev.access().set(vec![nocrd_devcluster::access::Rule::deny("create", "pods")]);
    let world = World::over(cluster, &[]).await;
    let token = world.token("alice", &["viewer"], "nogoo9:read");
    let body = send(world.ask(reqwest::Method::GET, "/mcp/permissions", Some(&token))).await.2;
    assert!(
        has(&body, "disabledTools", "spawn_workspace") && !has(&body, "enabledTools", "spawn_workspace"),
        "{body}"
    );
    assert!(has(&body, "enabledTools", "list_workspaces"), "{body}");
    world.server.stop().await;
}
