//! What the server tells of itself and of the cluster.

use nocrd_cluster::{Cluster, Config, Scope};
use nocrd_mcp_surface::{Options, Surface};
use nocrd_model::{Caller, Namespace, Role};
use nocrd_spawner::Spawner;
use serde_json::{Value, json};

use crate::{api::Api, world::World};

fn namespace(name: &str, metadata: &Value) -> Value {
    let mut object = json!({"metadata": {"name": name, "namespace": ""}});
    object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().cloned().unwrap_or_default());
    object
}

/// A cluster with namespaces of all kinds.
fn namespaces() -> Api {
    let api = Api::default();
    for name in ["nogoo9", "team-b", "team-a", "kube-system"] {
        api.put("namespaces", namespace(name, &json!({})));
    }
    api.put("namespaces", namespace("team-0", &json!({"deletionTimestamp": "2026-11-22T12:00:00Z"})));
    api
}

async fn world(api: Api, scope: Scope, allowed: Option<&[&str]>) -> World {
    let parse = |name: &str| Namespace::parse(name).unwrap();
    let mut config = Config::new(scope, parse("nogoo9"));
    config.allowed_namespaces = allowed.map(|names| names.iter().map(|name| parse(name)).collect());
    let cluster = Cluster::start(api.client(), config).await.unwrap();
    let spawner = Spawner::new(cluster.clone(), Default::default(), Default::default());
    let surface = Surface::new(spawner, Options { auth_enabled: true, ..Options::default() });
    World { api, cluster, surface }.synced().await
}

async fn listed(world: &World, caller: Caller) -> Vec<String> {
    let reply = world.client_of(caller).await.call("list_namespaces", json!({})).await;
    assert!(!reply.failed, "{}", reply.text);
    let names: Vec<String> = serde_json::from_value(reply.structured["namespaces"].clone()).unwrap();
    assert_eq!(
        (reply.structured["total"].as_u64(), reply.text),
        (Some(names.len() as u64), { [&["NAME".to_owned()][..], &names].concat().join("\n") })
    );
    names
}

fn user() -> Caller {
    Caller::verified("ada".into(), Role::User)
}

#[tokio::test(start_paused = true)]
async fn k41_namespaces_are_those_that_somebody_may_spawn_in() {
    let admin = || Caller::verified("root".into(), Role::Admin);
    let open = world(namespaces(), Scope::Cluster, None).await;
    assert_eq!(listed(&open, admin()).await, ["nogoo9", "team-a", "team-b"]);
    assert_eq!(listed(&open, user()).await, ["nogoo9"]);
    let allowed = world(namespaces(), Scope::Cluster, Some(&["team-a", "team-0", "gone"])).await;
    for caller in [admin(), user()] {
        assert_eq!(listed(&allowed, caller).await, ["nogoo9", "team-a"]);
    }
    let narrow = world(namespaces(), Scope::Namespaced, None).await;
    assert_eq!(listed(&narrow, admin()).await, ["nogoo9"]);
}

/// The cluster says no only after the tool was offered.
#[tokio::test(start_paused = true)]
async fn k13_a_server_that_may_not_list_namespaces_has_its_own() {
    let world = world(namespaces(), Scope::Cluster, None).await;
    world.api.set_denied("list namespaces", true);
    assert_eq!(listed(&world, Caller::local()).await, ["nogoo9"]);
}

#[tokio::test(start_paused = true)]
async fn namespaces_cost_one_call_and_come_in_pages() {
    let api = Api::default();
    for number in 0..120 {
        api.put("namespaces", namespace(&format!("n{number:03}"), &json!({})));
    }
    let world = world(api, Scope::Cluster, None).await;
    let client = world.client().await;
    let before = world.cluster.api_calls();
    let (mut all, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
    for limit in [1, 100, 1000] {
        let arguments = json!({"limit": limit, "cursor": cursor});
        let reply = client.call("list_namespaces", arguments).await;
        all.extend(serde_json::from_value::<Vec<String>>(reply.structured["namespaces"].clone()).unwrap());
        cursor = reply.structured["nextCursor"].as_str().map(str::to_owned);
        assert_eq!(reply.structured["total"], 120);
    }
    assert_eq!((all.len(), cursor, all.is_sorted()), (120, None, true));
    assert_eq!(world.cluster.api_calls() - before, 1);
    let reply = client.call("list_namespaces", json!({"cursor": "templates"})).await;
    assert_eq!(reply.structured["error"]["code"], 400, "{}", reply.text);
}

#[tokio::test(start_paused = true)]
async fn k38_permissions_are_those_of_now() {
    let world = World::new().await.synced().await;
    let client = world.client().await;
    let reply = client.call("check_permissions", json!({})).await;
    assert_eq!(reply.structured["disabledTools"], json!([]));
    assert_eq!(
        (&reply.structured["mode"], &reply.structured["namespace"]),
        (&json!("cluster"), &json!("nogoo9"))
    );
    assert!(reply.text.contains("\npods/log\tget\t✔ YES\n"), "{}", reply.text);

    world.api.set_denied("list events", true);
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    let reply = client.call("check_permissions", json!({})).await;
    assert_eq!(reply.structured["disabledTools"], json!(["get_workspace_events"]));
    assert_eq!(reply.structured["permissions"]["events"]["list"], false);
    assert_eq!(reply.structured["complete"], true);
    assert!(reply.text.starts_with("--- RBAC PERMISSIONS ---\nRESOURCE\tVERB\tALLOWED\n"), "{}", reply.text);
    assert!(reply.text.contains("\nevents\tlist\t❌ NO\n"), "{}", reply.text);
    assert!(reply.text.ends_with("\nget_workspace_events\tDISABLED"), "{}", reply.text);

    // What is not answered is told as such, and is as it was.
    world.api.set_down(true);
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    let reply = client.call("check_permissions", json!({})).await;
    assert_eq!(reply.structured["complete"], false, "{}", reply.text);
    assert_eq!(reply.structured["disabledTools"], json!(["get_workspace_events"]));
    assert!(reply.text.contains("Kubernetes did not answer"), "{}", reply.text);
}

#[tokio::test(start_paused = true)]
async fn permissions_that_were_just_asked_for_are_not_asked_for_again() {
    let world = World::new().await.synced().await;
    let client = world.client().await;
    client.call("check_permissions", json!({})).await;
    let before = world.cluster.api_calls();
    for _ in 0..20 {
        client.call("check_permissions", json!({})).await;
    }
    assert_eq!(world.cluster.api_calls(), before);
}
