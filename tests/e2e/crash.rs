//! A server that is killed in the middle of its work, and the one that is started in its place.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{dev::PATIENCE, kubectl::Kubectl, processes, program::Program, rpc::Rpc};

fn arguments(n: usize) -> Value {
    let command = ["sh", "-c", "echo $GREETING > /tmp/greeting; sleep 1000"];
    let container = json!({ "name": "agent", "image": "busybox", "command": command });
    let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [container] });
    json!({ "id": format!("w{n}"), "spec": spec, "context": { "GREETING": "hello" } })
}

#[tokio::test]
async fn nothing_is_left_half_done_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (kubeconfig, data) = (dir.path().join("kubeconfig"), dir.path().join("data"));
    let args = ["--data-dir", data.to_str().unwrap()];
    let env = [("STATELESS", "true")];
    let dev = Program::dev(&kubeconfig, &args, &env);
    let rpc = Rpc::new(&dev.base());
    let mut spawning: FuturesUnordered<_> = (0..24)
        .map(|n| {
            let rpc = rpc.clone();
            async move { rpc.attempt("spawn_workspace", arguments(n)).await }
        })
        .collect();
    // One is done, others are not.
    spawning.next().await.unwrap().unwrap();
    let family = processes::descendants(dev.id());
    dev.signal(Signal::KILL);
    assert!(!dev.end().status.success());
    drop(spawning);

    let dev = Program::dev(&kubeconfig, &args, &env);
    let rpc = Rpc::new(&dev.base());
    dev.says("ready");
    let kubectl = Kubectl::at(kubeconfig.clone());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let half_done = half_done(&kubectl);
        if half_done.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "left behind: {half_done:?}");
        sleep(Duration::from_millis(200)).await;
    }
    // What the killed server's cluster ran is gone, and runs anew.
    let left = processes::still_alive(&family);
    assert!(left.is_empty(), "processes of the killed server live on: {}", left.join(", "));
    let ids = rpc.ids().await;
    assert!(!ids.is_empty(), "{ids:?}");
    for id in &ids {
        rpc.call("stop_workspace", json!({ "id": id })).await;
    }
    while !rpc.ids().await.is_empty() {
        assert!(Instant::now() < deadline, "{:?}", rpc.ids().await);
        sleep(Duration::from_millis(50)).await;
    }
    let family = processes::descendants(dev.id());
    dev.stop();
    let left = processes::still_alive(&family);
    assert!(left.is_empty(), "processes were left behind: {}", left.join(", "));
}

/// Pods without the Secret they wait for, and Secrets without the pod that owns them.
pub(crate) fn half_done(kubectl: &Kubectl) -> Vec<String> {
    let list = |kind: &str| kubectl.get(kind)["items"].as_array().unwrap().clone();
    let (pods, secrets) = (list("pods"), list("secrets"));
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let secret_of =
        |pod: &Value| pod["metadata"]["annotations"]["nogoo9/context-secret"].as_str().map(str::to_owned);
    let owner_of = |secret: &Value| secret["metadata"]["ownerReferences"][0]["uid"].clone();
    let waiting = pods.iter().filter(|pod| {
        secret_of(pod).is_some_and(|wanted| !secrets.iter().any(|secret| name(secret) == wanted))
    });
    let ownerless = secrets.iter().filter(|secret| {
        let owner = owner_of(secret);
        !pods.iter().any(|pod| pod["metadata"]["uid"] == owner)
    });
    waiting
        .map(|pod| format!("pod {}", name(pod)))
        .chain(ownerless.map(|secret| format!("secret {}", name(secret))))
        .collect()
}
