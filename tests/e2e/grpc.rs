//! gRPC through the proxy: a server and a client of the official library, which know nothing of each other's HTTP.

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use nocrd_model::keys;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{dev::PATIENCE, program::Program, rpc::Rpc, tools};

/// Where the server listens, at the address of a pod.
const PORT: &str = "50051";

/// A process that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python() -> Command {
    let mut command = Command::new(tools::python());
    command.arg("-B").arg(tools::python_grpc());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_streams_pass() {
    let dir = tempfile::tempdir().unwrap();
    let dev = Program::dev(&dir.path().join("kubeconfig"), &[], &[("STATELESS", "true")]);
    let (base, rpc) = (dev.base(), Rpc::new(&dev.base()));
    // Pods do not see the library. What listens at their addresses is theirs to the proxy.
    let container = json!({ "name": "agent", "image": "busybox", "command": ["sleep", "1000"] });
    let annotations = json!({ keys::WORKSPACE_PORT: PORT });
    let arguments = json!({ "id": "calls", "spec": { "containers": [container] }, "annotations": annotations, "wait": true });
    rpc.call("spawn_workspace", arguments).await;
    let workspace = rpc.call("get_workspace", json!({ "id": "calls" })).await;
    let address = workspace["podIP"].as_str().unwrap();
    let server = Server(python().args(["serve", PORT]).env("POD_IP", address).spawn().unwrap());

    let start = Instant::now();
    while TcpStream::connect(format!("{address}:{PORT}")).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "the server does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let target = base.strip_prefix("http://").unwrap().to_owned();
    let client = move || python().args(["call", &target, "/route/calls"]).output().unwrap();
    let output = tokio::task::spawn_blocking(client).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(server);
    tokio::task::spawn_blocking(move || dev.stop()).await.unwrap();
}
