//! What a server that was killed in the middle of a spawn leaves, and that somebody clears it away.

use std::time::Duration;

use nocrd_devcluster::kind::Kind;
use nocrd_spawner::{Config, Spawner};
use serde_json::{Value, json};

use crate::world::{World, request, until};

/// Sweeps all the time, and takes everything unfinished for left behind.
fn eager() -> Config {
    Config { sweep_period: Duration::from_millis(50), left_behind_after: Duration::ZERO, ..Config::default() }
}

async fn with_janitor(world: &World, config: Config) -> Spawner {
    let spawner = world.spawner(config).await;
    let janitor = spawner.clone();
    tokio::spawn(async move { janitor.janitor().await });
    spawner
}

fn labels(id: &str) -> Value {
    json!({
        "nogoo9/type": "workspace", "nogoo9/managed-by": "nogoo9-spawner", "nogoo9/workspace-id": id,
        "nogoo9/user-sub": "ada",
    })
}

fn pod(namespace: &str, name: &str, id: &str, annotations: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "labels": labels(id), "annotations": annotations},
        "spec": {"containers": [{"name": "a", "image": "i"}]},
    })
}

#[tokio::test]
async fn a_pod_whose_context_was_never_stored_goes_and_frees_the_id() {
    let world = World::idle().await;
    let waits = json!({"nogoo9/user-sub": "ada", "nogoo9/context-secret": "ws-w1-context"});
    world.dev.store().create(Kind::Pod, pod("nogoo9", "ws-w1", "w1", waits)).unwrap();
    let spawner = with_janitor(&world, eager()).await;
    until("it is gone", || world.count(Kind::Pod, "nogoo9") == 0).await;
    until("the index knows", || spawner.cluster().workspaces().is_empty()).await;
    spawner.spawn(request("w1", "ada")).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn an_account_without_a_workspace_goes_and_one_with_stays() {
    let world = World::idle().await;
    for (name, id) in [("ws-sa-gone-abcde", "gone"), ("ws-sa-there-abcde", "there"), ("by-hand", "gone")] {
        let account = json!({"metadata": {"name": name, "namespace": "nogoo9", "labels": labels(id)}});
        world.dev.store().create(Kind::ServiceAccount, account).unwrap();
    }
    let mut there = pod("nogoo9", "ws-there", "there", json!({}));
    there["spec"]["serviceAccountName"] = "ws-sa-there-abcde".into();
    world.dev.store().create(Kind::Pod, there).unwrap();
    let _spawner = with_janitor(&world, eager()).await;
    until("one is gone", || world.count(Kind::ServiceAccount, "nogoo9") == 2).await;
    let left = world.objects(Kind::ServiceAccount, "nogoo9");
    let names: Vec<_> = left.iter().map(|account| account["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["by-hand", "ws-sa-there-abcde"],
        "only names that a workspace's id makes are ours to delete"
    );
    world.stop().await;
}

#[tokio::test]
async fn of_two_pods_with_one_id_the_later_goes() {
    let world = World::idle().await;
    let mut first = pod("default", "ws-w1", "w1", json!({}));
    first["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    world.dev.store().create(Kind::Pod, first).unwrap();
    let spawner = with_janitor(&world, eager()).await;
    world.dev.store().create(Kind::Pod, pod("nogoo9", "ws-w1", "w1", json!({}))).unwrap();
    let lasting = |namespace: &str| {
        let pods = world.objects(Kind::Pod, namespace);
        pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count()
    };
    until("the later ends", || lasting("nogoo9") == 0).await;
    assert_eq!(lasting("default"), 1);
    assert_eq!(spawner.cluster().workspaces().get(&crate::world::id("w1"))[0].namespace.as_str(), "default");
    world.stop().await;
}

#[tokio::test]
async fn what_is_young_is_left_alone() {
    let world = World::idle().await;
    let waits = json!({"nogoo9/user-sub": "ada", "nogoo9/context-secret": "ws-w1-context"});
    world.dev.store().create(Kind::Pod, pod("nogoo9", "ws-w1", "w1", waits)).unwrap();
    let account =
        json!({"metadata": {"name": "ws-sa-w2-abcde", "namespace": "nogoo9", "labels": labels("w2")}});
    world.dev.store().create(Kind::ServiceAccount, account).unwrap();
    let config = Config { left_behind_after: Duration::from_secs(3600), ..eager() };
    let spawner = with_janitor(&world, config).await;
    let asked = || spawner.cluster().api_calls();
    let before = asked();
    until("several sweeps went by", || asked() > before + 3).await;
    assert_eq!((world.count(Kind::Pod, "nogoo9"), world.count(Kind::ServiceAccount, "nogoo9")), (1, 1));
    world.stop().await;
}
