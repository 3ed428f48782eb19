//! Upgrades that fail leave the workspace as it was, with the reason on it.

use std::time::Duration;

use nocrd_devcluster::{access::Rule, kind::Kind};
use nocrd_spawner::{Error, UpgradeConfig};
use serde_json::json;

use super::stage::*;
use crate::world::{id, until};

fn failed(result: Result<nocrd_spawner::Workspace, Error>) -> String {
    match result {
        Err(Error::UpgradeFailed { reason, .. }) => reason,
        Err(other) => panic!("{other}"),
        Ok(workspace) => panic!("{workspace:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k24_k27_a_pod_that_does_not_start_does_not_take_over_in_either_style() {
    let stage = Stage::new().await;
    let store = stage.world.dev.store();
    let unpullable = |mut spec: serde_json::Value| {
        spec["containers"][0]["image"] = "no.such/image:1".into();
        spec
    };
    let crashing = "echo broken; exit 3";
    for (name, needle) in [("crash", "CrashLoopBackOff"), ("pull", "no.such/image:1")] {
        for claim in [false, true] {
            let id = format!("{name}-{claim}");
            let spec_of = if claim { spec_with_claim } else { spec };
            if claim {
                create_claim(store, "nogoo9", &id, "ReadWriteOnce");
            }
            stage.publish("1", json!({"nogoo9/workspace-path": "/1"}), spec_of("1", RUNS)).await;
            stage.spawn(wish(&id)).await;
            let mut next =
                if name == "crash" { spec_of("2", crashing) } else { unpullable(spec_of("2", RUNS)) };
            never_ready(&mut next);
            stage.publish("2", json!({"nogoo9/workspace-path": "/2"}), next).await;
            let reason = failed(stage.upgrade(&id).await);
            assert!(reason.starts_with("Upgrade failed at ") && reason.contains(needle), "{id}: {reason}");

            let after = stage.ready(&id).await;
            assert_eq!((after.template_version(), after.path()), ("1", "/1"), "{id}");
            assert_eq!(after.last_upgrade_error(), Some(reason.as_str()));
            assert!(after.is_outdated() && after.upgrade().is_none() && !is_upgrading(&after));
            assert_eq!(after.name(), format!("Mine {id}"));
            let pod = stage.only_pod(&id).await;
            assert!(is_plain(&pod), "{pod}");
            assert_eq!(pod["spec"]["containers"][0]["env"][0]["value"], "1");
            if claim {
                stage.logs(&pod, &["by 1"]).await;
            }
            // The error goes with the next upgrade that succeeds.
            stage.publish("3", json!({}), spec_of("3", RUNS)).await;
            let after = stage.upgrade(&id).await.unwrap();
            assert_eq!((after.template_version(), after.last_upgrade_error()), ("3", None), "{id}");
            stage.only_pod(&id).await;
        }
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k27_a_pod_that_never_gets_ready_has_so_much_time() {
    let config = nocrd_spawner::Config {
        upgrade: UpgradeConfig { timeout: Duration::from_secs(3), ..quick().upgrade },
        ..quick()
    };
    let stage = Stage::with(config).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawn(wish("w1")).await;
    let mut never = spec("2", RUNS);
    never_ready(&mut never);
    stage.publish("2", json!({}), never).await;
    let reason = failed(stage.upgrade("w1").await);
    assert!(reason.contains("not ready within"), "{reason}");
    assert!(stage.spawner.get(&id("w1"), None).unwrap().is_ready());
    stage.stop().await;
}

#[tokio::test]
async fn what_can_be_told_beforehand_is_told_and_changes_nothing() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    let untouched = || {
        let pods = pods_of(stage.world.dev.store(), "nogoo9", "w1");
        pods.len() == 1 && is_plain(&pods[0]) && annotation(&pods[0], "nogoo9/last-upgrade-error").is_none()
    };
    let refused = async |needle: &str| {
        let error = stage.begin("w1").await.unwrap_err().to_string();
        assert!(error.contains(needle) && untouched(), "{error}");
    };
    // More context than there was.
    stage.publish("2", json!({"nogoo9/required-context": "TOKEN, MORE"}), spec("2", RUNS)).await;
    refused("MORE").await;
    let mut privileged = spec("2", RUNS);
    privileged["hostNetwork"] = true.into();
    stage.publish("3", json!({}), privileged).await;
    refused("hostNetwork").await;
    stage.publish("4", json!({}), spec("4", RUNS)).await;
    stage.world.dev.access().set(vec![Rule::deny("get", "secrets")]);
    refused("permission to get secrets").await;
    stage.world.dev.access().set(vec![Rule::deny("patch", "pods")]);
    refused("patch").await;
    stage.world.dev.access().set(Vec::new());
    assert!(stage.begin("w1").await.unwrap().changed);
    stage.stop().await;
}

#[tokio::test]
async fn a_pod_that_the_cluster_refuses_ends_the_upgrade() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    let quota = json!({
        "metadata": {"name": "q", "namespace": "nogoo9"}, "spec": {"hard": {"pods": "1"}},
    });
    stage.world.create(Kind::ResourceQuota, &quota);
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    until("the quota counts", || {
        let quotas = stage.world.dev.store().list(Kind::ResourceQuota, Some("nogoo9")).items;
        quotas[0]["status"]["used"]["pods"] == "1"
    })
    .await;
    let reason = failed(stage.upgrade("w1").await);
    assert!(reason.contains("quota"), "{reason}");
    assert!(is_plain(&stage.only_pod("w1").await));
    stage.stop().await;
}

#[tokio::test]
async fn a_template_that_changes_meanwhile_is_not_what_was_checked() {
    let world = cluster(false).await;
    // Nobody carries upgrades on yet.
    let spawner = world.spawner(quick()).await;
    let stage = Stage::on(world, nocrd_spawner::Config { upgrade: slow(), ..quick() }).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    until("the other knows", || spawner.outdated(&Default::default()).is_ok_and(|all| all.len() == 1)).await;
    spawner.begin_upgrade(upgrade("w1")).await.unwrap();
    stage.publish("3", json!({"nogoo9/allowed-roles": "ops"}), spec("3", RUNS)).await;
    let reason = failed(stage.ended("w1").await);
    assert!(reason.contains("version 3"), "{reason}");
    stage.stop().await;
}

#[tokio::test]
async fn t53_what_is_wrong_with_a_template_does_not_stand_on_a_workspace() {
    let world = cluster(false).await;
    let spawner = world.spawner(quick()).await;
    let stage = Stage { upgrader: tokio::spawn(async {}), world, spawner };
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    assert!(stage.begin("w1").await.unwrap().changed);
    let broken = json!({"containers": "of-somebody-s"});
    publish(stage.world.dev.store(), "nogoo9", "2", json!({}), broken);
    let shown = || {
        let found = stage.spawner.catalogue().resolve(&"t".parse().unwrap(), &"nogoo9".parse().unwrap());
        found.err().map(|error| error.to_string())
    };
    until("the template is known to be broken", || shown().is_some()).await;
    let upgrader = upgrader(&stage.spawner);
    let reason = failed(stage.ended("w1").await);
    let told = shown().unwrap();
    assert!(told.contains("containers") && !reason.contains("containers"), "{reason}; {told}");
    assert!(reason.contains("not found"), "{reason}");
    upgrader.abort();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_its_own_is_there_as_long_as_a_pod_may_need_it() {
    let config = nocrd_spawner::Config {
        sweep_period: Duration::from_millis(50),
        left_behind_after: Duration::from_secs(4),
        ..quick()
    };
    let stage = Stage::with(config).await;
    let janitor = stage.spawner.clone();
    let janitor = tokio::spawn(async move { janitor.janitor().await });
    create_claim(stage.world.dev.store(), "nogoo9", "w1", "ReadWriteOnce");
    let role = |name: &str| json!({"nogoo9/iam-role-arn": format!("arn:aws:iam::123456789012:role/{name}")});
    let accounts = || {
        let all = stage.world.objects(Kind::ServiceAccount, "nogoo9");
        let name = |account: &serde_json::Value| account["metadata"]["name"].as_str().unwrap().to_owned();
        all.iter().map(name).collect::<Vec<_>>()
    };
    stage.publish("1", role("a"), spec_with_claim("1", RUNS)).await;
    stage.spawn(wish("w1")).await;
    let first = accounts();
    let mut broken = spec_with_claim("2", "exit 3");
    never_ready(&mut broken);
    stage.publish("2", role("b"), broken).await;
    failed(stage.upgrade("w1").await);
    stage.ready("w1").await;
    let pod = stage.only_pod("w1").await;
    assert_eq!(pod["spec"]["serviceAccountName"], first[0].as_str(), "the old pod has its account again");
    until("the other one is gone", || accounts() == first).await;
    stage.publish("3", role("c"), spec_with_claim("3", RUNS)).await;
    stage.upgrade("w1").await.unwrap();
    let pod = stage.only_pod("w1").await;
    until("the old one is gone", || accounts() == [pod["spec"]["serviceAccountName"].as_str().unwrap()])
        .await;
    janitor.abort();
    stage.stop().await;
}

/// Leaves others time.
fn slow() -> UpgradeConfig {
    UpgradeConfig { courtesy: Duration::from_secs(2), ..quick().upgrade }
}
