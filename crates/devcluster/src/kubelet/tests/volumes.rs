//! Volumes as containers see them.

use serde_json::json;

use super::world::*;
use crate::{
    kind::Kind,
    kubelet::{Config, Sandbox},
    runtime::Exit,
    store::{Preconditions, Store},
};

#[tokio::test]
async fn configuration_appears_with_its_modes_and_follows_its_source() {
    let world = World::new().await;
    let path = world.mount_path("config");
    world.run("p", "sleep 1000", json!({
        "container": { "volumeMounts": [{ "name": "v", "mountPath": path }] },
        "pod": { "volumes": [{ "name": "v", "projected": { "defaultMode": 0o440, "sources": [
            { "configMap": { "name": "m", "items": [{ "key": "a", "path": "sub/a", "mode": 0o600 }] } },
            { "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
        ]}}]},
    }));
    let why = world.until_event("p", "FailedMount").await;
    assert_eq!(why, r#"MountVolume.SetUp failed for volume "v" : configmap "m" not found"#);
    let pod = world.pod("p").unwrap();
    assert_eq!(condition(&pod, "PodReadyToStartContainers"), "False");
    world
        .store
        .create(
            Kind::ConfigMap,
            json!({ "metadata": { "name": "m", "namespace": "n" }, "data": { "a": "1" } }),
        )
        .unwrap();
    world.until_ready("p").await;
    let script = format!("cat {path}/sub/a; stat -Lc ' %a' {path}/sub/a {path}/labels; cat {path}/labels");
    let (exit, out, err) = world.exec("p", &["sh", "-c", &script], "").await;
    assert_eq!((exit, out.as_str()), (Exit::Code(0), "1 600\n 440\napp=\"p\""), "{err}");

    world.update(Kind::ConfigMap, "m", |map| map["data"]["a"] = "2".into());
    world.update(Kind::Pod, "p", |pod| pod["metadata"]["labels"]["more"] = "x".into());
    let script = format!("until grep -q 2 {path}/sub/a && grep -q more {path}/labels; do sleep 0.05; done");
    assert_eq!(world.exec("p", &["sh", "-c", &script], "").await.0, Exit::Code(0));
    world.kubelet.shutdown().await;
}

/// Says that a claim has its volume, which is for others to do.
fn claim(world: &World, name: &str) {
    let claim = json!({
        "metadata": { "name": name, "namespace": "n" }, "spec": { "accessModes": ["ReadWriteOnce"] },
        "status": { "phase": "Bound" },
    });
    world.store.create(Kind::PersistentVolumeClaim, claim).unwrap();
}

#[tokio::test]
async fn claims_outlive_pods_and_go_with_their_files() {
    let world = World::new().await;
    let path = world.mount_path("data");
    let using = |mount: serde_json::Value| {
        json!({
            "container": { "volumeMounts": [mount] },
            "pod": {
                "restartPolicy": "Never",
                "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }],
            },
        })
    };
    let whole = json!({ "name": "v", "mountPath": path });
    world.run("first", &format!("echo kept > {path}/file"), using(whole.clone()));
    let why = world.until_event("first", "FailedMount").await;
    assert_eq!(why, r#"MountVolume.SetUp failed for volume "v" : persistentvolumeclaim "data" not found"#);
    assert_eq!(world.pod("first").unwrap()["status"]["phase"], "Pending");
    claim(&world, "data");
    world.until_phase("first", "Succeeded").await;
    world.delete("first", None);
    world.until_gone("first").await;

    world.run(
        "second",
        &format!("cat {path}/file; mkdir {path}/sub; mv {path}/file {path}/sub"),
        using(whole),
    );
    world.until_phase("second", "Succeeded").await;
    assert_eq!(world.all_logs("second").await, "kept\n");
    world.delete("second", None);
    world.until_gone("second").await;

    let part = json!({ "name": "v", "mountPath": path, "subPath": "sub", "readOnly": true });
    world.run("third", &format!("cat {path}/file; touch {path}/new"), using(part));
    let phase = if world.is_isolated() { "Failed" } else { "Succeeded" };
    world.until_phase("third", phase).await;
    let log = world.all_logs("third").await;
    assert!(log.contains("kept\n"), "{log}");
    let claims = world.kubelet.node.claims.dir().to_owned();
    let directories = || std::fs::read_dir(&claims).unwrap().count();
    assert_eq!(directories(), 1);
    world.delete("third", None);
    world.until_gone("third").await;
    world.store.delete(Kind::PersistentVolumeClaim, "n", "data", &Preconditions::none()).unwrap();
    patiently("an end of the claim's files", async {
        while directories() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_claims_files_are_kept_where_they_are_to_be_kept() {
    let kept = tempfile::tempdir().unwrap();
    let config = Config {
        sandbox: Sandbox::Auto,
        run_dir: Some(kept.path().join("run")),
        claims_dir: Some(kept.path().join("claims")),
        ..Config::default()
    };
    let mut world = World::over(Store::in_memory(), config).await;
    claim(&world, "data");
    let path = world.mount_path("data");
    // A volume in the other one: its mount point is made in there.
    let mounts =
        json!([{ "name": "v", "mountPath": path }, { "name": "w", "mountPath": format!("{path}/scratch") }]);
    let mounts = if world.is_isolated() { mounts } else { json!([mounts[0]]) };
    world.run("p", &format!("echo run >> {path}/runs; exec sleep 1000"), json!({
        "container": { "volumeMounts": mounts },
        "pod": { "volumes": [
            { "name": "v", "persistentVolumeClaim": { "claimName": "data" } }, { "name": "w", "emptyDir": {} },
        ] },
    }));
    world.until_ready("p").await;
    let runs = async |world: &World, count: usize| {
        let script = format!("until [ $(grep -c run {path}/runs) = {count} ]; do sleep 0.05; done");
        assert_eq!(world.exec("p", &["sh", "-c", &script], "").await.0, Exit::Code(0));
    };
    runs(&world, 1).await;
    world.restart().await;
    let is_ready_again =
        |pod: &serde_json::Value| container(pod)["restartCount"] == 1 && condition(pod, "Ready") == "True";
    world.until("p", "ready again", is_ready_again).await;
    runs(&world, 2).await;
    world.kubelet.shutdown().await;
    assert_eq!(std::fs::read_dir(kept.path().join("claims")).unwrap().count(), 1);
}
