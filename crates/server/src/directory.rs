//! The proxy's view of the cluster: look-ups in the index, and no API call.

use std::{
    collections::HashMap,
    num::NonZeroU16,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use nocrd_cluster::{ChangeKind, Cluster, State, WorkspacePod};
use nocrd_model::WorkspaceId;
use nocrd_proxy_core::{Lookup, NotReady, Pod, Progress, Target, WorkspaceDirectory};
use tokio::sync::broadcast::error::RecvError;

/// When to ask again for a workspace that is on its way, and for one that is not.
const SOON: Duration = Duration::from_secs(2);
const LATER: Duration = Duration::from_secs(10);

/// The states of a pod on its way, as people call them.
const STEPS: [&str; 4] = ["Find a node", "Fetch the image", "Prepare", "Start"];

/// Why some pods are never reached.
const NODE_NETWORK: &str = "its pod shares the network of its node, where requests are not sent";

/// Workspaces by id, as targets of requests.
pub(crate) struct Directory {
    cluster: Cluster,
    default_port: NonZeroU16,
    targets: RwLock<HashMap<WorkspaceId, Prepared>>,
}

/// A target, and the state of the pod it was made from.
struct Prepared {
    pod: Arc<WorkspacePod>,
    target: Arc<Target>,
}

impl Directory {
    pub(crate) fn new(cluster: Cluster, default_port: NonZeroU16) -> Self {
        Self { cluster, default_port, targets: RwLock::default() }
    }

    /// The target that a pod in this state is.
    fn target(&self, pod: &Arc<WorkspacePod>) -> Option<Arc<Target>> {
        // Its address is its node's, and its ports are everybody's there.
        if pod.host_network {
            return None;
        }
        let known = |targets: &HashMap<WorkspaceId, Prepared>| {
            let prepared = targets.get(&pod.id).filter(|prepared| Arc::ptr_eq(&prepared.pod, pod))?;
            Some(Arc::clone(&prepared.target))
        };
        if let Some(target) = known(&self.targets.read().unwrap_or_else(PoisonError::into_inner)) {
            return Some(target);
        }
        let target = Target::new(Pod {
            uid: pod.uid.clone(),
            ip: pod.ip?,
            port: pod.port.unwrap_or(self.default_port),
            protocol: pod.protocol,
            apis: pod.apis.clone(),
            owner: pod.owner.clone(),
            subfolder: pod.subfolder,
            auth: pod.auth,
        });
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have been faster.
        if let Some(target) = known(&targets) {
            return Some(target);
        }
        let target = match targets.get(&pod.id).filter(|before| before.pod.owner == pod.owner) {
            Some(before) => target.following(&before.target),
            None => target,
        };
        let target = Arc::new(target);
        let prepared = Prepared { pod: Arc::clone(pod), target: Arc::clone(&target) };
        targets.insert(pod.id.clone(), prepared);
        Some(target)
    }

    /// Forgets targets of workspaces that are gone, for as long as it is polled.
    pub(crate) async fn forget_the_gone(self: Arc<Self>) {
        let index = self.cluster.workspaces();
        let mut changes = index.changes();
        // Those whose pod was replaced are not gone.
        let is_there = |id: &WorkspaceId| !index.get(id).is_empty();
        loop {
            match changes.recv().await {
                Ok(change) if change.kind == ChangeKind::Deleted => {
                    if !is_there(&change.id) {
                        self.keep(|id| *id != change.id);
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.keep(is_there),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn keep(&self, wanted: impl Fn(&WorkspaceId) -> bool) {
        self.targets.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| wanted(id));
    }
}

impl WorkspaceDirectory for Directory {
    fn lookup(&self, id: &WorkspaceId) -> Lookup {
        let index = self.cluster.workspaces();
        if let Some(target) = index.routable(id).and_then(|pod| self.target(&pod)) {
            return Lookup::Found(target);
        }
        match index.latest(id) {
            Some(pod) => not_ready(&pod),
            None if self.cluster.health().synced => Lookup::NotFound,
            None => Lookup::NotSynced,
        }
    }
}

fn not_ready(pod: &WorkspacePod) -> Lookup {
    let status = &pod.status;
    let ended = matches!(status.state, State::Terminating | State::Succeeded | State::Failed);
    let message = if status.message.is_empty() { status.to_string() } else { status.message.clone() };
    let retry_after = if status.fatal || ended || pod.host_network { LATER } else { SOON };
    let message = if pod.host_network { NODE_NETWORK.to_owned() } else { message };
    Lookup::NotReady {
        owner: pod.owner.clone(),
        apis: pod.apis.clone(),
        auth: pod.auth,
        why: NotReady { state: status.state.to_string(), message, retry_after, progress: progress(pod) },
    }
}

/// How far a pod is that is on its way.
fn progress(pod: &WorkspacePod) -> Option<Progress> {
    if pod.status.fatal || pod.host_network {
        return None;
    }
    let at = match pod.status.state {
        State::Pending => 0,
        State::Pulling => 1,
        State::Initializing => 2,
        State::Starting => 3,
        _ => return None,
    };
    Some(Progress { steps: &STEPS, at, since: pod.created.into() })
}

#[cfg(test)]
mod tests;
