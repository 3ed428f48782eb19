//! The kubelet: runs the cluster's pods as processes of this machine.
//!
//! One task looks after each pod (`worker`): it makes the pod's volumes, lets its containers run in their order
//! (`sequence`), each restarted as the pod's policy has it (`supervisor`), and writes what they do into the pod's status
//! (`status`). It learns of pods by watching the store and has no other input.
//!
//! **It is no security boundary.** With `bwrap` (bubblewrap) each container has its own processes and its own view of
//! the filesystem, in which the machine is read-only and home directories, this cluster's data and other pods are not
//! there; see [`Sandbox`]. The network is the machine's, and so are CPU and memory: limits are not enforced.
//!
//! Where it differs from a real kubelet:
//!
//! - Images are names for programs of this machine ([`Image`]); a container's `command` runs on the machine's files.
//! - Each pod has an address of 127.0.0.0/8 of its own (Linux), and `POD_IP` in its environment. A server should listen
//!   on that address: one that listens on all addresses keeps other pods from using its port.
//! - Programs run as whoever runs the cluster, who appears as root inside. `runAsUser`, `fsGroup`, capabilities and the
//!   rest of the security contexts change nothing.
//! - A claim is a directory, of whatever size. `hostPath` needs a permission ([`Config::host_paths`]); volumes of other
//!   kinds than these and those that Kubernetes fills are not there.
//! - Limits of resources, of `emptyDir` sizes, and being out of memory are not emulated.
//! - A container with `tty` has no terminal of its own; with `stdin` it has an input that stays empty.

mod addresses;
mod backoff;
mod claims;
mod container;
mod descendants;
mod dispatcher;
mod env;
mod exec;
mod expand;
mod fields;
mod hooks;
mod images;
mod logs;
mod node;
mod paths;
mod pod;
mod probes;
mod process;
mod rundir;
mod runtime;
mod sandbox;
mod sequence;
mod sources;
mod spec;
mod status;
mod supervisor;
#[cfg(test)]
mod tests;
mod volumes;
mod worker;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nocrd_model::error::{Code, ErrorKind, INTERNAL};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use self::{addresses::Addresses, claims::Claims, node::Node, process::Spawner, rundir::RunDir};
pub use self::{backoff::BackoffConfig, images::Image, sandbox::Sandbox};
use crate::{events::Recorder, status::Status, store::Store, tokens::Issuer};

/// How long what is missing, such as a Secret, is waited for before it is looked for again, if nothing announces it.
const RETRY: Duration = Duration::from_millis(300);

/// How pods are run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the node; pods assigned to it are run.
    pub node_name: String,
    /// Images beside the built-in ones, which they shadow.
    pub images: Vec<Image>,
    /// How containers are kept apart.
    pub sandbox: Sandbox,
    /// Delays between restarts.
    pub backoff: BackoffConfig,
    /// Where volumes, logs and the containers' own files are kept while pods run. By default the machine's directory
    /// for temporary files.
    pub run_dir: Option<PathBuf>,
    /// Where the directories of claims are kept. By default in `run_dir`, which goes with the kubelet.
    pub claims_dir: Option<PathBuf>,
    /// Directories that `hostPath` volumes may be in. None by default.
    pub host_paths: Vec<PathBuf>,
    /// Files and directories containers must not see, such as the cluster's data and its credentials. Only honoured
    /// with a sandbox.
    pub hidden: Vec<PathBuf>,
    /// Signs the tokens of service accounts in volumes.
    pub issuer: Issuer,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_name: "nocrd-dev".into(),
            images: Vec::new(),
            sandbox: Sandbox::default(),
            backoff: BackoffConfig::default(),
            run_dir: None,
            claims_dir: None,
            host_paths: Vec::new(),
            hidden: Vec::new(),
            issuer: Issuer::default(),
        }
    }
}

/// Why the kubelet can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory it works in can't be used.
    #[error("the kubelet can't use its working directory {}", path.display())]
    RunDir {
        /// The directory it was to be made in.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No thread to start processes from.
    #[error("the kubelet can't start a thread")]
    Thread(#[source] io::Error),
    /// Sandboxes were asked for and don't work.
    #[error("no sandbox: {why}")]
    Sandbox {
        /// What `bwrap` says.
        why: String,
    },
    /// Its Node object could not be written.
    #[error("the kubelet can't announce its node")]
    Node(#[source] Status),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        INTERNAL
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}

/// Runs the pods of a store. Dropping it kills them; [`Kubelet::shutdown`] also waits for their end.
pub struct Kubelet {
    node: Arc<Node>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    shutdown: CancellationToken,
}

impl Kubelet {
    /// Starts running the pods that are assigned to the node `config` names, those that are there already included.
    ///
    /// # Errors
    /// When this machine does not give what `config` asks for.
    pub async fn start(store: Store, config: Config) -> Result<Arc<Self>, Error> {
        let parent = config.run_dir.unwrap_or_else(std::env::temp_dir);
        let run_dir = RunDir::create(&parent).map_err(|source| Error::RunDir { path: parent, source })?;
        let claims_dir = config.claims_dir.unwrap_or_else(|| run_dir.path().join("claims"));
        let claims =
            Claims::open(&claims_dir).map_err(|source| Error::RunDir { path: claims_dir, source })?;
        let claims = Arc::new(claims);
        process::raise_open_files_limit();
        let spawner = Spawner::start().map_err(Error::Thread)?;
        let mut hidden = config.hidden;
        hidden.extend([run_dir.path(), claims.dir()].map(Path::to_owned));
        let search = paths::Search::new(&hidden);
        let isolation = sandbox::Isolation::detect(config.sandbox, &search, &spawner)
            .await
            .map_err(|why| Error::Sandbox { why })?;
        if let Some(advice) = isolation.advice() {
            tracing::warn!("{advice}");
        }
        let capacity = node::capacity();
        node::announce(&store, &config.node_name, &capacity).map_err(Error::Node)?;
        let (count, sources) = watch::channel(0);
        let shutdown = CancellationToken::new();
        let node = Arc::new(Node {
            recorder: Recorder::new(store.clone(), "kubelet", Some(config.node_name.clone())),
            name: config.node_name,
            images: images::Images::new(config.images, &search),
            search,
            isolation,
            spawner,
            prober: probes::HttpProber::default(),
            backoff: config.backoff,
            host_paths: config.host_paths,
            issuer: config.issuer,
            run_dir,
            claims,
            capacity,
            addresses: Addresses::new(rand::random()).into(),
            pods: std::sync::Mutex::default(),
            sources,
            shutdown: shutdown.clone(),
            store: store.clone(),
        });
        let clearing = tokio::spawn(claims::clear(node.claims.clone(), store.clone(), shutdown.clone()));
        let counting = tokio::spawn(sources::count_changes(store, count));
        let dispatching = tokio::spawn(dispatcher::run(node.clone()));
        Ok(Arc::new(Self { node, tasks: Mutex::new(vec![dispatching, counting, clearing]), shutdown }))
    }

    /// Kills all processes, waits until they are gone, and removes what was made for them. The pods' objects stay as
    /// they are: a store that is kept has them run again.
    pub async fn shutdown(&self) {
        self.shutdown.cancel();
        let mut tasks = self.tasks.lock().await;
        for (index, task) in tasks.drain(..).enumerate() {
            // Only the first, the dispatcher, comes to an end; it waits for all pods.
            if index > 0 {
                task.abort();
            }
            let _ = task.await;
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
