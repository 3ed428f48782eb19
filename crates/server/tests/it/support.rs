//! A cluster's API without pods that run, a server on it, and what tests do with both.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use nocrd_config::Settings;
use nocrd_devcluster::{
    Config, DevCluster,
    kind::Kind,
    store::{Preconditions, Store},
};
use nocrd_model::keys;
use nocrd_server::{Components, Error, Server, Shutdown};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

const NAMESPACE: &str = "nogoo9";
/// Longest time anything here may take; it only bounds how long a failing test waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The API of a cluster.
pub(crate) struct Cluster {
    pub(crate) dev: DevCluster,
    dir: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        // A second installation, by another test of this process, is refused.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let dev = DevCluster::start(Config { run_pods: false, ..Config::default() }).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        dev.write_kubeconfig(&dir.path().join("kubeconfig")).unwrap();
        Self { dev, dir }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// Lets the kubeconfig lead through `relay`.
    pub(crate) fn reach_through(&self, relay: &Relay) {
        self.reach_at(&format!("https://{}", relay.address));
    }

    /// Lets the kubeconfig lead to another address.
    pub(crate) fn reach_at(&self, url: &str) {
        let text = std::fs::read_to_string(self.kubeconfig()).unwrap();
        std::fs::write(self.kubeconfig(), text.replace(&self.dev.url(), url)).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.dev.url().strip_prefix("https://").unwrap().parse().unwrap()
    }

    fn store(&self) -> &Store {
        self.dev.store()
    }

    /// A workspace's pod, which is Pending.
    pub(crate) fn add_pod(&self, id: &str, port: u16) {
        self.add_pod_of(id, port, "guest", &[]);
    }

    /// The same, of somebody, with further annotations.
    pub(crate) fn add_pod_of(&self, id: &str, port: u16, owner: &str, annotations: &[(String, String)]) {
        let mut all = json!({ keys::WORKSPACE_PORT: port.to_string(), keys::USER_SUB: owner });
        all.as_object_mut()
            .unwrap()
            .extend(annotations.iter().map(|(name, value)| (name.clone(), json!(value))));
        let pod = json!({
            "metadata": {
                "name": format!("ws-{id}"), "namespace": NAMESPACE,
                "labels": {
                    keys::TYPE: keys::TYPE_WORKSPACE, keys::MANAGED_BY: keys::MANAGED_BY_VALUE,
                    keys::WORKSPACE_ID: id, keys::USER_SUB: owner,
                },
                "annotations": all,
            },
            "spec": { "nodeName": "n", "containers": [{ "name": "agent", "image": "busybox" }] },
        });
        self.store().create(Kind::Pod, pod).unwrap();
    }

    /// Lets a pod be Ready at 127.0.0.1.
    pub(crate) fn make_ready(&self, id: &str) {
        let status = json!({
            "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{ "ip": "127.0.0.1" }],
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "PodScheduled", "status": "True" }],
            "containerStatuses": [{
                "name": "agent", "image": "busybox", "imageID": "", "ready": true, "restartCount": 0,
                "state": { "running": {} },
            }],
        });
        let name = format!("ws-{id}");
        self.store()
            .update_status(Kind::Pod, NAMESPACE, &name, &Preconditions::none(), |current| {
                current.extend(status.as_object().unwrap().clone());
            })
            .unwrap();
    }

    pub(crate) fn remove_pod(&self, id: &str) {
        self.store().delete(Kind::Pod, NAMESPACE, &format!("ws-{id}"), &Preconditions::none()).unwrap();
    }
}

/// A server, running as a task of the test.
pub(crate) struct Running {
    pub(crate) base: String,
    /// Where the metrics are, if they are.
    metrics: Option<String>,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<Result<(), Error>>,
    pub(crate) client: reqwest::Client,
}

pub(crate) fn settings(cluster: &Cluster, env: &[(&str, &str)]) -> Settings {
    let fixed = [("KUBECONFIG", cluster.kubeconfig().display().to_string())];
    let given = [("PORT", "0"), ("POD_CIDRS", "127.0.0.0/8"), ("DRAIN_TIMEOUT", "20")];
    let mut all: BTreeMap<String, String> =
        fixed.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    all.extend(given.iter().chain(env).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Settings::from_env(&all).unwrap()
}

impl Running {
    /// Starts a server and waits until it is ready.
    pub(crate) async fn start(cluster: &Cluster, env: &[(&str, &str)]) -> Self {
        let running = Self::begin(cluster, env, Components::ALL).await;
        running.ready().await;
        running
    }

    /// Starts a server.
    pub(crate) async fn begin(cluster: &Cluster, env: &[(&str, &str)], components: Components) -> Self {
        let server = Server::bind(settings(cluster, env), components).await.unwrap();
        let base = server.urls().unwrap().local().to_owned();
        let shutdown = Shutdown::new();
        let task = tokio::spawn(server.serve(shutdown.clone()));
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let metrics = env.iter().find(|(name, _)| *name == "METRICS_PORT");
        let metrics = metrics.map(|(_, port)| format!("http://127.0.0.1:{port}"));
        Self { base, metrics, shutdown, task, client: client.build().unwrap() }
    }

    pub(crate) async fn ready(&self) {
        self.until("/readyz", |status, _| status == 200).await;
    }

    /// Asks for a path until the answer is as wanted, and gives it.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        self.ask_until(path, |request| request, wanted).await
    }

    /// What `/readyz` tells operators, once it is as wanted.
    pub(crate) async fn readiness(&self, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        let request = || self.client.get(format!("{}/readyz", self.metrics.as_deref().unwrap()));
        json(&self.asked_until("/readyz", request, |status, text| wanted(status, &json(text))).await)
    }

    /// The same, with a token.
    pub(crate) async fn until_as(
        &self,
        token: &str,
        path: &str,
        wanted: impl Fn(u16, &str) -> bool,
    ) -> String {
        self.ask_until(path, |request| request.bearer_auth(token), wanted).await
    }

    async fn ask_until(
        &self,
        path: &str,
        identified: impl Fn(RequestBuilder) -> RequestBuilder,
        wanted: impl Fn(u16, &str) -> bool,
    ) -> String {
        self.asked_until(path, || identified(self.get(path)), wanted).await
    }

    async fn asked_until(
        &self,
        path: &str,
        request: impl Fn() -> RequestBuilder,
        wanted: impl Fn(u16, &str) -> bool,
    ) -> String {
        let mut last = String::new();
        let asking = async {
            loop {
                if let Ok(answer) = request().send().await {
                    let status = answer.status().as_u16();
                    last = answer.text().await.unwrap_or_default();
                    if wanted(status, &last) {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, asking).await.is_ok();
        assert!(in_time, "{path} never answered as wanted, but: {last}");
        last
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.base))
    }

    pub(crate) fn post_mcp(&self, message: &Value) -> RequestBuilder {
        self.client
            .post(format!("{}/mcp", self.base))
            .header("accept", "application/json, text/event-stream")
            .json(message)
    }

    pub(crate) async fn initialize(&self) -> Response {
        self.post_mcp(&initialize()).send().await.unwrap()
    }

    /// Stops it, and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.requested.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// A port that is free now. The server can't be asked which one it has taken.
pub(crate) fn free_port() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port().to_string()
}

pub(crate) fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        },
    })
}

pub(crate) async fn status_and_json(answer: Response) -> (u16, Value) {
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A TCP relay that can be cut and mended.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    open: watch::Sender<bool>,
    _task: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = watch::Sender::new(true);
        let watching = open.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut open = watching.subscribe();
                // While it is cut, connections are closed at once.
                if !*open.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let relaying = async {
                        let mut server = TcpStream::connect(target).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    tokio::select! {
                        _ = relaying => {}
                        _ = open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open, _task: task }
    }

    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}
