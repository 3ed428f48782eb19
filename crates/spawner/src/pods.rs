//! Pods that are no workspaces, and the pods of workspaces seen as pods: who may see them, and what may be done.

mod access;
mod change;
mod list;
mod patch;

use nocrd_model::Namespace;
use tracing::instrument;

pub use access::VisiblePod;
pub use change::PodLogs;
pub use list::{ListedPod, PodFilter, PodList};
pub use patch::PodPatch;

use crate::{Error, PodRequest, Spawner};

/// A pod that was created; it may not run yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedPod {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Namespace,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

impl Spawner {
    /// Creates a pod that is no workspace: nothing is routed to it. All that holds for the pod of a workspace holds for
    /// it: the policy, ownership, restrictions and directives of its template, context, the quota.
    ///
    /// # Errors
    /// [`Error::PodExists`], and those of [`Spawner::spawn`]. Nothing is left behind by any of them.
    #[instrument(skip_all, fields(k8s.pod = %request.id))]
    pub async fn start_pod(&self, request: PodRequest) -> Result<StartedPod, Error> {
        let started = self.start(request.erased()).await?;
        Ok(StartedPod { name: started.pod_name, namespace: started.namespace, warnings: started.warnings })
    }
}
