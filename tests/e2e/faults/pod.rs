//! Pods that the test itself runs: to the embedded cluster they are on another node, whose kubelet is the test.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{SinkExt, StreamExt};
use nocrd_model::keys;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::{dev::PATIENCE, kubectl::Kubectl};

pub(super) const NAMESPACE: &str = "nogoo9";
/// How long the second half of a slow answer takes.
const SLOWNESS: Duration = Duration::from_millis(1500);

/// A program in a pod, which puts its secret into all it says. Below `/slow` it takes its time.
pub(super) struct Pod {
    address: SocketAddr,
    secret: &'static str,
    connections: Arc<AtomicUsize>,
    slow: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Pod {
    /// One that listens here, as soon as nobody else does any more.
    pub(super) async fn listen(address: SocketAddr, secret: &'static str) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            sleep(Duration::from_millis(1)).await;
        };
        let address = listener.local_addr().unwrap();
        let (connections, slow): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (count, slowly) = (Arc::clone(&connections), Arc::clone(&slow));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let slowly = Arc::clone(&slowly);
                tokio::spawn(async move {
                    // Clients come and go.
                    let _ = serve(stream, secret, &slowly).await;
                });
            }
        });
        Self { address, secret, connections, slow, serving }
    }

    pub(super) fn secret(&self) -> &'static str {
        self.secret
    }

    /// How many connections it has had.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many slow answers have begun.
    pub(super) fn slow(&self) -> usize {
        self.slow.load(Ordering::Relaxed)
    }

    /// Makes it the workspace `id`, in a pod that is Ready.
    pub(super) fn appear(&self, kubectl: &Kubectl, id: &str) {
        let mut pod = manifest(&format!("ws-{id}"), id, self.address.port());
        pod["spec"] = json!({
            "nodeName": "another-node", "containers": [{ "name": keys::MAIN_CONTAINER, "image": "busybox" }],
        });
        kubectl.apply(&pod);
        let conditions =
            json!([{ "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" }]);
        let ip = self.address.ip();
        let status =
            json!({ "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }], "conditions": conditions });
        let patch = json!({ "status": status }).to_string();
        kubectl.run(&[
            "patch",
            &format!("pod/ws-{id}"),
            "--namespace",
            NAMESPACE,
            "--subresource=status",
            "--type=merge",
            "--patch",
            &patch,
        ]);
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A pod of the workspace `id`, still without a spec.
pub(super) fn manifest(name: &str, id: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE,
            "labels": {
                keys::TYPE: keys::TYPE_WORKSPACE, keys::MANAGED_BY: keys::MANAGED_BY_VALUE,
                keys::WORKSPACE_ID: id, keys::USER_SUB: "guest",
            },
            "annotations": { keys::WORKSPACE_PORT: port.to_string(), keys::USER_SUB: "guest" },
        },
    })
}

async fn serve(stream: TcpStream, secret: &str, slow: &AtomicUsize) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let length = loop {
        let length = stream.peek(&mut head).await?;
        if length == 0 || head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
            break length;
        }
        tokio::task::yield_now().await;
    };
    if String::from_utf8_lossy(&head[..length]).to_ascii_lowercase().contains("upgrade: websocket") {
        let Ok(mut socket) = accept_async(stream).await else { return Ok(()) };
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(Message::text(secret)).await.is_err() {
                break;
            }
        }
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * secret.len());
        stream.write_all(format!("{head}{secret}").as_bytes()).await?;
        if lower.contains("/slow") {
            slow.fetch_add(1, Ordering::Relaxed);
            sleep(SLOWNESS).await;
        }
        stream.write_all(secret.as_bytes()).await?;
    }
}
