//! Upgrades on a real cluster, with a server that is killed in the middle of them.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{place::Place, spec};
use crate::{
    dev::PATIENCE,
    kubectl::Kubectl,
    rpc::Rpc,
    upgrades::{Style, Workspaces},
};

/// How long after the answer to the last call the server is killed, in milliseconds. Here a pod takes seconds to start, and
/// as long to go.
const KILLED_AFTER: [u64; 4] = [0, 500, 2_000, 5_000];

/// Spec of a template. A port of the node is taken by one pod at a time, and needs no storage.
fn template(style: Style) -> Value {
    let mut spec = spec();
    let container = &mut spec["containers"][0];
    container["command"] =
        json!(["sh", "-c", "echo $VERSION $GREETING; trap 'exit 0' TERM; sleep 3600 & wait"]);
    container["readinessProbe"] = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
    if style == Style::Recreate {
        container["ports"] = json!([{ "containerPort": 3000, "hostPort": 38_471 }]);
    }
    spec
}

#[tokio::test]
#[ignore = "needs cluster (creates a namespace, roles, pods)"]
async fn whenever_the_server_is_killed_an_upgrade_comes_to_its_end_on_a_real_cluster() {
    let place = Place::new("upgrades");
    place.grant_all_but(None).await;
    let serve = || {
        let server = place.serve(&[("POD_SECURITY", "privileged")]);
        let workspaces = Workspaces {
            rpc: Rpc::new(&server.base()),
            kubectl: Kubectl::at(place.kubeconfig()),
            spec: template,
            logged: |_| "",
        };
        server.says("ready");
        (server, workspaces)
    };
    let (mut server, mut workspaces) = serve();
    for style in Style::ALL {
        workspaces.spawn(style).await;
    }
    let mut interrupted = 0;
    for (version, after) in (2..).zip(KILLED_AFTER) {
        for style in Style::ALL {
            workspaces.upgrade(style, version).await;
        }
        sleep(Duration::from_millis(after)).await;
        for style in Style::ALL {
            interrupted += usize::from(workspaces.is_upgrading(style).await);
        }
        server.signal(Signal::KILL);
        server.end();
        (server, workspaces) = serve();
        for style in Style::ALL {
            workspaces.check(style, version).await;
        }
    }
    // That was no test if each upgrade was over before the server was killed.
    assert!(interrupted > 0);

    // A version that does not start leaves, or brings back, what was there.
    let version = 2 + KILLED_AFTER.len() as u64;
    workspaces.spec = |style| {
        let mut spec = template(style);
        spec["containers"][0]["command"] = json!(["false"]);
        spec
    };
    for style in Style::ALL {
        workspaces.upgrade(style, version).await;
    }
    for style in Style::ALL {
        workspaces.check(style, version).await;
        let found = workspaces.rpc.call("get_workspace", json!({ "id": style.name() })).await;
        assert!(found["lastUpgradeError"].is_string(), "{found}");
    }

    for style in Style::ALL {
        workspaces.rpc.call("stop_workspace", json!({ "id": style.name() })).await;
    }
    let admin = &place.kubectl;
    let list = || admin.run(&["get", "pods,secrets", "--namespace", &place.namespace, "--output=name"]);
    let deadline = Instant::now() + PATIENCE;
    while Style::ALL.iter().any(|style| list().contains(style.name())) {
        assert!(Instant::now() < deadline, "left behind: {}", list());
        sleep(Duration::from_millis(200)).await;
    }
    server.stop();
}
