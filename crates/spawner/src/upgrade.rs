//! Upgrades: a workspace gets a new pod, of the present version of its template.
//!
//! [`Spawner::begin_upgrade`] checks everything that can be checked and marks the pod. From then on the pods themselves say
//! how far the upgrade is ([`record`]), [`step`] says what is next, and [`Spawner::upgrader`] of any replica does it
//! ([`act`]). A server that is killed in the middle of a step leaves something from which the next one goes on.
//!
//! The new pod runs beside the old one until it is ready. Where the two can't run at once, because of a volume or a
//! port of the node, it is created behind a scheduling gate, so that there is always a pod that holds the workspace's id and
//! context; the old one goes, and the new one is let go. When that does not start, the old pod is made once more from the
//! record that the new one has of it.

mod act;
mod begin;
mod drive;
mod inputs;
mod latest;
mod old;
mod origin;
mod record;
mod render;
mod run;
mod step;
mod turns;
mod view;
mod wait;

use std::{collections::BTreeSet, sync::Mutex};

use nocrd_cluster::WorkspacePod;
use nocrd_model::{Namespace, Subject, WorkspaceId, keys};

use crate::{apply, names};

pub(crate) use begin::is_same;
pub use begin::{Begun, UpgradeRequest};
pub(crate) use inputs::SpawnInputs;
pub(crate) use latest::template as latest_template;
pub use record::Style;
pub(crate) use record::{Link, is_involved};
use turns::Turns;
pub use view::Upgrade;
pub(crate) use view::View;

/// A workspace, as upgrades tell them apart.
pub(crate) type Key = (Namespace, WorkspaceId, Subject);

pub(crate) fn key(pod: &WorkspacePod) -> Key {
    (pod.namespace.clone(), pod.id.clone(), pod.owner.clone())
}

/// Names of the pods that may take over from one.
pub(crate) fn successors(pod: &WorkspacePod) -> Vec<String> {
    let mut names = vec![names::successor(&pod.id, &pod.pod_name)];
    let record = pod.annotations.get(keys::UPGRADE_ROLLBACK);
    let record = record.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    names.extend(record.map(|record| apply::metadata(&record, "name")).filter(|name| !names.contains(name)));
    names
}

/// What this replica alone knows about upgrades.
pub(crate) struct Upgrades {
    /// Those that were begun here: others leave them to us.
    own: Mutex<BTreeSet<Key>>,
    turns: Turns,
}

impl Upgrades {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { own: Mutex::default(), turns: Turns::new(at_once) }
    }

    fn set(&self) -> std::sync::MutexGuard<'_, BTreeSet<Key>> {
        self.own.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn own(&self, pod: &WorkspacePod) {
        self.set().insert(key(pod));
    }

    pub(crate) fn disown(&self, pod: &WorkspacePod) {
        self.set().remove(&key(pod));
    }

    fn is_own(&self, key: &Key) -> bool {
        self.set().contains(key)
    }

    fn forget(&self, key: &Key) {
        self.set().remove(key);
    }

    fn turns(&self) -> &Turns {
        &self.turns
    }
}
