//! All pods that this product made, by namespace and name, and by owner.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nocrd_model::{Namespace, Subject};
use tokio::sync::watch;

use super::{Elapsed, Gone, Inverted, read, write};
use crate::ManagedPod;

/// The watched pods that this product made, workspaces or not.
///
/// It has the same pods as the [`WorkspaceIndex`](super::WorkspaceIndex), and shares them. Reads never wait for the network.
pub struct PodIndex {
    by_name: RwLock<HashMap<Namespace, ByName>>,
    by_owner: Inverted<Subject, ManagedPod>,
    len: AtomicUsize,
    changes: watch::Sender<u64>,
    gone: Gone,
}

/// In the order in which they are listed.
type ByName = BTreeMap<Box<str>, Arc<ManagedPod>>;

impl fmt::Debug for PodIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PodIndex").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Default for PodIndex {
    fn default() -> Self {
        Self {
            by_name: RwLock::default(),
            by_owner: Inverted::default(),
            len: AtomicUsize::new(0),
            changes: watch::Sender::new(0),
            gone: Gone::default(),
        }
    }
}

impl PodIndex {
    /// A pod by its namespace and name.
    #[must_use]
    pub fn get(&self, namespace: &Namespace, name: &str) -> Option<Arc<ManagedPod>> {
        read(&self.by_name).get(namespace)?.get(name).cloned()
    }

    /// All pods of a namespace, by name.
    #[must_use]
    pub fn in_namespace(&self, namespace: &Namespace) -> Vec<Arc<ManagedPod>> {
        let by_name = read(&self.by_name);
        by_name.get(namespace).map(|pods| pods.values().cloned().collect()).unwrap_or_default()
    }

    /// All pods of an owner, in the order in which they arrived.
    #[must_use]
    pub fn by_owner(&self, owner: &Subject) -> Vec<Arc<ManagedPod>> {
        self.by_owner.get(owner)
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

    /// Counts changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until the index has seen the pod with this uid: `None` when it was seen and is gone already.
    ///
    /// # Errors
    /// [`Elapsed`] when it is not seen within `timeout`.
    pub async fn wait_for_uid(
        &self,
        namespace: &Namespace,
        name: &str,
        uid: &str,
        timeout: Duration,
    ) -> Result<Option<Arc<ManagedPod>>, Elapsed> {
        // Subscribed before the first look, so that no change falls between the two.
        let mut changes = self.changes();
        let waiting = async {
            loop {
                changes.mark_unchanged();
                if let Some(pod) = self.get(namespace, name).filter(|pod| pod.uid == uid) {
                    return Some(pod);
                }
                if self.gone.contains(uid) || changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        tokio::time::timeout(timeout, waiting).await.map_err(|_| Elapsed { after: timeout })
    }

    /// Everything, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ManagedPod>> {
        read(&self.by_name).values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The first half of inserting a pod: `old` is another state of the same pod.
    pub(super) fn link_owner(&self, pod: &Arc<ManagedPod>, old: Option<&ManagedPod>) {
        if let Some(owner) =
            old.and_then(|old| old.owner.as_ref()).filter(|owner| Some(*owner) != pod.owner.as_ref())
        {
            self.by_owner.remove(owner, pod.arrival);
        }
        if let Some(owner) = &pod.owner {
            self.by_owner.insert(owner, pod.arrival, pod);
        }
    }

    /// The second half.
    pub(super) fn link_name(&self, pod: &Arc<ManagedPod>) {
        let before = {
            let mut by_name = write(&self.by_name);
            if !by_name.contains_key(&pod.namespace) {
                by_name.insert(pod.namespace.clone(), ByName::default());
            }
            by_name
                .get_mut(&pod.namespace)
                .and_then(|names| names.insert(pod.name.as_str().into(), Arc::clone(pod)))
        };
        if before.is_none() {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn remove(&self, pod: &ManagedPod) {
        if let Some(owner) = &pod.owner {
            self.by_owner.remove(owner, pod.arrival);
        }
        {
            let mut by_name = write(&self.by_name);
            if let Some(names) = by_name.get_mut(&pod.namespace) {
                names.remove(pod.name.as_str());
                if names.is_empty() {
                    by_name.remove(&pod.namespace);
                }
            }
        }
        self.len.fetch_sub(1, Ordering::Relaxed);
        self.gone.push(&pod.uid);
        self.changes.send_modify(|count| *count += 1);
    }
}
