//! Pods by workspace id.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use nocrd_model::WorkspaceId;
use tokio::sync::watch;

use super::{read, write};
use crate::WorkspacePod;

/// A power of two. Sixty-four shards keep a write from the readers of other ids, and readers on different cores from
/// sharing a lock word most of the time; a concurrent map would save the lock word too, at the price of a dependency
/// for a look-up that is some tens of nanoseconds beside a proxied request's tens of microseconds.
const SHARDS: usize = 64;

/// The pods of one workspace.
#[derive(Default)]
struct Workspace {
    /// In the order in which they arrived.
    pods: Vec<Arc<WorkspacePod>>,
    /// Chosen when the pods change rather than for every request.
    routable: Option<Arc<WorkspacePod>>,
}

struct Shard {
    workspaces: RwLock<HashMap<WorkspaceId, Workspace>>,
    changed: watch::Sender<()>,
}

/// All workspaces.
pub(super) struct Shards(Box<[Shard]>);

impl Default for Shards {
    fn default() -> Self {
        let shard = |_| Shard { workspaces: RwLock::default(), changed: watch::Sender::new(()) };
        Self((0..SHARDS).map(shard).collect())
    }
}

impl Shards {
    #[expect(clippy::indexing_slicing, reason = "a remainder by SHARDS is below it, and there are that many")]
    fn of(&self, id: &WorkspaceId) -> &Shard {
        // FNV-1a: enough to spread ids, and who aims at one shard slows nobody down that matters.
        let hash = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        &self.0[usize::try_from(hash >> 32).unwrap_or_default() % SHARDS]
    }

    pub(super) fn get(&self, id: &WorkspaceId) -> Vec<Arc<WorkspacePod>> {
        read(&self.of(id).workspaces).get(id).map(|found| found.pods.clone()).unwrap_or_default()
    }

    pub(super) fn routable(&self, id: &WorkspaceId) -> Option<Arc<WorkspacePod>> {
        read(&self.of(id).workspaces).get(id)?.routable.clone()
    }

    pub(super) fn latest(&self, id: &WorkspaceId) -> Option<Arc<WorkspacePod>> {
        let workspaces = read(&self.of(id).workspaces);
        let pods = &workspaces.get(id)?.pods;
        let owner = &holder(pods)?.owner;
        pods.iter().rfind(|pod| pod.owner == *owner).cloned()
    }

    pub(super) fn collect_into(&self, all: &mut Vec<Arc<WorkspacePod>>) {
        for shard in &self.0 {
            all.extend(read(&shard.workspaces).values().flat_map(|found| &found.pods).cloned());
        }
    }

    /// Tells when the pods of `id`, or of another workspace of its shard, have changed.
    pub(super) fn changes(&self, id: &WorkspaceId) -> watch::Receiver<()> {
        self.of(id).changed.subscribe()
    }

    /// Inserts a pod, or replaces it by arrival.
    pub(super) fn insert(&self, pod: &Arc<WorkspacePod>) {
        let mut workspaces = write(&self.of(&pod.id).workspaces);
        if !workspaces.contains_key(&pod.id) {
            workspaces.insert(pod.id.clone(), Workspace::default());
        }
        if let Some(found) = workspaces.get_mut(&pod.id) {
            match found.pods.binary_search_by_key(&pod.arrival, |pod| pod.arrival) {
                Ok(at) => {
                    if let Some(slot) = found.pods.get_mut(at) {
                        *slot = Arc::clone(pod);
                    }
                }
                Err(at) => found.pods.insert(at, Arc::clone(pod)),
            }
            found.routable = choose(&found.pods);
        }
    }

    /// Removes the pod with this arrival.
    pub(super) fn remove(&self, id: &WorkspaceId, arrival: u64) {
        let mut workspaces = write(&self.of(id).workspaces);
        if let Some(found) = workspaces.get_mut(id) {
            found.pods.retain(|pod| pod.arrival != arrival);
            found.routable = choose(&found.pods);
            if found.pods.is_empty() {
                workspaces.remove(id);
            }
        }
    }

    /// Wakes those who wait for a change of `id`.
    pub(super) fn notify(&self, id: &WorkspaceId) {
        self.of(id).changed.send_replace(());
    }
}

/// The pod whose owner the workspace is: the first one that is not being deleted, or the first one when all are.
fn holder(pods: &[Arc<WorkspacePod>]) -> Option<&Arc<WorkspacePod>> {
    pods.iter().find(|pod| !pod.deleting).or_else(|| pods.first())
}

/// The newest Ready pod of its owner's.
fn choose(pods: &[Arc<WorkspacePod>]) -> Option<Arc<WorkspacePod>> {
    let owner = &holder(pods)?.owner;
    pods.iter()
        .filter(|pod| pod.ready && pod.owner == *owner)
        .max_by_key(|pod| (pod.created, pod.arrival))
        .cloned()
}
