//! What containers see and don't see.

use std::fs;

use serde_json::json;

use super::world::*;
use crate::{kubelet::Sandbox, runtime::LogOptions};

async fn says(world: &World, name: &str, script: &str, more: serde_json::Value) -> String {
    let mut more = more;
    more["pod"]["restartPolicy"] = "Never".into();
    world.run(name, script, more);
    world.until(name, "over", |pod| container(pod)["state"].get("terminated").is_some()).await;
    world.logs(name, LogOptions::default()).await.unwrap()
}

#[tokio::test]
async fn a_sandboxed_container_has_a_world_of_its_own() {
    let world = World::new().await;
    if !world.is_isolated() {
        return world.kubelet.shutdown().await;
    }
    let home = std::env::home_dir().unwrap();
    let script = format!(
        "echo processes $(ls /proc | grep -c '^[0-9]'); echo home $(ls -A {} 2>/dev/null | wc -l); echo tmp $(ls -A /tmp | wc -l); \
         touch /usr/x 2>/dev/null || echo read-only; touch /x /root/x /tmp/x && echo own; echo host $(hostname); \
         echo id $(id -u); grep -cw $HOSTNAME$ /etc/hosts; test -e {} || echo hidden; test -w /dev/null && echo null",
        home.display(),
        world.dir.path().display(),
    );
    let said = says(&world, "p", &script, json!({})).await;
    let lines: Vec<&str> = said.lines().collect();
    // The sandbox's own process, the shell, and what it runs for counting.
    let processes: usize = lines[0].strip_prefix("processes ").unwrap().parse().unwrap();
    assert!(processes <= 6, "{said}");
    assert_eq!(
        &lines[1..],
        ["home 0", "tmp 0", "read-only", "own", "host p", "id 0", "1", "hidden", "null"],
        "{said}"
    );
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn volumes_are_mounted_where_the_pod_says() {
    let world = World::new().await;
    if !world.is_isolated() {
        return world.kubelet.shutdown().await;
    }
    let mount = |path: &str, more: serde_json::Value| {
        let mut mount = json!({ "name": "v", "mountPath": path });
        mount.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        mount
    };
    let said = says(
        &world,
        "p",
        "echo 1 > /workspace/a; cat /etc/deep/er/a; test -d /etc/ssl && echo siblings; echo x > /ro/x; ls /sub; ls /workspace",
        json!({
            "container": { "volumeMounts": [
                mount("/workspace", json!({})), mount("/etc/deep/er", json!({})), mount("/ro", json!({ "readOnly": true })),
                mount("/sub", json!({ "subPath": "inner" })), mount("/dev/shm", json!({})),
            ]},
            "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
        }),
    )
    .await;
    assert!(said.contains("Read-only file system"), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| !line.contains("Read-only")).collect();
    assert_eq!(lines, ["1", "siblings", "a", "inner"], "{said}");
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn an_exposed_program_is_seen_where_everything_else_is_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::write(&program, "#!/bin/sh\necho \"$0 $*\"\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("secret"), "").unwrap();
    let mut image = crate::kubelet::Image::new("example.org/tool", [&program]);
    image.command = vec!["default".into()];
    let store = crate::store::Store::in_memory();
    let config = crate::kubelet::Config {
        images: vec![image],
        hidden: vec![dir.path().to_owned()],
        ..crate::kubelet::Config::default()
    };
    let world = World::over(store, config).await;
    world.create(
        "p",
        json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "example.org/tool:9" }] }),
    );
    world.until_phase("p", "Succeeded").await;
    let said = world.logs("p", LogOptions::default()).await.unwrap();
    assert_eq!(said, format!("{} default\n", program.display()));
    if world.is_isolated() {
        let script = format!("ls {}", dir.path().display());
        world.create(
            "q",
            json!({ "restartPolicy": "Never", "containers": [
                { "name": "c", "image": "example.org/tool", "command": ["sh", "-c", script] },
            ]}),
        );
        world.until_phase("q", "Succeeded").await;
        assert_eq!(world.logs("q", LogOptions::default()).await.unwrap(), "program\n");
    }
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn without_a_sandbox_the_pod_says_so_and_mount_paths_are_exclusive() {
    let world = World::with(Sandbox::None).await;
    let path = world.mount_path("m");
    let more = json!({
        "container": { "volumeMounts": [{ "name": "v", "mountPath": path }] },
        "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
    });
    world.run("first", "sleep 1000", more.clone());
    world.until_ready("first").await;
    assert!(world.until_event("first", "NoIsolation").await.contains("bubblewrap"));
    world.run("second", "sleep 1000", more);
    let why = world.until_event("second", "FailedMount").await;
    assert!(why.contains("another pod") && why.contains("bubblewrap"), "{why}");
    world.delete("first", Some(1));
    world.until_ready("second").await;
    world.run(
        "taken",
        "",
        json!({
            "container": { "volumeMounts": [{ "name": "v", "mountPath": "/etc" }] },
            "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
        }),
    );
    world.until_event("taken", "FailedMount").await;
    world.kubelet.shutdown().await;
    assert!(fs::symlink_metadata(&path).is_err());
}
