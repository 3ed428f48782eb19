//! Replicas over the embedded cluster's API, in this process.

mod key;
mod settings;
mod sharing;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::http::StatusCode;
use axum::{extract::Request, middleware::Next, response::IntoResponse as _};
use nocrd_authz::keys::{KeyRing, Purpose};
use nocrd_cluster::{Cluster, Scope};
use nocrd_devcluster::{Config, DevCluster, kind::Kind, store::Preconditions};
use nocrd_model::{Namespace, keys::SESSION_KEY_SECRET};
use nocrd_testkit::Written;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::AbortOnDropHandle;

use super::{
    keeper::Keeper,
    material::Held,
    peers::{self, Peers},
};

pub(super) const NAMESPACE: &str = "nogoo9";
/// The ServiceAccount of the replicas.
pub(super) const ACCOUNT: &str = "gateway";
/// Longest time anything here may take; it only bounds how long a failing test waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster's API, and addresses for pods that no other test uses.
pub(super) struct World {
    pub(super) dev: DevCluster,
    pub(super) dir: TempDir,
    /// The API answers everything with 503.
    away: Arc<AtomicBool>,
    subnet: [u8; 2],
    pub(super) port: u16,
}

/// What keeps the key of one replica.
pub(super) struct Replica {
    pub(super) ring: Arc<KeyRing>,
    pub(super) held: watch::Receiver<Option<Held>>,
    pub(super) peers: Option<Arc<Peers>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Replica {
    pub(super) async fn known(&self) -> String {
        let known = self.held.clone().wait_for(Option::is_some).await.map(drop);
        known.unwrap();
        self.ring.current_id().unwrap().to_string()
    }

    /// The key's id, when it is this one.
    pub(super) async fn knows(&self, id: &str) {
        eventually("the key", || self.ring.current_id().is_some_and(|known| known.as_str() == id)).await;
    }

    pub(super) fn sign(&self) -> String {
        self.ring.sign(Purpose::Session, b"alice").unwrap()
    }

    pub(super) fn accepts(&self, cookie: &str) -> bool {
        self.ring.verify(Purpose::Session, cookie).is_ok()
    }
}

pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // A second's sleep is nothing where the clock is paused.
    let patience = PATIENCE * 10;
    tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

impl World {
    pub(super) async fn start() -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let dev = DevCluster::start(Config { run_pods: false, ..Config::default() }).await.unwrap();
        let subnet = [rand::random_range(1..=250), rand::random_range(1..=250)];
        let free = TcpListener::bind((Ipv4Addr::new(127, subnet[0], subnet[1], 1), 0)).await.unwrap();
        let port = free.local_addr().unwrap().port();
        let world = Self { dev, dir: tempfile::tempdir().unwrap(), away: Arc::default(), subnet, port };
        world.account(ACCOUNT).await;
        world
    }

    /// The API server is away from now on, or back.
    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub(super) fn client(&self) -> kube::Client {
        let away = Arc::clone(&self.away);
        let guard = move |request: Request, next: Next| {
            let away = away.load(Ordering::SeqCst);
            async move {
                if away { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { next.run(request).await }
            }
        };
        let router = self.dev.router().layer(axum::middleware::from_fn(guard));
        kube::Client::new(router, NAMESPACE)
    }

    pub(super) async fn cluster(&self) -> Cluster {
        let config = nocrd_cluster::Config::new(Scope::Namespaced, home());
        Cluster::start(self.client(), config).await.unwrap()
    }

    pub(super) async fn account(&self, name: &str) {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } });
        self.cluster().await.create_service_account(&home(), &account).await.unwrap();
    }

    pub(super) fn address(&self, last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.subnet[0], self.subnet[1], last))
    }

    /// A pod that runs, and its uid.
    pub(super) async fn pod(&self, name: &str, account: &str, address: IpAddr, labels: Value) -> String {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
            "spec": { "serviceAccountName": account, "containers": [{ "name": "main", "image": "x" }] },
        });
        let made = self.cluster().await.create_pod(&home(), &pod).await.unwrap();
        self.dev
            .store()
            .update_status(Kind::Pod, NAMESPACE, name, &Preconditions::none(), |status| {
                let running = json!({
                    "phase": "Running", "podIP": address.to_string(), "podIPs": [{ "ip": address.to_string() }],
                });
                status.extend(running.as_object().unwrap().clone());
            })
            .unwrap();
        made["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// A token of a ServiceAccount, bound to a pod if one is named.
    pub(super) async fn token(&self, account: &str, pod: Option<&str>, audience: &str) -> String {
        let bound = pod.map(|name| json!({ "kind": "Pod", "apiVersion": "v1", "name": name }));
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": [audience], "expirationSeconds": 3600, "boundObjectRef": bound },
        });
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token");
        let request = ::http::Request::post(path).header("content-type", "application/json");
        let answer: Value =
            self.client().request(request.body(body.to_string().into_bytes()).unwrap()).await.unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    /// A replica that does not ask others.
    pub(super) async fn replica(&self) -> Replica {
        let (ring, held) = (Arc::new(KeyRing::default()), watch::Sender::new(None));
        let receiver = held.subscribe();
        let keeper = Keeper::new(self.cluster().await, Arc::clone(&ring), None, held, Arc::default());
        Replica { ring, held: receiver, peers: None, _tasks: vec![super::spawn(keeper.run())] }
    }

    /// The configuration of the replica that is this pod, with its token in a file.
    pub(super) async fn config(&self, pod: &str) -> peers::Config {
        let token = self.token(ACCOUNT, Some(pod), peers::AUDIENCE).await;
        let token_file: PathBuf = self.dir.path().join(pod);
        std::fs::write(&token_file, token).unwrap();
        peers::Config { port: self.port, token_file, retries: 20, delay: Duration::from_millis(50) }
    }

    /// A replica in a pod of its own, that asks others and answers them.
    pub(super) async fn peer(&self, name: &str, last: u8) -> Replica {
        self.pod(name, ACCOUNT, self.address(last), json!({})).await;
        self.peer_of(name, last).await
    }

    /// The replica of a pod that is there.
    pub(super) async fn peer_of(&self, name: &str, last: u8) -> Replica {
        let (ring, held) = (Arc::new(KeyRing::default()), watch::Sender::new(None));
        let receiver = held.subscribe();
        let peers = Peers::new(self.cluster().await, self.config(name).await, held.subscribe());
        let listener = TcpListener::bind((self.address(last), self.port)).await.unwrap();
        let serving = super::spawn(Arc::clone(&peers).serve(listener));
        let keeper = Keeper::new(
            self.cluster().await,
            Arc::clone(&ring),
            Some(Arc::clone(&peers)),
            held,
            Arc::default(),
        );
        let tasks = vec![serving, super::spawn(keeper.run())];
        Replica { ring, held: receiver, peers: Some(peers), _tasks: tasks }
    }

    /// The Secret's entries, as text.
    pub(super) fn secret(&self) -> Option<Value> {
        let secret = self.dev.store().get(Kind::Secret, NAMESPACE, SESSION_KEY_SECRET).ok()?;
        Some(secret["data"].clone())
    }
}

pub(super) fn home() -> Namespace {
    Namespace::parse(NAMESPACE).unwrap()
}

/// What is logged on this thread.
#[derive(Clone, Default)]
pub(super) struct Log(Written);

impl Log {
    pub(super) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.0.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(super) fn text(&self) -> String {
        self.0.text()
    }
}
