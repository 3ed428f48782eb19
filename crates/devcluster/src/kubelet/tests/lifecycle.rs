//! From start to end: init containers, environment, restarts, logs, sidecars.

use serde_json::json;

use super::world::*;
use crate::{kind::Kind, kubelet::Sandbox, runtime::LogOptions};

/// The workspace template of the product's first users: a file prepared by an init container, a command run before the
/// workspace stops, and time for it.
async fn a_workspace_lives_and_dies(sandbox: Sandbox) {
    let world = World::with(sandbox).await;
    let (workspace, out) = (world.mount_path("workspace"), world.mount_path("out"));
    let mounts =
        json!([{ "name": "workspace", "mountPath": workspace }, { "name": "out", "mountPath": out }]);
    let mut init = shell("prepare", &format!("echo $GREETING > {workspace}/greeting"));
    init["env"] = json!([{ "name": "GREETING", "value": "hello" }]);
    init["volumeMounts"] = mounts.clone();
    let mut main = shell(
        "c",
        &format!(
            "cat {workspace}/greeting; trap 'echo terminated >> {out}/story; exit 0' TERM; touch {workspace}/ready; while :; do sleep 0.05; done"
        ),
    );
    main["volumeMounts"] = mounts;
    main["readinessProbe"] =
        json!({ "exec": { "command": ["test", "-f", format!("{workspace}/ready")] }, "periodSeconds": 1 });
    main["lifecycle"] = json!({ "preStop": { "exec": { "command": ["/bin/sh", "-c", format!("cat {workspace}/greeting >> {out}/story")] } } });
    world.create(
        "p",
        json!({
            "initContainers": [init], "containers": [main], "terminationGracePeriodSeconds": 120,
            "volumes": [
                { "name": "workspace", "emptyDir": {} },
                { "name": "out", "hostPath": { "path": world.shared() } },
            ],
        }),
    );
    let pod = world.until_ready("p").await;
    assert_eq!(pod["status"]["phase"], "Running");
    let init = &pod["status"]["initContainerStatuses"][0];
    assert_eq!(init["state"]["terminated"]["reason"], "Completed");
    assert_eq!(init["ready"], true);
    for name in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(&pod, name), "True", "{name}");
    }
    assert_eq!(world.logs("p", LogOptions::default()).await.unwrap(), "hello\n");

    world.delete("p", None);
    world.until_gone("p").await;
    assert_eq!(read(&world.shared().join("story")), "hello\nterminated\n");
    let pods = world.kubelet.node.run_dir.path().join("pods");
    assert_eq!(std::fs::read_dir(pods).unwrap().count(), 0);
    let reasons: Vec<String> = world.events("p").into_iter().map(|event| event.0).collect();
    for reason in ["Pulled", "Created", "Started", "Killing"] {
        assert!(reasons.iter().any(|have| have == reason), "{reason} of {reasons:?}");
    }
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_workspace_lives_and_dies_in_a_sandbox() {
    a_workspace_lives_and_dies(Sandbox::Auto).await;
}

#[tokio::test]
async fn a_workspace_lives_and_dies_without_a_sandbox() {
    a_workspace_lives_and_dies(Sandbox::None).await;
}

#[tokio::test]
async fn the_environment_is_what_the_pod_says_and_nothing_else() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        let secret = json!({ "metadata": { "name": "s", "namespace": "n" }, "data": { "KEY": "c2VjcmV0" } });
        world.store.create(Kind::Secret, secret).unwrap();
        let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
        let env = json!([
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "KEY" } } },
            { "name": "NAME", "valueFrom": field("metadata.name") },
            { "name": "IP", "valueFrom": field("status.podIP") },
            { "name": "NODE", "valueFrom": field("spec.nodeName") },
            { "name": "APP", "valueFrom": field("metadata.labels['app']") },
            { "name": "BOTH", "value": "$(KEY)@$(NAME)" },
        ]);
        world.run("p", "env; echo cwd=$(pwd)", json!({
            "container": { "env": env, "args": ["ignored"], "workingDir": "/usr" }, "pod": { "restartPolicy": "Never" },
        }));
        let pod = world.until_phase("p", "Succeeded").await;
        let logs = world.all_logs("p").await;
        let ip = pod["status"]["podIP"].as_str().unwrap();
        for line in
            ["KEY=secret", "NAME=p", "NODE=nocrd-dev", "APP=p", "BOTH=secret@p", "HOSTNAME=p", "cwd=/usr"]
        {
            assert!(logs.lines().any(|have| have == line), "{line} of\n{logs}");
        }
        assert!(logs.contains(&format!("IP={ip}\n")) && logs.contains(&format!("POD_IP={ip}\n")), "{logs}");
        let mut names: Vec<&str> = logs.lines().map(|line| line.split_once('=').unwrap().0).collect();
        names.sort_unstable();
        // The last four are the shell's own.
        names.retain(|name| !matches!(*name, "cwd" | "PWD" | "OLDPWD" | "SHLVL" | "_"));
        assert_eq!(
            names,
            ["APP", "BOTH", "HOME", "HOSTNAME", "IP", "KEY", "NAME", "NODE", "PATH", "POD_IP", "TERM"]
        );
        world.kubelet.shutdown().await;
    }
}

#[tokio::test]
async fn a_crashing_container_is_restarted_ever_later() {
    let world = World::new().await;
    world.run(
        "p",
        "echo run $(ls $OUT | wc -l); touch $OUT/$(date +%s%N); exit 3",
        json!({
            "container": {
                "env": [{ "name": "OUT", "value": world.mount_path("out") }],
                "volumeMounts": [{ "name": "v", "mountPath": world.mount_path("out") }],
            },
            "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
        }),
    );
    let pod = world
        .until("p", "backing off after two restarts", |pod| {
            container(pod)["restartCount"].as_u64() >= Some(2)
                && container(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
        .await;
    let status = container(&pod);
    let message = status["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("back-off ") && message.contains("restarting failed container=c pod=p_n("),
        "{message}"
    );
    let last = &status["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(3), &json!("Error")));
    assert_eq!(last["containerID"], status["containerID"]);
    assert_eq!(pod["status"]["phase"], "Running");
    assert!(world.events("p").iter().any(|event| event.0 == "BackOff"));
    // While the container waits, its log is the last run's.
    let logs = world.logs("p", LogOptions { previous: true, ..LogOptions::default() }).await.unwrap();
    assert!(logs.starts_with("run ") && logs != "run 0\n", "{logs}");
    world.delete("p", Some(0));
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn the_log_of_the_run_before_is_kept() {
    let world = World::new().await;
    let path = world.mount_path("v");
    let script = format!(
        "if [ -e {path}/second ]; then echo two; exec sleep 1000; fi; touch {path}/second; echo one; exit 1"
    );
    world.run(
        "p",
        &script,
        json!({
            "container": { "volumeMounts": [{ "name": "v", "mountPath": path }] },
            "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
        }),
    );
    world
        .until("p", "running again", |pod| {
            container(pod)["restartCount"] == 1 && condition(pod, "Ready") == "True"
        })
        .await;
    let options = |previous| LogOptions { previous, ..LogOptions::default() };
    assert_eq!(world.logs("p", options(true)).await.unwrap(), "one\n");
    let (first, mut following) = world.first_words("p").await;
    assert_eq!(first, "two\n");
    world.delete("p", Some(0));
    assert!(patiently("an end", futures::StreamExt::next(&mut following)).await.is_none());
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn pods_that_end_are_succeeded_or_failed() {
    let world = World::new().await;
    for (name, policy, script, phase) in [
        ("good", "Never", "exit 0", "Succeeded"),
        ("bad", "Never", "exit 9", "Failed"),
        ("done", "OnFailure", "exit 0", "Succeeded"),
    ] {
        world.run(name, script, json!({ "pod": { "restartPolicy": policy } }));
        let pod = world.until_phase(name, phase).await;
        assert_eq!(container(&pod)["restartCount"], 0);
        assert_eq!(condition(&pod, "Ready"), "False");
        world.delete(name, None);
        world.until_gone(name).await;
    }
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn last_words_are_a_file_or_the_end_of_the_log() {
    let world = World::new().await;
    world.run("log", "echo before; echo the end; exit 1", json!({
        "container": { "terminationMessagePolicy": "FallbackToLogsOnError" }, "pod": { "restartPolicy": "Never" },
    }));
    let pod = world.until_phase("log", "Failed").await;
    assert_eq!(container(&pod)["state"]["terminated"]["message"], "before\nthe end\n");
    if world.is_isolated() {
        world.run(
            "file",
            "echo words > /dev/termination-log",
            json!({ "pod": { "restartPolicy": "Never" } }),
        );
        let pod = world.until_phase("file", "Succeeded").await;
        assert_eq!(container(&pod)["state"]["terminated"]["message"], "words\n");
    }
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn sidecars_start_first_and_stop_last() {
    let world = World::new().await;
    let path = world.mount_path("out");
    let mount = json!([{ "name": "out", "mountPath": path }]);
    let script = |name: &str| {
        format!(
            "echo {name} starts >> {path}/story; trap 'echo {name} stops >> {path}/story; exit 0' TERM; touch {path}/{name}; while :; do sleep 0.05; done"
        )
    };
    let mut sidecar = shell("side", &script("side"));
    sidecar["restartPolicy"] = "Always".into();
    sidecar["startupProbe"] = json!({ "exec": { "command": ["test", "-e", format!("{path}/side")] }, "periodSeconds": 1, "failureThreshold": 100 });
    let mut init = shell("init", &format!("echo init runs >> {path}/story"));
    let mut main = shell("c", &script("main"));
    main["readinessProbe"] =
        json!({ "exec": { "command": ["test", "-e", format!("{path}/main")] }, "periodSeconds": 1 });
    for container in [&mut sidecar, &mut init, &mut main] {
        container["volumeMounts"] = mount.clone();
    }
    world.create(
        "p",
        json!({
            "initContainers": [sidecar, init], "containers": [main],
            "volumes": [{ "name": "out", "hostPath": { "path": world.shared() } }],
        }),
    );
    let pod = world.until_ready("p").await;
    assert_eq!(pod["status"]["initContainerStatuses"][0]["ready"], true);
    world.delete("p", None);
    world.until_gone("p").await;
    let story = read(&world.shared().join("story"));
    assert_eq!(story, "side starts\ninit runs\nmain starts\nmain stops\nside stops\n");
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn pods_of_a_store_that_is_kept_run_again() {
    let mut world = World::new().await;
    world.run("always", "sleep 1000", json!({}));
    world.run("never", "sleep 1000", json!({ "pod": { "restartPolicy": "Never" } }));
    let before = world.until_ready("always").await;
    world.until_ready("never").await;
    world.restart().await;
    let after = world.until("always", "ready again", |pod| {
        container(pod)["restartCount"] == 1 && condition(pod, "Ready") == "True"
    });
    let after = after.await;
    let last = &container(&after)["lastState"]["terminated"];
    assert_eq!(last["reason"], "ContainerStatusUnknown");
    assert_eq!(last["containerID"], container(&before)["containerID"]);
    let never = world.until_phase("never", "Failed").await;
    assert_eq!(container(&never)["restartCount"], 0);
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn an_input_stays_open_only_where_the_pod_wants_one() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        world.run("with", "cat", json!({ "container": { "stdin": true } }));
        world.run("without", "cat; echo over", json!({ "pod": { "restartPolicy": "Never" } }));
        world.until_phase("without", "Succeeded").await;
        assert_eq!(world.all_logs("without").await, "over\n");
        let pod = world.until_ready("with").await;
        assert_eq!(container(&pod)["restartCount"], 0);
        world.kubelet.shutdown().await;
    }
}
