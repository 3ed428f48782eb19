//! Defects of the reference that show in no tool alone.

use std::collections::BTreeSet;

use nocrd_cluster::Scope;
use nocrd_devcluster::kind::Kind;
use nocrd_mcp_surface::{HttpOptions, Options};
use nocrd_model::{Caller, Namespace, Role};
use serde_json::{Value, json};

use crate::{
    dev::{DevWorld, raw_pod, template, workspace},
    http::{Server, call, json_of},
};

/// A namespace besides the server's own.
const OTHER: &str = "default";

fn elsewhere(mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!(OTHER);
    object
}

fn running(mut template: Value, image: &str) -> Value {
    template["data"]["spec"] = json!(json!({"containers": [{"name": "agent", "image": image}]}).to_string());
    template
}

fn serves_other(config: &mut nocrd_cluster::Config) {
    config.allowed_namespaces = Some(BTreeSet::from([Namespace::parse(OTHER).unwrap()]));
}

#[tokio::test]
async fn k09_a_reference_leads_out_of_no_lock() {
    let (limits, options) = (nocrd_spawner::Config::default, Options::default);
    let namespaced = DevWorld::with(limits(), options(), |config| config.scope = Scope::Namespaced).await;
    let listed =
        DevWorld::with(limits(), options(), |config| config.allowed_namespaces = Some(BTreeSet::new())).await;
    for world in [namespaced, listed] {
        world.create(Kind::ConfigMap, &elsewhere(template("t", "alice", None)));
        world.create(Kind::ConfigMap, &template("own", "alice", None));
        let client = world.client(Caller::local()).await;
        for reference in ["default/t", "pod-template://default/t"] {
            for (tool, arguments) in [
                ("get_template", json!({"name": reference})),
                ("update_template", json!({"name": reference, "tag": "x"})),
                ("delete_template", json!({"name": reference})),
                ("spawn_workspace", json!({"id": "w", "templateRef": reference})),
                ("create_pod_from_template", json!({"name": "p", "templateRef": reference})),
                // The reference counts, whatever is said beside it.
                ("get_template", json!({"name": reference, "namespace": "nogoo9"})),
                ("delete_template", json!({"name": reference, "namespace": "nogoo9"})),
            ] {
                let reply = client.call(tool, arguments).await;
                assert_eq!(reply.error_id(), "NCR0401", "{tool} {reference}: {}", reply.text);
            }
        }
        assert_eq!(client.read("pod-template://default/t").await.unwrap_err().code.0, -32002);
        assert!(client.uris().await.iter().all(|uri| !uri.contains("//default/")));
        let all = client.mcp.complete_prompt_simple("spawn-workspace", "templateRef", "").await.unwrap();
        assert!(all.iter().all(|reference| !reference.starts_with("default/")), "{all:?}");
        assert_eq!(world.object(Kind::Pod, "p"), Value::Null);
        world.stop().await;
    }
}

#[tokio::test]
async fn k48_workspaces_in_other_namespaces_are_no_less() {
    let world = DevWorld::with(Default::default(), Options::default(), serves_other).await;
    world.create(Kind::Pod, &elsewhere(workspace("w", "alice")));
    world.caught_up().await;
    let alice = world.client(Caller::verified("alice".into(), Role::User)).await;
    assert_eq!(alice.call("list_workspaces", json!({})).await.structured["total"], 1);
    let shown = alice.call("get_workspace", json!({"id": "w"})).await.structured;
    assert_eq!((&shown["namespace"], &shown["url"]), (&json!(OTHER), &json!("/route/w/")));
    assert!(!alice.call("get_workspace_events", json!({"id": "w"})).await.failed);
    assert_eq!(alice.uris().await.iter().filter(|uri| *uri == "workspace://default/w").count(), 1);
    let elsewhere = alice.call("get_workspace", json!({"id": "w", "namespace": "nogoo9"})).await;
    assert_eq!(elsewhere.error_id(), "NCR0301");
    assert!(!alice.call("stop_workspace", json!({"id": "w"})).await.failed);
    world.stop().await;
}

#[tokio::test]
async fn k49_a_bare_reference_means_where_the_pod_goes_then_the_servers_own() {
    let world = DevWorld::with(Default::default(), Options::default(), serves_other).await;
    world.create(Kind::ConfigMap, &running(template("both", "alice", None), "home"));
    world.create(Kind::ConfigMap, &elsewhere(running(template("both", "alice", None), "there")));
    world.create(Kind::ConfigMap, &running(template("home-only", "alice", None), "home"));
    world.caught_up().await;
    let client = world.client(Caller::local()).await;
    for (number, (reference, namespace, image)) in [
        ("both", OTHER, "there"),
        ("both", "nogoo9", "home"),
        ("home-only", OTHER, "home"),
        ("nogoo9/both", OTHER, "home"),
        ("default/both", "nogoo9", "there"),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, name) = (format!("w{number}"), format!("p{number}"));
        let workspace = json!({"id": id, "templateRef": reference, "namespace": namespace});
        let pod = json!({"name": name, "templateRef": reference, "namespace": namespace});
        for (tool, arguments, name) in
            [("spawn_workspace", workspace, format!("ws-{id}")), ("create_pod_from_template", pod, name)]
        {
            let reply = client.call(tool, arguments).await;
            assert!(!reply.failed, "{tool} {reference}: {}", reply.text);
            let pod = world.dev.store().get(Kind::Pod, namespace, &name).unwrap();
            assert_eq!(pod["spec"]["containers"][0]["image"], image, "{tool} {reference} in {namespace}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn k54_who_speaks_by_standard_input_is_the_local_user_and_others_sign_in() {
    let options = Options { auth_enabled: true, ..Options::default() };
    let world = DevWorld::with(Default::default(), options, |_| {}).await;
    let server = Server::identified(world, HttpOptions { stateless: true, ..HttpOptions::default() }, |_| {});
    let server = server.await;
    let whoami = call(1, "get_capabilities", json!({}));
    let reply = json_of(server.post(&whoami).send().await.unwrap()).await;
    assert_eq!(reply["result"]["structuredContent"]["error"]["id"], "NCR0404", "{reply}");
    let local = server.world.client(Caller::local()).await;
    let me = local.call("get_capabilities", json!({})).await.structured;
    assert_eq!(
        (&me["userSub"], &me["isAdmin"], &me["authEnabled"]),
        (&json!("guest"), &json!(true), &json!(true))
    );
}

#[tokio::test]
async fn k60_a_pod_is_not_pending_when_it_can_not_start() {
    let world = DevWorld::new().await;
    let mut pod = raw_pod("p", "alice");
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    pod["spec"]["nodeName"] = json!("n1");
    pod["status"] = json!({"phase": "Pending", "containerStatuses": [
        {"name": "agent", "ready": false, "restartCount": 3, "image": "i", "imageID": "", "state": waiting}]});
    world.create(Kind::Pod, &pod);
    world.caught_up().await;
    let listed = world.client(Caller::local()).await.call("list_pods", json!({})).await;
    let entry = &listed.structured["pods"][0];
    assert_eq!(
        (&entry["phase"], &entry["reason"]),
        (&json!("Pending"), &json!("ImagePullBackOff")),
        "{entry}"
    );
    assert_ne!(entry["status"], "Pending", "{entry}");
    assert_eq!((&entry["ready"], &entry["total"], &entry["restarts"]), (&json!(0), &json!(1), &json!(3)));
    world.stop().await;
}
