//! Many pods at once.

use std::collections::HashSet;

use serde_json::json;

use super::world::*;
use crate::kind::Kind;

const PODS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_pods_come_and_go() {
    let world = World::new().await;
    let marker = marker();
    let path = world.mount_path("v");
    let names: Vec<String> = (0..PODS).map(|number| format!("p{number}")).collect();
    for name in &names {
        // Without a sandbox a mount path belongs to one pod only.
        let path = if world.is_isolated() { path.clone() } else { format!("{path}-{name}") };
        world.run(
            name,
            &format!(": {marker}; echo $HOSTNAME > {path}/file; sleep 1000; :"),
            json!({
                "container": { "volumeMounts": [{ "name": "v", "mountPath": path }] },
                "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
            }),
        );
    }
    let mut addresses = HashSet::new();
    for name in &names {
        let pod = world.until_ready(name).await;
        addresses.insert(pod["status"]["podIP"].as_str().unwrap().to_owned());
    }
    assert_eq!(addresses.len(), if cfg!(target_os = "linux") { PODS } else { 1 });
    assert!(processes_with(&marker).len() >= PODS);
    for name in &names {
        world.delete(name, Some(30));
    }
    for name in &names {
        world.until_gone(name).await;
    }
    assert_eq!(processes_with(&marker), Vec::<String>::new());
    assert!(world.store.list(Kind::Pod, None).items.is_empty());
    assert!(world.kubelet.node.pods().is_empty());
    world.kubelet.shutdown().await;
}
