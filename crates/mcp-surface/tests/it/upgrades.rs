//! Tools that upgrade workspaces.

use std::time::Duration;

use nocrd_devcluster::{Config as DevConfig, DevCluster, kind::Kind};
use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Role};
use nocrd_spawner::UpgradeConfig;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    dev::DevWorld,
    world::{Client, Heard, until},
};

struct Upgrades {
    world: DevWorld,
    admin: Client,
    ada: Client,
    _upgrader: AbortOnDropHandle<()>,
}

impl Upgrades {
    /// A cluster that runs pods, and a server that carries upgrades on.
    async fn new() -> Self {
        let dev = DevCluster::start(DevConfig::default()).await.unwrap();
        let (timeout, settle) = (Duration::from_secs(120), Duration::from_secs(2));
        let upgrade = UpgradeConfig { timeout, settle, ..UpgradeConfig::default() };
        let limits = nocrd_spawner::Config { upgrade, ..nocrd_spawner::Config::default() };
        let world = DevWorld::over(dev, limits, Options::default(), |_| {}).await;
        let spawner = world.spawner.clone();
        let upgrader = AbortOnDropHandle::new(tokio::spawn(async move { spawner.upgrader().await }));
        let admin = world.client(Caller::verified("root".into(), Role::Admin)).await;
        let ada = world.client(Caller::verified("ada".into(), Role::User)).await;
        Self { world, admin, ada, _upgrader: upgrader }
    }

    /// Stores a version of the template, which runs a command.
    async fn store(&self, version: &str, command: &str) {
        let arguments = json!({
            "name": "tool", "annotations": {"nogoo9/template-version": version, "nogoo9/required-context": "TOKEN"},
            "spec": {"terminationGracePeriodSeconds": 1,
                "containers": [{"name": "agent", "image": "busybox", "command": ["/bin/sh", "-c", command]}]},
        });
        let mut reply = self.admin.call("create_template", arguments.clone()).await;
        if reply.error_id() == "NCR0211" {
            reply = self.admin.call("update_template", arguments).await;
        }
        assert!(!reply.failed, "{}", reply.text);
    }

    async fn spawn(&self, id: &str) {
        let arguments = json!({"id": id, "templateRef": "tool", "context": {"TOKEN": "s3cret"}, "wait": true,
            "name": "Mine"});
        let reply = self.ada.call("spawn_workspace", arguments).await;
        assert!(!reply.failed, "{}", reply.text);
    }

    async fn details(&self, id: &str) -> Value {
        self.ada.call("get_workspace", json!({"id": id})).await.structured
    }

    async fn stop(self) {
        self.world.stop().await;
    }
}

const RUNS: &str = "exec sleep 3600";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_t_be_upgraded_says_so_and_stays() {
    let upgrades = Upgrades::new().await;
    upgrades.store("1.0", RUNS).await;
    upgrades.spawn("w1").await;
    upgrades.store("2.0", "exit 3").await;
    let all = upgrades.admin.call("upgrade_all_workspaces", json!({"wait": true})).await.structured;
    assert_eq!((&all["status"], &all["failed"][0]["id"]), (&json!("failed"), &json!("w1")), "{all}");
    let reply = upgrades.ada.call("upgrade_workspace", json!({"id": "w1", "wait": true})).await;
    let serving = upgrades.details("w1").await;
    assert_eq!(reply.structured["error"]["reason"], "UpgradeFailed", "{}", reply.text);
    assert_eq!(
        (&reply.structured["status"], &reply.structured["podName"]),
        (&json!("failed"), &serving["podName"])
    );
    // There is no argument for what is new.
    let more = json!({"name": "tool", "spec": {"containers": [{"name": "agent", "image": "busybox"}]},
        "annotations": {"nogoo9/template-version": "3.0", "nogoo9/required-context": "TOKEN,MORE"}});
    assert!(!upgrades.admin.call("update_template", more).await.failed);
    let reply = upgrades.ada.call("upgrade_workspace", json!({"id": "w1"})).await;
    assert!(reply.text.contains("MORE") && reply.text.contains("spawn another"), "{}", reply.text);
    assert_eq!(upgrades.details("w1").await["status"], "Running");
    upgrades.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_gets_the_new_version_and_keeps_the_rest() {
    let mut upgrades = Upgrades::new().await;
    upgrades.store("1.0", RUNS).await;
    upgrades.spawn("w1").await;
    let same = upgrades.ada.call("upgrade_workspace", json!({"id": "w1", "wait": true})).await;
    assert_eq!(
        (same.text.as_str(), &same.structured["status"]),
        ("Workspace w1 is up to date (version 1.0).", &json!("unchanged"))
    );

    upgrades.store("1.1", RUNS).await;
    let before = upgrades.details("w1").await;
    assert_eq!((&before["isOutdated"], &before["latestTemplateVersion"]), (&json!(true), &json!("1.1")));
    while upgrades.ada.heard.try_recv().is_ok() {}
    let done = upgrades.ada.call("upgrade_workspace", json!({"id": "w1", "wait": true})).await;
    assert!(!done.failed, "{}", done.text);
    assert!(done.text.starts_with("Successfully upgraded workspace w1 (Pod: "), "{}", done.text);
    assert_eq!(
        (&done.structured["status"], &done.structured["fromVersion"], &done.structured["toVersion"]),
        (&json!("upgraded"), &json!("1.0"), &json!("1.1"))
    );
    let mut steps = Vec::new();
    while let Ok(heard) = upgrades.ada.heard.try_recv() {
        if let Heard::Progress(step, _) = heard {
            steps.push(step);
        }
    }
    // The client hears each in a task of its own.
    steps.sort_by(f64::total_cmp);
    let numbered = steps.iter().zip(1..).all(|(step, number)| *step == f64::from(number));
    assert!(steps.len() >= 2 && numbered, "{steps:?}");
    let after = upgrades.details("w1").await;
    assert_eq!((&after["templateVersion"], &after["isOutdated"]), (&json!("1.1"), &json!(false)));
    for kept in ["id", "name", "owner", "namespace", "url", "templateRef"] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    assert_ne!(before["podName"], after["podName"]);
    assert_eq!(after.get("upgrade"), None);
    // What was given, and the way back, are shown to nobody.
    let pod = upgrades.ada.call("get_workspace", json!({"id": "w1", "includePod": true})).await;
    let told = format!("{} {}", pod.text, pod.structured);
    assert!(!told.contains("s3cret") && !told.contains("spawn-inputs"), "{told}");
    upgrades.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k57_what_has_only_begun_is_not_called_done() {
    let upgrades = Upgrades::new().await;
    upgrades.store("1.0", RUNS).await;
    upgrades.spawn("w1").await;
    upgrades.spawn("w2").await;
    upgrades.store("1.1", RUNS).await;
    let begun = upgrades.ada.call("upgrade_workspace", json!({"id": "w1"})).await;
    assert_eq!(begun.structured["status"], "upgrading");
    assert!(
        begun.text.starts_with("Began to upgrade workspace w1 from version 1.0 to 1.1"),
        "{}",
        begun.text
    );
    let refused = upgrades.ada.call("upgrade_all_workspaces", json!({})).await;
    assert_eq!(refused.error_id(), "NCR0403");
    let all = upgrades.admin.call("upgrade_all_workspaces", json!({"wait": true})).await;
    assert!(!all.failed, "{}", all.text);
    // Those of others, too; the first may be done by now.
    let upgraded = all.structured["upgraded"].as_array().unwrap();
    assert!(upgraded.contains(&json!("w2")) && all.structured["failed"] == json!([]), "{}", all.text);
    let pods = all.structured["upgradedPods"].as_array().unwrap();
    assert!(pods.iter().any(|pod| pod["id"] == "w2" && pod["podName"].is_string()));
    assert_eq!(upgrades.details("w2").await["templateVersion"], "1.1");
    let waiting = async { while upgrades.details("w1").await["templateVersion"] != "1.1" {} };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.unwrap();
    let again = upgrades.admin.call("upgrade_all_workspaces", json!({})).await;
    assert_eq!(
        (again.text.as_str(), &again.structured["status"]),
        ("All workspaces are up to date.", &json!("unchanged"))
    );
    upgrades.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_does_not_start_leaves_the_old_one() {
    let upgrades = Upgrades::new().await;
    upgrades.store("1.0", RUNS).await;
    upgrades.spawn("w1").await;
    let before = upgrades.details("w1").await;
    upgrades.store("2.0", "exit 7").await;
    let failed = upgrades.ada.call("upgrade_workspace", json!({"id": "w1", "wait": true})).await;
    assert_eq!(failed.error_id(), "NCR0310", "{}", failed.text);
    let after = upgrades.details("w1").await;
    assert_eq!((&after["podName"], &after["ready"]), (&before["podName"], &json!(true)));
    assert!(after["lastUpgradeError"].as_str().is_some_and(|text| !text.is_empty()), "{after}");
    assert_eq!(after["isOutdated"], true);
    until("the new pod is gone", || upgrades.world.objects(Kind::Pod).len() == 1).await;
    // A template that is gone makes nothing outdated, and is an error to ask for.
    assert!(!upgrades.admin.call("delete_template", json!({"name": "tool"})).await.failed);
    assert_eq!(upgrades.details("w1").await["isOutdated"], false);
    let gone = upgrades.ada.call("upgrade_workspace", json!({"id": "w1"})).await;
    assert_eq!(gone.error_id(), "NCR0201", "{}", gone.text);
    upgrades.stop().await;
}

/// "Cancellation stops the work": as long as the old pod serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t62_a_cancelled_upgrade_is_called_off() {
    let upgrades = Upgrades::new().await;
    upgrades.store("1.0", RUNS).await;
    upgrades.spawn("w1").await;
    let before = upgrades.details("w1").await["podName"].clone();
    // It never gets ready.
    let arguments = json!({"name": "tool", "annotations": {"nogoo9/template-version": "1.1"}, "spec": {"terminationGracePeriodSeconds": 1,
        "containers": [{"name": "agent", "image": "busybox", "command": ["/bin/sh", "-c", RUNS],
            "readinessProbe": {"exec": {"command": ["/bin/false"]}, "periodSeconds": 1}}]}});
    assert!(!upgrades.admin.call("update_template", arguments).await.failed);
    let handle = upgrades.ada.begin("upgrade_workspace", json!({"id": "w1", "wait": true})).await;
    let waiting = async { while upgrades.details("w1").await["upgrade"].get("podName").is_none() {} };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.unwrap();
    handle.cancel(Some("enough".to_owned())).await.unwrap();
    let waiting = async {
        loop {
            let now = upgrades.details("w1").await;
            if now.get("upgrade").is_none() && upgrades.world.objects(Kind::Pod).len() == 1 {
                break now;
            }
        }
    };
    let now = tokio::time::timeout(Duration::from_secs(120), waiting).await.unwrap();
    assert_eq!((&now["podName"], &now["ready"]), (&before, &json!(true)));
    upgrades.stop().await;
}
