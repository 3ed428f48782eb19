//! The cluster as a whole: store, API, controllers, kubelet, listener.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use serde_json::json;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    Error,
    access::Access,
    api::{self, Api},
    controllers::Controllers,
    credentials::Credentials,
    kind::Kind,
    kubeconfig,
    kubelet::{self, BackoffConfig, Image, Kubelet, Sandbox},
    runtime::{NoRuntime, Runtime},
    server::{self, Authority, Listening, Server, Token},
    status::Status,
    store::{self, Store},
    tokens::Issuer,
};

/// How often the disk is asked to keep up, when objects are kept.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Namespaces every cluster has.
const NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What kind of cluster.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API listens: a loopback address. Port 0 takes any free one.
    pub bind: SocketAddr,
    /// Where objects and the files of claims are kept; in memory and temporary directories when absent.
    pub data_dir: Option<PathBuf>,
    /// A namespace that is there from the start, and the one the kubeconfig names.
    pub namespace: String,
    /// Name of the node.
    pub node_name: String,
    /// Whether pods are run. Without, they are bound to the node and stay pending: tests then write their status.
    pub run_pods: bool,
    /// Images beside the built-in ones.
    pub images: Vec<Image>,
    /// How containers are kept apart.
    pub sandbox: Sandbox,
    /// Delays between restarts of containers.
    pub backoff: BackoffConfig,
    /// Where volumes and logs are kept while pods run; a temporary directory when absent.
    pub run_dir: Option<PathBuf>,
    /// Directories that `hostPath` volumes may be in.
    pub host_paths: Vec<PathBuf>,
    /// Files and directories that pods must not see, besides the data directory: the kubeconfig, for instance.
    pub hidden: Vec<PathBuf>,
    /// Rules on what may be done. They can be changed while the cluster runs.
    pub access: Access,
}

impl Default for Config {
    fn default() -> Self {
        let kubelet = kubelet::Config::default();
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            data_dir: None,
            namespace: "nogoo9".into(),
            node_name: kubelet.node_name,
            run_pods: true,
            images: kubelet.images,
            sandbox: kubelet.sandbox,
            backoff: kubelet.backoff,
            run_dir: kubelet.run_dir,
            host_paths: kubelet.host_paths,
            hidden: Vec::new(),
            access: Access::default(),
        }
    }
}

/// A running cluster. [`DevCluster::shutdown`] stops it in order; dropping it stops it in haste.
pub struct DevCluster {
    store: Store,
    router: Router,
    access: Access,
    token: Token,
    authority: Authority,
    namespace: String,
    server: Server,
    conversations: TaskTracker,
    controllers: Controllers,
    kubelet: Option<Arc<Kubelet>>,
    flushing: Option<AbortOnDropHandle<()>>,
    /// Dropping it closes the listener and ends watches.
    closing: DropGuard,
}

impl DevCluster {
    /// Starts a cluster.
    ///
    /// # Errors
    /// When its data can't be used, its address not be listened on, or pods not be run on this machine.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let options = store::Options { data_dir: config.data_dir.clone(), ..store::Options::default() };
        let store = Store::open(&options).map_err(Error::Store)?;
        bootstrap(&store, &config).map_err(Error::Bootstrap)?;
        let Credentials { authority, token } = Credentials::open(config.data_dir.as_deref())?;
        // Before anything runs: an address that is taken is what goes wrong most often.
        let listening = Listening::bind(config.bind, &authority).await?;

        let issuer = Issuer::default();
        let kubelet = if config.run_pods {
            let config = kubelet::Config {
                node_name: config.node_name,
                images: config.images,
                sandbox: config.sandbox,
                backoff: config.backoff,
                run_dir: config.run_dir,
                claims_dir: config.data_dir.as_ref().map(|dir| dir.join("claims")),
                host_paths: config.host_paths,
                hidden: config.data_dir.into_iter().chain(config.hidden).collect(),
                issuer: issuer.clone(),
            };
            Some(Kubelet::start(store.clone(), config).await.map_err(Error::Kubelet)?)
        } else {
            None
        };
        let runtime: Arc<dyn Runtime> = match &kubelet {
            Some(kubelet) => Arc::clone(kubelet) as Arc<dyn Runtime>,
            None => Arc::new(NoRuntime),
        };
        let closing = CancellationToken::new();
        let api = api::Options { issuer, ..api::Options::default() };
        let controllers = Controllers::start(&store, api.service_accounts);
        let api = Api::new(store.clone(), runtime, config.access.clone(), api, closing.child_token());
        let (conversations, router) = (api.conversations(), api.router());
        let guarded = server::require_token(router.clone(), token.clone());
        let server = listening.serve(guarded, closing.child_token());
        let flushing =
            options.data_dir.is_some().then(|| AbortOnDropHandle::new(tokio::spawn(flush(store.clone()))));
        Ok(Self {
            store,
            router,
            access: config.access,
            token,
            authority,
            namespace: config.namespace,
            server,
            conversations,
            controllers,
            kubelet,
            flushing,
            closing: closing.drop_guard(),
        })
    }

    /// The API for clients in this process, which need neither socket nor token. Commands in containers need the
    /// listener, because they take over a connection.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Address of the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.server.address())
    }

    /// The bearer token that the listener wants.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The objects.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The rules on what may be done.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The kubeconfig for clients of the listener, as YAML. It contains the token.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        kubeconfig::render(&self.url(), &self.authority.pem(), &self.token, &self.namespace)
    }

    /// Writes the kubeconfig to a file that only its owner can read.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_kubeconfig(&self, path: &std::path::Path) -> Result<(), Error> {
        kubeconfig::write(path, &self.kubeconfig())
            .map_err(|source| Error::Kubeconfig { path: path.to_owned(), source })
    }

    /// Stops the cluster: ends watches and connections, kills all processes of pods and waits for their end, and
    /// leaves the objects where they are kept. Clients that still have the router can read but no longer write.
    ///
    /// # Errors
    /// When the objects can't be brought to disk.
    pub async fn shutdown(self) -> Result<(), Error> {
        self.closing.disarm().cancel();
        self.conversations.close();
        tokio::join!(self.server.shutdown(), self.conversations.wait());
        self.controllers.shutdown().await;
        if let Some(kubelet) = &self.kubelet {
            kubelet.shutdown().await;
        }
        drop(self.flushing);
        self.store.close().map_err(Error::Store)
    }
}

async fn flush(store: Store) {
    let mut ticks = tokio::time::interval(FLUSH_INTERVAL);
    loop {
        ticks.tick().await;
        let store = store.clone();
        // Waiting for a disk would hold up everything else here.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.flush()).await {
            tracing::warn!(%error, "the cluster's objects are not safe on disk");
        }
    }
}

/// What every cluster has: namespaces, and a node for the pods. A kubelet says more of the node later.
fn bootstrap(store: &Store, config: &Config) -> Result<(), Status> {
    let unless_there = |result: Result<_, Status>| match result {
        Err(status) if status.code != 409 => Err(status),
        _ => Ok(()),
    };
    for name in NAMESPACES.into_iter().chain([config.namespace.as_str()]) {
        let namespace = json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
        });
        unless_there(store.create(Kind::Namespace, namespace))?;
        let account = json!({ "metadata": { "name": "default", "namespace": name } });
        unless_there(store.create(Kind::ServiceAccount, account))?;
    }
    if config.run_pods {
        return Ok(());
    }
    let labels =
        json!({ "kubernetes.io/hostname": config.node_name, "kubernetes.io/os": std::env::consts::OS });
    let node = json!({
        "metadata": { "name": config.node_name, "labels": labels }, "spec": {},
        "status": { "conditions": [{
            "type": "Ready", "status": "True", "reason": "NothingRuns", "message": "pods are bound but not run",
        }] },
    });
    unless_there(store.create(Kind::Node, node))
}
