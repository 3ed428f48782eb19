//! Volumes as containers see them.

use serde_json::json;

use super::world::*;
use crate::{kind::Kind, runtime::Exit};

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

#[tokio::test]
async fn claims_are_refused_with_a_reason() {
    let world = World::new().await;
    world.run(
        "p",
        "",
        json!({
            "pod": { "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }] },
        }),
    );
    let why = world.until_event("p", "FailedMount").await;
    assert!(why.contains(r#"persistentvolumeclaim "data""#) && why.contains("emptyDir"), "{why}");
    assert_eq!(world.pod("p").unwrap()["status"]["phase"], "Pending");
    world.kubelet.shutdown().await;
}
