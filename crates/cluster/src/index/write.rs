//! Changing the index. All of this runs in the watch's task, or in tests.

use std::{
    collections::HashSet,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
};

use nocrd_model::Namespace;

use super::{Change, ChangeKind, WorkspaceIndex, Writer, write};
use crate::WorkspacePod;

/// Uids remembered of pods that are gone.
const GONE_KEPT: usize = 1024;

impl WorkspaceIndex {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_gone(&self, uid: &str) -> bool {
        self.writer().gone.iter().any(|gone| **gone == *uid)
    }

    /// Takes a pod as it is now.
    pub(crate) fn apply(&self, pod: WorkspacePod) {
        self.apply_with(&mut self.writer(), pod);
    }

    /// Takes note that a pod is gone.
    pub(crate) fn remove(&self, namespace: &Namespace, pod_name: &str) {
        let mut writer = self.writer();
        if let Some(pod) = self.by_pod(namespace, pod_name) {
            self.remove_with(&mut writer, &pod);
        }
    }

    /// Takes `changed`, and the pods with the uids `unchanged`, for everything there is. Pods that are known keep
    /// their place in the order of arrival; new ones get theirs by age, since nobody saw them arrive.
    pub(crate) fn replace(&self, mut changed: Vec<WorkspacePod>, unchanged: &HashSet<String>) {
        let mut writer = self.writer();
        sort_by_age(&mut changed);
        // First what is gone, so that a pod that made room for its successor is not seen beside it.
        let listed: HashSet<&str> = changed.iter().map(|pod| pod.uid.as_str()).collect();
        for old in self.all() {
            if !unchanged.contains(&old.uid) && !listed.contains(old.uid.as_str()) {
                self.remove_with(&mut writer, &old);
            }
        }
        drop(listed);
        for pod in changed {
            self.apply_with(&mut writer, pod);
        }
    }

    /// Gives pods of a listing that did not go through the watch their places: those of the index where it knows
    /// them, and later ones for the rest, by age.
    pub(crate) fn place(&self, pods: &mut [WorkspacePod]) {
        sort_by_age(pods);
        let next = self.writer().next_arrival;
        for (next, pod) in (next..).zip(pods.iter_mut()) {
            let known = self.by_pod(&pod.namespace, &pod.pod_name).filter(|known| known.uid == pod.uid);
            pod.arrival = known.map_or(next, |known| known.arrival);
        }
        pods.sort_by_key(|pod| pod.arrival);
    }

    fn apply_with(&self, writer: &mut Writer, mut pod: WorkspacePod) {
        let old = self.by_pod(&pod.namespace, &pod.pod_name);
        let same = match old {
            Some(old) if old.uid != pod.uid => {
                self.remove_with(writer, &old);
                None
            }
            same => same,
        };
        if let Some(same) = &same {
            if same.resource_version == pod.resource_version {
                return;
            }
            pod.arrival = same.arrival;
            self.unlink_moved(same, &pod);
        } else {
            pod.arrival = writer.next_arrival;
            writer.next_arrival += 1;
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        let pod = Arc::new(pod);
        // Readers look meanwhile. Who finds a pod by its id finds it by its owner too, and who finds it by its name, which is
        // how a spawn waits for its own before it counts the others, finds it everywhere.
        self.by_owner.insert(&pod.owner, &pod);
        if let Some(template) = &pod.template_ref {
            self.by_template.insert(&template.as_str().into(), &pod);
        }
        self.by_id.insert(&pod);
        self.insert_by_name(&pod);
        self.publish(ChangeKind::Applied, pod);
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

    fn remove_with(&self, writer: &mut Writer, pod: &Arc<WorkspacePod>) {
        self.by_id.remove(&pod.id, pod.arrival);
        self.by_owner.remove(&pod.owner, pod.arrival);
        self.unlink_template(pod);
        self.remove_by_name(pod);
        self.len.fetch_sub(1, Ordering::Relaxed);
        if writer.gone.len() == GONE_KEPT {
            writer.gone.pop_front();
        }
        writer.gone.push_back(pod.uid.as_str().into());
        self.publish(ChangeKind::Deleted, Arc::clone(pod));
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
fn sort_by_age(pods: &mut [WorkspacePod]) {
    pods.sort_by(|a, b| {
        let version = |pod: &WorkspacePod| pod.resource_version.parse::<u64>().unwrap_or(u64::MAX);
        let age = |pod: &WorkspacePod| (pod.created, version(pod));
        age(a)
            .cmp(&age(b))
            .then_with(|| a.namespace.cmp(&b.namespace))
            .then_with(|| a.pod_name.cmp(&b.pod_name))
    });
}
