//! The watched pods: the workspaces' by id, owner, template and name, and all of ours by owner and name.

mod gone;
mod inverted;
mod pods;
mod shard;
mod sink;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use nocrd_model::{Namespace, Subject, WorkspaceId};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::WorkspacePod;
use gone::Gone;
use inverted::Inverted;
use shard::Shards;

pub use pods::PodIndex;
pub(crate) use sink::PodSink;
pub(crate) use write::Indexes;

/// What happened to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It appeared or changed.
    Applied,
    /// It is gone.
    Deleted,
}

/// A change of the index.
#[derive(Debug, Clone)]
pub struct Change {
    /// The workspace.
    pub id: WorkspaceId,
    /// What happened.
    pub kind: ChangeKind,
    /// The pod as it is now, or as it was last.
    pub pod: Arc<WorkspacePod>,
}

/// What was waited for did not happen in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it did not happen within {} s", after.as_secs_f32())]
pub struct Elapsed {
    /// How long was waited.
    pub after: Duration,
}

/// Changes kept for receivers that are behind.
const CHANGES_KEPT: usize = 1024;

/// The watched workspace pods.
///
/// Reads never wait for the network, and a look-up by id, which every proxied request makes, takes one short shared
/// lock on one of 64 maps and copies one pointer. Changes come from one watch, in its order.
pub struct WorkspaceIndex {
    by_id: Shards,
    by_name: RwLock<HashMap<Namespace, ByName>>,
    by_owner: Inverted<Subject, WorkspacePod>,
    by_template: Inverted<Box<str>, WorkspacePod>,
    len: AtomicUsize,
    generation: AtomicU64,
    changes: broadcast::Sender<Change>,
    gone: Gone,
}

type ByName = HashMap<Box<str>, Arc<WorkspacePod>>;

impl fmt::Debug for WorkspaceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkspaceIndex").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Default for WorkspaceIndex {
    fn default() -> Self {
        Self {
            by_id: Shards::default(),
            by_name: RwLock::default(),
            by_owner: Inverted::default(),
            by_template: Inverted::default(),
            len: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            gone: Gone::default(),
        }
    }
}

impl WorkspaceIndex {
    /// The pods of a workspace, in the order in which they arrived.
    #[must_use]
    pub fn get(&self, id: &WorkspaceId) -> Vec<Arc<WorkspacePod>> {
        self.by_id.get(id)
    }

    /// The pod to which requests for a workspace go: of its Ready pods that are not being deleted the newest.
    ///
    /// Pods of another owner than the first one's don't count, however they came to carry the same id.
    #[must_use]
    pub fn routable(&self, id: &WorkspaceId) -> Option<Arc<WorkspacePod>> {
        self.by_id.routable(id)
    }

    /// The pod that tells of a workspace while requests can't go to any: the last one of its owner.
    ///
    /// Whose it is, is told by the first pod, as in [`Self::routable`].
    #[must_use]
    pub fn latest(&self, id: &WorkspaceId) -> Option<Arc<WorkspacePod>> {
        self.by_id.latest(id)
    }

    /// A pod by its namespace and name.
    #[must_use]
    pub fn by_pod(&self, namespace: &Namespace, pod_name: &str) -> Option<Arc<WorkspacePod>> {
        read(&self.by_name).get(namespace)?.get(pod_name).cloned()
    }

    /// All pods, by workspace id, then in the order in which they arrived.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<WorkspacePod>> {
        let mut all = Vec::with_capacity(self.len());
        self.by_id.collect_into(&mut all);
        all.sort_by(|a, b| a.id.cmp(&b.id).then(a.arrival.cmp(&b.arrival)));
        all
    }

    /// All pods of an owner, in the order in which they arrived.
    #[must_use]
    pub fn by_owner(&self, owner: &Subject) -> Vec<Arc<WorkspacePod>> {
        self.by_owner.get(owner)
    }

    /// All pods spawned from a template, named as in the annotation `nogoo9/template-ref`, in the order in which they
    /// arrived.
    #[must_use]
    pub fn by_template(&self, template_ref: &str) -> Vec<Arc<WorkspacePod>> {
        self.by_template.get(template_ref)
    }

    /// Number of pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there is no pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of changes so far.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Changes from now on. A receiver that falls behind misses the oldest.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Waits until `wanted` holds of the pods of a workspace (in the order in which they arrived; none is an empty
    /// slice), and gives these pods.
    ///
    /// # Errors
    /// [`Elapsed`] when that does not happen within `timeout`.
    pub async fn wait_for(
        &self,
        id: &WorkspaceId,
        timeout: Duration,
        mut wanted: impl FnMut(&[Arc<WorkspacePod>]) -> bool + Send,
    ) -> Result<Vec<Arc<WorkspacePod>>, Elapsed> {
        // Subscribed before the first look, so that no change falls between the two.
        let mut changed = self.by_id.changes(id);
        let waiting = async {
            loop {
                changed.mark_unchanged();
                let pods = self.get(id);
                if wanted(&pods) || changed.changed().await.is_err() {
                    return pods;
                }
            }
        };
        tokio::time::timeout(timeout, waiting).await.map_err(|_| Elapsed { after: timeout })
    }

    /// Waits until the index has seen the pod with this uid: `None` when it was seen and is gone already.
    ///
    /// # Errors
    /// [`Elapsed`] when it is not seen within `timeout`.
    pub async fn wait_for_uid(
        &self,
        namespace: &Namespace,
        pod_name: &str,
        uid: &str,
        timeout: Duration,
    ) -> Result<Option<Arc<WorkspacePod>>, Elapsed> {
        let mut changes = self.changes();
        let waiting = async {
            loop {
                if let Some(pod) = self.by_pod(namespace, pod_name).filter(|pod| pod.uid == uid) {
                    return Some(pod);
                }
                if self.gone.contains(uid) {
                    return None;
                }
                // The next look is at the index itself, so it does not matter which change it was, nor if some went by.
                if let Err(RecvError::Closed) = changes.recv().await {
                    return None;
                }
            }
        };
        tokio::time::timeout(timeout, waiting).await.map_err(|_| Elapsed { after: timeout })
    }
}

// Nothing panics while it holds one of the index's locks, and what they guard is whole after every step.

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
