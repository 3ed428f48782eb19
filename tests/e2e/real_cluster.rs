//! On the cluster of the current kubeconfig: the main job, and what is left of it without some right.

mod place;
mod rights;
mod upgrades;

use std::{env, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{dev::PATIENCE, kubectl::Kubectl, program::Program, rpc::Rpc};

fn kubeconfig() -> String {
    env::var("KUBECONFIG").unwrap_or_else(|_| format!("{}/.kube/config", env::var("HOME").unwrap()))
}

/// A pod of the test's image. It serves a page where the image has a web server, which busybox has, and is Ready anyway.
fn spec() -> Value {
    let image = env::var("NOCRD_TEST_IMAGE").unwrap_or_else(|_| "busybox".to_owned());
    let serve = "mkdir -p /tmp/www && echo hello > /tmp/www/index.html && \
        if httpd -h /tmp/www -p 3000; then echo serving; fi; exec sleep 3600";
    let mut spec = json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "agent", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", serve],
            "readinessProbe": { "exec": { "command": ["test", "-f", "/tmp/www/index.html"] }, "periodSeconds": 1 },
        }],
    });
    if let Ok(node) = env::var("NOCRD_TEST_NODE") {
        spec["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    }
    spec
}

#[tokio::test]
#[ignore = "needs cluster (creates pods)"]
async fn the_main_job_works_on_a_real_cluster() {
    let kubeconfig = kubeconfig();
    let kubectl = Kubectl::at(kubeconfig.clone().into());
    let namespace = kubectl.line("config view --minify --output=jsonpath={..namespace}");
    let namespace = if namespace.is_empty() { "default" } else { &namespace };
    let env = [
        ("KUBECONFIG", kubeconfig.as_str()),
        ("STATELESS", "true"),
        ("MODE", "namespaced"),
        ("NAMESPACE", namespace),
    ];
    let server = Program::start(&["--port=0"], &env);
    let rpc = Rpc::new(&server.base());
    server.says("ready");

    // An id of its own, for others may work there too.
    let id = format!("e2e-{}", std::process::id());
    let arguments = json!({ "id": id, "spec": spec(), "context": { "GREETING": "hello" }, "wait": true });
    let spawned = rpc.call("spawn_workspace", arguments).await;
    assert_eq!(spawned["warnings"], json!([]), "{spawned}");
    assert!(rpc.ids().await.contains(&id));
    let details = rpc.call("get_workspace", json!({ "id": id })).await;
    assert_eq!(details["status"], "Running", "{details}");

    // Where pods can be reached from here, the page comes; elsewhere the proxy at least knows where it would be.
    let url = spawned["url"].as_str().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(matches!(status, 200 | 502 | 504), "{status}: {}", answer.text().await.unwrap());

    rpc.call("stop_workspace", json!({ "id": id })).await;
    let deadline = Instant::now() + PATIENCE;
    while rpc.ids().await.contains(&id) {
        assert!(Instant::now() < deadline, "the workspace is still there");
        sleep(Duration::from_millis(200)).await;
    }
    // Its Secret goes when the cluster collects what has no owner any more.
    let left = || kubectl.run(&["get", "pods,secrets", "--namespace", namespace, "--output=name"]);
    while left().contains(&id) {
        assert!(Instant::now() < deadline, "{}", left());
        sleep(Duration::from_millis(200)).await;
    }
    server.stop();
}
