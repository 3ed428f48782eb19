//! Stopping, cancelling and reading a workspace while it is being upgraded.

use nocrd_devcluster::kind::Kind;
use nocrd_spawner::cluster::State;
use serde_json::json;

use super::stage::*;
use crate::world::{id, tally, until};

/// A stage with a workspace whose new pod is not ready yet.
async fn half_way(claim: bool) -> Stage {
    let stage = Stage::new().await;
    let spec_of = if claim { spec_with_claim } else { spec };
    create_claim(stage.world.dev.store(), "nogoo9", "w1", "ReadWriteOnce");
    stage.publish("1", json!({}), spec_of("1", RUNS)).await;
    stage.spawn(wish("w1")).await;
    let mut never = spec_of("2", RUNS);
    never_ready(&mut never);
    stage.publish("2", json!({}), never).await;
    stage.begin("w1").await.unwrap();
    until("the new pod runs", || {
        stage
            .spawner
            .cluster()
            .workspaces()
            .get(&id("w1"))
            .iter()
            .any(|pod| pod.pod_name == "ws--w1" && pod.status.state == State::Starting)
    })
    .await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k28_reading_tells_of_the_upgrade_and_changes_nothing() {
    let stage = half_way(false).await;
    let before = stage.spawner.cluster().api_calls();
    for _ in 0..3 {
        let workspace = stage.spawner.get(&id("w1"), None).unwrap();
        let page = stage.spawner.list(&Default::default()).unwrap();
        assert_eq!((page.total, page.items.len()), (1, 1));
        for workspace in [&workspace, &page.items[0]] {
            assert!(workspace.is_ready() && is_upgrading(workspace), "{:?}", workspace.status());
            assert!(workspace.status().message.contains("version 2: pod ws--w1 is Starting"));
            assert_eq!((workspace.template_version(), workspace.pod().pod_name.as_str()), ("1", "ws-w1"));
            let upgrade = workspace.upgrade().unwrap();
            assert_eq!((upgrade.from.as_str(), upgrade.to.as_str(), upgrade.going_back), ("1", "2", false));
            assert_eq!(upgrade.successor.as_deref(), Some("ws--w1"));
        }
    }
    assert_eq!(stage.spawner.cluster().api_calls(), before);
    assert_eq!(pods_of(stage.world.dev.store(), "nogoo9", "w1").len(), 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_upgrade_leaves_the_old_pod_serving() {
    let stage = half_way(false).await;
    assert!(stage.spawner.cancel_upgrade(&id("w1"), Some(&"eve".into())).await.is_err(), "not hers");
    assert!(stage.spawner.cancel_upgrade(&id("w1"), Some(&"ada".into())).await.unwrap());
    let error = stage.ended("w1").await.unwrap_err().to_string();
    assert!(error.contains("cancelled"), "{error}");
    let pod = stage.only_pod("w1").await;
    assert!(is_plain(&pod) && pod["metadata"]["name"] == "ws-w1");
    assert!(!stage.spawner.cancel_upgrade(&id("w1"), None).await.unwrap(), "there is none");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_too_late_to_cancel_when_the_old_pod_is_gone() {
    let stage = half_way(true).await;
    let workspace = stage.spawner.get(&id("w1"), None).unwrap();
    assert!(is_upgrading(&workspace) && !workspace.is_ready());
    assert!(!stage.spawner.cancel_upgrade(&id("w1"), None).await.unwrap());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_stops_both_pods_and_frees_the_id() {
    for claim in [false, true] {
        let stage = half_way(claim).await;
        let taken = stage.spawner.spawn(wish("w1")).await;
        assert_eq!(tally(vec![taken]), (0, vec!["WorkspaceExists"]), "the id is never free in between");
        let stopped = stage.spawner.stop(&id("w1"), None, Default::default()).await.unwrap();
        let expected: &[&str] = if claim { &["ws--w1"] } else { &["ws--w1", "ws-w1"] };
        assert_eq!(stopped.pod_names, expected);
        until("both are gone", || pods_of(stage.world.dev.store(), "nogoo9", "w1").is_empty()).await;
        until("the index knows", || stage.spawner.get(&id("w1"), None).is_err()).await;
        until("so are the Secrets", || stage.world.count(Kind::Secret, "nogoo9") == 0).await;
        stage.spawner.spawn(wish("w1")).await.unwrap();
        stage.stop().await;
    }
}

#[tokio::test]
async fn k26_a_successor_that_the_index_does_not_have_yet_is_stopped_too() {
    let world = cluster(false).await;
    let stage = Stage::on(world, quick()).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    stage.begin("w1").await.unwrap();
    // Wherever it is by now: nothing survives.
    stage
        .spawner
        .stop(&id("w1"), None, nocrd_spawner::StopOptions { grace_period_seconds: Some(0) })
        .await
        .unwrap();
    until("all are gone", || pods_of(stage.world.dev.store(), "nogoo9", "w1").is_empty()).await;
    until("the index knows", || stage.spawner.get(&id("w1"), None).is_err()).await;
    stage.stop().await;
}
