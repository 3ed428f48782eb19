//! Grace periods, kept and cut short.

use serde_json::json;

use super::world::*;
use crate::kubelet::Sandbox;

/// A container that does not stop when asked to.
const STUBBORN: &str = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

#[tokio::test]
async fn a_second_deletion_shortens_the_first() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        let marker = marker();
        world.run("p", &format!(": {marker}; {STUBBORN}"), json!({}));
        world.until_ready("p").await;
        assert_eq!(world.first_words("p").await.0, "ready\n");
        world.delete("p", Some(3600));
        world.until_event("p", "Killing").await;
        assert!(!processes_with(&marker).is_empty());
        world.delete("p", Some(1));
        world.until_gone("p").await;
        assert_eq!(processes_with(&marker), Vec::<String>::new());
        world.kubelet.shutdown().await;
    }
}

#[tokio::test]
async fn force_deletion_kills_without_hooks() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        let marker = marker();
        world.run("p", &format!(": {marker}; {STUBBORN}"), json!({
            "container": {
                "volumeMounts": [{ "name": "out", "mountPath": world.mount_path("out") }],
                "lifecycle": { "preStop": { "exec": { "command": ["touch", format!("{}/hook", world.mount_path("out"))] } } },
            },
            "pod": { "volumes": [{ "name": "out", "hostPath": { "path": world.shared() } }] },
        }));
        world.until_ready("p").await;
        world.delete("p", Some(0));
        assert!(world.pod("p").is_err());
        world.kubelet.shutdown().await;
        assert_eq!(processes_with(&marker), Vec::<String>::new());
        assert!(!world.shared().join("hook").exists());
    }
}

#[tokio::test]
async fn a_hook_that_does_not_end_is_cut_off_by_the_grace_period() {
    let world = World::new().await;
    let marker = marker();
    let hook =
        json!({ "preStop": { "exec": { "command": ["/bin/sh", "-c", format!(": {marker}; sleep 1000")] } } });
    world.run("p", "sleep 1000", json!({ "container": { "lifecycle": hook } }));
    world.until_ready("p").await;
    world.delete("p", Some(1));
    world.until_gone("p").await;
    assert_eq!(processes_with(&marker), Vec::<String>::new());
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn pods_can_be_deleted_before_anything_runs() {
    let world = World::new().await;
    world.run("image", "", json!({ "container": { "image": "nginx" } }));
    world.run(
        "volume",
        "",
        json!({ "pod": { "volumes": [{ "name": "v", "secret": { "secretName": "no" } }] } }),
    );
    world.run("config", "", json!({ "container": { "envFrom": [{ "secretRef": { "name": "no" } }] } }));
    let mut init = shell("init", "sleep 1000");
    init["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": 1 } } });
    world.create("init", json!({ "initContainers": [init], "containers": [shell("c", "")] }));
    world.until_waiting("image", "ImagePullBackOff").await;
    world.until_event("volume", "FailedMount").await;
    world.until_waiting("config", "CreateContainerConfigError").await;
    world.until_event("init", "Started").await;
    for name in ["image", "volume", "config", "init"] {
        world.delete(name, Some(3600));
        world.until_gone(name).await;
    }
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_pod_past_its_deadline_fails() {
    let world = World::new().await;
    world.run("p", "sleep 1000", json!({ "pod": { "activeDeadlineSeconds": 1 } }));
    let pod = world.until("p", "past its deadline", |pod| {
        pod["status"]["reason"] == "DeadlineExceeded" && container(pod)["state"].get("terminated").is_some()
    });
    assert_eq!(pod.await["status"]["phase"], "Failed");
    world.delete("p", None);
    world.until_gone("p").await;
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn shutting_down_kills_and_removes_everything() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        let marker = marker();
        // What is left in the background belongs to the container as well.
        world.run("p", &format!(": {marker}; sleep 1000 & {STUBBORN}"), json!({}));
        world.until_ready("p").await;
        world.kubelet.shutdown().await;
        assert_eq!(processes_with(&marker), Vec::<String>::new());
        // The pod is still meant to run.
        assert_eq!(world.pod("p").unwrap()["status"]["phase"], "Running");
        let run_dir = world.kubelet.node.run_dir.path().to_owned();
        assert_eq!(std::fs::read_dir(run_dir.join("pods")).unwrap().count(), 0);
        drop(world.kubelet);
        assert!(!run_dir.exists());
    }
}
