//! Changing the indexes. All of this runs in the watch's task, or in tests.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use nocrd_model::Namespace;

use super::{Change, ChangeKind, PodIndex, WorkspaceIndex, write};
use crate::{ManagedPod, WorkspacePod, workspace_pod::Parsed};

/// Both indexes, which change together.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    pub(crate) pods: PodIndex,
    pub(crate) workspaces: WorkspaceIndex,
    /// Makes writes one at a time.
    writer: Mutex<Writer>,
}

/// What only writes touch.
#[derive(Debug, Default)]
struct Writer {
    next_arrival: u64,
}

impl Indexes {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a pod as it is now.
    pub(crate) fn apply(&self, pod: Parsed) {
        self.apply_with(&mut self.writer(), pod);
    }

    /// Takes note that a pod is gone.
    pub(crate) fn remove(&self, namespace: &Namespace, name: &str) {
        let _writer = self.writer();
        if let Some(pod) = self.pods.get(namespace, name) {
            self.remove_pod(&pod);
        }
    }

    /// Takes `changed`, and the pods with the uids `unchanged`, for everything there is. Pods that are known keep
    /// their place in the order of arrival; new ones get theirs by age, since nobody saw them arrive.
    pub(crate) fn replace(&self, mut changed: Vec<Parsed>, unchanged: &HashSet<String>) {
        let mut writer = self.writer();
        sort_by_age(&mut changed);
        // First what is gone, so that a pod that made room for its successor is not seen beside it.
        let listed: HashSet<&str> = changed.iter().map(|pod| pod.pod().uid.as_str()).collect();
        for old in self.pods.all() {
            if !unchanged.contains(&old.uid) && !listed.contains(old.uid.as_str()) {
                self.remove_pod(&old);
            }
        }
        drop(listed);
        for pod in changed {
            self.apply_with(&mut writer, pod);
        }
    }

    /// Gives pods of a listing that did not go through the watch their places: those of the index where it knows
    /// them, and later ones for the rest, by age.
    pub(crate) fn place(&self, pods: &mut [Parsed]) {
        sort_by_age(pods);
        let next = self.writer().next_arrival;
        for (next, parsed) in (next..).zip(pods.iter_mut()) {
            let pod = parsed.pod();
            let known = self.pods.get(&pod.namespace, &pod.name).filter(|known| known.uid == pod.uid);
            parsed.place(known.map_or(next, |known| known.arrival));
        }
        pods.sort_by_key(|pod| pod.pod().arrival);
    }

    fn apply_with(&self, writer: &mut Writer, mut parsed: Parsed) {
        let new = parsed.pod();
        let old = self.pods.get(&new.namespace, &new.name);
        let same = match old {
            Some(old) if old.uid != new.uid => {
                self.remove_pod(&old);
                None
            }
            same => same,
        };
        let arrival = match &same {
            Some(same) if same.resource_version == new.resource_version => return,
            Some(same) => same.arrival,
            None => {
                writer.next_arrival += 1;
                writer.next_arrival - 1
            }
        };
        parsed.place(arrival);
        // Readers look meanwhile. Who finds a pod by its name, which is how a spawn waits for its own before it counts the
        // others, in one index finds it by its owner in both.
        let pod = Arc::clone(parsed.pod());
        self.pods.link_owner(&pod, same.as_deref());
        match parsed {
            Parsed::Workspace(workspace) => self.workspaces.apply(*workspace),
            // It may have been one until now.
            Parsed::Other(..) => self.workspaces.remove(&pod),
        }
        self.pods.link_name(&pod);
    }

    fn remove_pod(&self, pod: &ManagedPod) {
        self.workspaces.remove(pod);
        self.pods.remove(pod);
    }
}

impl WorkspaceIndex {
    /// Takes a pod that has its place, and of whose name there is no other.
    fn apply(&self, pod: WorkspacePod) {
        match self.by_pod(&pod.namespace, &pod.pod_name) {
            Some(old) => self.unlink_moved(&old, &pod),
            None => {
                self.len.fetch_add(1, Ordering::Relaxed);
            }
        }
        let pod = Arc::new(pod);
        // Who finds a pod by its id finds it by its owner too, and who finds it by its name finds it everywhere.
        self.by_owner.insert(&pod.owner, pod.arrival, &pod);
        if let Some(template) = &pod.template_ref {
            self.by_template.insert(&template.as_str().into(), pod.arrival, &pod);
        }
        self.by_id.insert(&pod);
        self.insert_by_name(&pod);
        self.publish(ChangeKind::Applied, pod);
    }

    /// Forgets a pod, if it was a workspace's.
    fn remove(&self, pod: &ManagedPod) {
        let Some(pod) = self.by_pod(&pod.namespace, &pod.name) else { return };
        self.by_id.remove(&pod.id, pod.arrival);
        self.by_owner.remove(&pod.owner, pod.arrival);
        self.unlink_template(&pod);
        self.remove_by_name(&pod);
        self.len.fetch_sub(1, Ordering::Relaxed);
        self.gone.push(&pod.uid);
        self.publish(ChangeKind::Deleted, pod);
    }

    /// Removes `old` from wherever `new`, another state of the same pod, will not overwrite it. Nobody but an
    /// administrator with kubectl changes these keys.
    fn unlink_moved(&self, old: &WorkspacePod, new: &WorkspacePod) {
        if old.id != new.id {
            self.by_id.remove(&old.id, old.arrival);
            self.by_id.notify(&old.id);
        }
        if old.owner != new.owner {
            self.by_owner.remove(&old.owner, old.arrival);
        }
        if old.template_ref != new.template_ref {
            self.unlink_template(old);
        }
    }

    fn unlink_template(&self, pod: &WorkspacePod) {
        if let Some(template) = &pod.template_ref {
            self.by_template.remove(&template.as_str().into(), pod.arrival);
        }
    }

    fn insert_by_name(&self, pod: &Arc<WorkspacePod>) {
        let mut by_name = write(&self.by_name);
        if !by_name.contains_key(&pod.namespace) {
            by_name.insert(pod.namespace.clone(), Default::default());
        }
        if let Some(names) = by_name.get_mut(&pod.namespace) {
            names.insert(pod.pod_name.as_str().into(), Arc::clone(pod));
        }
    }

    fn remove_by_name(&self, pod: &WorkspacePod) {
        let mut by_name = write(&self.by_name);
        if let Some(names) = by_name.get_mut(&pod.namespace) {
            names.remove(pod.pod_name.as_str());
            if names.is_empty() {
                by_name.remove(&pod.namespace);
            }
        }
    }

    fn publish(&self, kind: ChangeKind, pod: Arc<WorkspacePod>) {
        self.generation.fetch_add(1, Ordering::Release);
        self.by_id.notify(&pod.id);
        // Nobody may be listening.
        let _ = self.changes.send(Change { id: pod.id.clone(), kind, pod });
    }
}

/// Creation times have a resolution of a second; the version settles most of the rest as long as the pods are young.
fn sort_by_age(pods: &mut [Parsed]) {
    pods.sort_by(|a, b| {
        let (a, b) = (a.pod(), b.pod());
        let version = |pod: &ManagedPod| pod.resource_version.parse::<u64>().unwrap_or(u64::MAX);
        let age = |pod: &ManagedPod| (pod.created, version(pod));
        age(a).cmp(&age(b)).then_with(|| a.namespace.cmp(&b.namespace)).then_with(|| a.name.cmp(&b.name))
    });
}
