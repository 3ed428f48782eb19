//! What can't start, and what it says.

use serde_json::json;

use super::world::*;
use crate::{kind::Kind, runtime::LogOptions};

#[tokio::test]
async fn an_unknown_image_is_explained_and_can_be_corrected() {
    let world = World::new().await;
    world.run("p", "sleep 1000", json!({ "container": { "image": "ghcr.io/me/tool:1" } }));
    let pod = world.until_waiting("p", "ImagePullBackOff").await;
    let message = container(&pod)["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message.contains("processes of this machine, not images") && message.contains("busybox"),
        "{message}"
    );
    assert_eq!(pod["status"]["phase"], "Pending");
    let refused = world.logs("p", LogOptions::default()).await.unwrap_err();
    assert_eq!(
        refused.message,
        r#"container "c" in pod "p" is waiting to start: trying and failing to pull image"#
    );
    world.update(Kind::Pod, "p", |pod| pod["spec"]["containers"][0]["image"] = "alpine:3".into());
    let pod = world.until_ready("p").await;
    assert_eq!(container(&pod)["image"], "docker.io/library/alpine:3");
    world.run("never", "", json!({ "container": { "image": "nginx", "imagePullPolicy": "Never" } }));
    world.until_waiting("never", "ErrImageNeverPull").await;
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_missing_program_is_a_start_error() {
    let world = World::new().await;
    let command = |program: &str| json!({ "command": [program] });
    world.run("loop", "", json!({ "container": command("no-such-program") }));
    let pod = world.until_waiting("loop", "CrashLoopBackOff").await;
    let last = &container(&pod)["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(128), &json!("StartError")));
    assert!(
        last["message"]
            .as_str()
            .unwrap()
            .ends_with(r#"exec: "no-such-program": executable file not found in $PATH: unknown"#)
    );
    assert_eq!(last["startedAt"], "1970-01-01T00:00:00Z");
    world.run("once", "", json!({ "container": command("/no/such"), "pod": { "restartPolicy": "Never" } }));
    let pod = world.until_phase("once", "Failed").await;
    assert_eq!(container(&pod)["state"]["terminated"]["reason"], "StartError");
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_missing_secret_is_waited_for() {
    let world = World::new().await;
    let env = json!([{ "name": "X", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    world.run("p", "echo $X; sleep 1000", json!({ "container": { "env": env } }));
    let pod = world.until_waiting("p", "CreateContainerConfigError").await;
    assert_eq!(container(&pod)["state"]["waiting"]["message"], r#"secret "s" not found"#);
    assert!(world.events("p").contains(&("Failed".into(), r#"Error: secret "s" not found"#.into())));
    let secret = |data| json!({ "metadata": { "name": "s", "namespace": "n" }, "data": data });
    world.store.create(Kind::Secret, secret(json!({ "other": "eA==" }))).unwrap();
    world
        .until("p", "missing a key", |pod| {
            container(pod)["state"]["waiting"]["message"] == "couldn't find key k in Secret n/s"
        })
        .await;
    world.update(Kind::Secret, "s", |secret| secret["data"] = json!({ "k": "dmFsdWU=" }));
    let pod = world.until_ready("p").await;
    assert_eq!(container(&pod)["restartCount"], 0);
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_failed_init_container_fails_a_pod_that_is_not_restarted() {
    let world = World::new().await;
    let spec = |policy: &str| json!({ "restartPolicy": policy, "initContainers": [shell("init", "exit 1")], "containers": [shell("c", "")] });
    world.create("never", spec("Never"));
    let pod = world.until_phase("never", "Failed").await;
    assert_eq!(container(&pod)["state"]["waiting"]["reason"], "PodInitializing");
    world.create("always", spec("Always"));
    let pod = world.until("always", "backing off", |pod| {
        pod["status"]["initContainerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    assert_eq!(pod.await["status"]["phase"], "Pending");
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_failed_post_start_hook_restarts_the_container() {
    let world = World::new().await;
    let hook = json!({ "postStart": { "exec": { "command": ["/bin/sh", "-c", "echo no; exit 4"] } } });
    world.run("p", "sleep 1000", json!({ "container": { "lifecycle": hook } }));
    world.until("p", "restarted", |pod| container(pod)["restartCount"].as_u64() >= Some(1)).await;
    let message = world.until_event("p", "FailedPostStartHook").await;
    assert!(message.contains("exited with 4") && message.contains("no"), "{message}");
    world.kubelet.shutdown().await;
}
