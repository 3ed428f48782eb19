//! What all pods share: this machine.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    BackoffConfig,
    addresses::{Addresses, HOST},
    claims::Claims,
    images::Images,
    paths::Search,
    pod::Pod,
    probes::HttpProber,
    process::Spawner,
    rundir::RunDir,
    sandbox::Isolation,
};
use crate::{
    events::Recorder,
    kind::Kind,
    object,
    status::Status,
    store::{Preconditions, Store},
    tokens::Issuer,
};

/// This machine and what runs on it.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) store: Store,
    pub(super) recorder: Recorder,
    pub(super) images: Images,
    pub(super) search: Search,
    pub(super) isolation: Isolation,
    pub(super) spawner: Spawner,
    pub(super) prober: HttpProber,
    pub(super) backoff: BackoffConfig,
    pub(super) host_paths: Vec<PathBuf>,
    /// Signs the tokens in volumes.
    pub(super) issuer: Issuer,
    pub(super) run_dir: RunDir,
    pub(super) claims: Arc<Claims>,
    /// CPU and memory, as quantities.
    pub(super) capacity: Value,
    pub(super) addresses: Mutex<Addresses>,
    /// By uid.
    pub(super) pods: Mutex<HashMap<String, Arc<Pod>>>,
    /// Counts changes of Secrets and ConfigMaps.
    pub(super) sources: watch::Receiver<u64>,
    /// Cancelled when everything must stop at once.
    pub(super) shutdown: CancellationToken,
}

impl Node {
    pub(super) fn take_address(&self) -> IpAddr {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn release_address(&self, address: IpAddr) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).release(address);
    }

    pub(super) fn pods(&self) -> MutexGuard<'_, HashMap<String, Arc<Pod>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// CPU, memory and pods of this machine.
pub(super) fn capacity() -> Value {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        total.trim().strip_suffix("kB").map(|kibibytes| format!("{}Ki", kibibytes.trim()))
    });
    let mut capacity = json!({ "cpu": cpus.to_string(), "pods": "1000" });
    if let Some(memory) = memory {
        object::as_map(&mut capacity).insert("memory".into(), memory.into());
    }
    capacity
}

/// Makes the Node object say that this machine is there and ready.
pub(super) fn announce(store: &Store, name: &str, capacity: &Value) -> Result<(), Status> {
    let labels = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/os": std::env::consts::OS,
        "kubernetes.io/arch": go_arch(),
    });
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels }, "spec": {} });
    match store.create(Kind::Node, node) {
        Err(status) if status.reason != "AlreadyExists" => return Err(status),
        _ => {}
    }
    let now = object::now();
    store.update_status(Kind::Node, "", name, &Preconditions::none(), |status| {
        status.insert("capacity".into(), capacity.clone());
        status.insert("allocatable".into(), capacity.clone());
        status.insert(
            "conditions".into(),
            json!([{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the embedded kubelet is running",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }]),
        );
        status.insert(
            "addresses".into(),
            json!([{ "type": "InternalIP", "address": HOST.to_string() }, { "type": "Hostname", "address": name }]),
        );
        status.insert(
            "nodeInfo".into(),
            json!({
                "architecture": go_arch(), "operatingSystem": std::env::consts::OS,
                "kubeletVersion": concat!("v", env!("CARGO_PKG_VERSION")), "kubeProxyVersion": "",
                "containerRuntimeVersion": concat!("nocrd://", env!("CARGO_PKG_VERSION")),
                "kernelVersion": kernel(), "osImage": std::env::consts::OS, "bootID": "", "machineID": "", "systemUUID": "",
            }),
        );
    })?;
    Ok(())
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|release| release.trim().to_owned())
        .unwrap_or_default()
}

/// The processor's name as Kubernetes, being written in Go, has it.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
