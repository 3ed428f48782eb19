//! Who did what.

use reqwest::Method;
use serde_json::{Value, json};

use super::Logs;
use crate::{
    auth::{World, send},
    support::{Cluster, Running},
};

const POD: &str = "{\"containers\":[{\"name\":\"agent\",\"image\":\"busybox\"}]}";

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

fn acts_of<'a>(acts: &'a [Value], action: &str) -> Vec<&'a Value> {
    acts.iter().filter(|act| act["action"] == action).collect()
}

#[tokio::test]
async fn t54_spawning_and_stopping_are_told_without_what_is_inside() {
    let logs = Logs::listen();
    let world = World::start(&[("STATELESS", "true"), ("TRUSTED_PROXIES", "127.0.0.1/32")]).await;
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    let spec: Value = serde_json::from_str(POD).unwrap();
    let arguments = json!({ "id": "w1", "spec": spec, "context": { "API_KEY": "hunter2" } });
    let post = async |message: &Value| {
        let request =
            world.server.post_mcp(message).bearer_auth(&token).header("x-forwarded-for", "203.0.113.9");
        let (status, headers, body) = send(request.header("mcp-protocol-version", "2025-11-25")).await;
        assert_eq!(status, 200, "{body}");
        headers["x-request-id"].to_str().unwrap().to_owned()
    };
    let id = post(&call("spawn_workspace", &arguments)).await;
    post(&call("spawn_workspace", &arguments)).await;
    post(&call("stop_workspace", &json!({ "id": "w1" }))).await;
    post(&call("list_workspaces", &json!({}))).await;

    let acts = logs.acts();
    let spawns = acts_of(&acts, "spawn_workspace");
    assert_eq!(spawns.len(), 2, "{acts:?}");
    let fields = ["outcome", "subject", "role", "workspace", "namespace", "client", "request_id"];
    let told = fields.map(|name| spawns[0][name].as_str().unwrap_or_default());
    assert_eq!(told, ["done", "alice", "user", "w1", "nogoo9", "203.0.113.9", &id]);
    assert_eq!(
        (spawns[1]["outcome"].as_str(), spawns[1]["code"].as_str()),
        (Some("refused"), Some("NCR0302"))
    );
    assert_eq!(acts_of(&acts, "stop_workspace")[0]["outcome"], "done");
    assert!(acts_of(&acts, "list_workspaces").is_empty());
    for secret in ["hunter2", "API_KEY", token.as_str(), "busybox"] {
        assert!(!Value::from(acts.clone()).to_string().contains(secret), "{secret}");
        assert!(secret == "busybox" || !logs.text().contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn refusals_are_told_and_strangers_are_not() {
    let logs = Logs::listen();
    let world = World::start(&[]).await;
    world.cluster.add_pod_of("w1", 3000, "alice", &[]);
    world.cluster.make_ready("w1");
    let bob = world.token("bob", &["user"], "nogoo9:read");
    let alice = world.token("alice", &["user"], "nogoo9:read");
    // Alice's request is answered otherwise than with 404 once the workspace is known.
    world.server.until_as(&alice, "/route/w1/", |status, _| status != 404).await;

    assert_eq!(send(world.ask(Method::GET, "/permissions", None)).await.0, 401);
    assert_eq!(send(world.ask(Method::GET, "/permissions", Some("hunter2"))).await.0, 401);
    let without = world.token("carol", &["user"], "openid");
    assert_eq!(send(world.ask(Method::GET, "/permissions", Some(&without))).await.0, 403);
    assert_eq!(send(world.ask(Method::GET, "/route/w1/", Some(&bob))).await.0, 404);
    assert_eq!(send(world.ask(Method::GET, "/route/w2/", Some(&bob))).await.0, 404);

    let acts = logs.acts();
    let refused = acts_of(&acts, "access");
    let codes: Vec<_> = refused.iter().map(|act| (act["code"].as_str(), act["path"].as_str())).collect();
    assert_eq!(
        codes,
        [(Some("NCR0404"), Some("/permissions")), (Some("NCR0407"), Some("/permissions"))],
        "{acts:?}"
    );
    assert_eq!(refused[1]["subject"], "carol");
    let visits = acts_of(&acts, "workspace.access");
    let told: Vec<_> =
        visits.iter().map(|act| (act["subject"].as_str(), act["workspace"].as_str())).collect();
    assert_eq!(told, [(Some("bob"), Some("w1"))]);
    assert!(!Value::from(acts.clone()).to_string().contains("hunter2"));
}

#[tokio::test]
async fn signing_out_is_told() {
    let logs = Logs::listen();
    let world = World::start(&[]).await;
    let session = world.session(&world.token("alice", &["user"], "nogoo9:read")).await;
    let request = world
        .ask(Method::POST, "/logout", None)
        .header("cookie", &session)
        .header("sec-fetch-site", "same-origin");
    assert_eq!(send(request).await.0, 200);
    let acts = logs.acts();
    let out = acts_of(&acts, "sign-out");
    assert_eq!(
        (out.len(), out[0]["subject"].as_str(), out[0]["outcome"].as_str()),
        (1, Some("alice"), Some("done"))
    );
    assert_eq!(out[0]["client"], "127.0.0.1");
    assert!(!logs.text().contains(session.split_once('=').unwrap().1));
}

#[tokio::test]
async fn without_authentication_acts_are_the_local_user_s() {
    let logs = Logs::listen();
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("STATELESS", "true")]).await;
    let spec: Value = serde_json::from_str(POD).unwrap();
    let message = call("spawn_workspace", &json!({ "id": "w1", "spec": spec }));
    assert_eq!(send(server.post_mcp(&message).header("mcp-protocol-version", "2025-11-25")).await.0, 200);
    let acts = logs.acts();
    assert_eq!((acts[0]["subject"].as_str(), acts[0]["client"].as_str()), (Some("guest"), Some("127.0.0.1")));
}
