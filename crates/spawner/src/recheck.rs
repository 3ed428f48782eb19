//! Deciding races after the fact.
//!
//! The API server refuses a second pod of one name, which settles most races over an id. What is left (the same id in
//! two namespaces, one owner's spawns at the limit) is settled by the order in which the API server's watch delivers
//! the pods, which is the same for every replica: the earlier ones stay, the later ones undo themselves.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use nocrd_cluster::{Cluster, ManagedPod, Phase};
use nocrd_model::{Namespace, Subject, WorkspaceId};

use crate::{Error, Product, apply::Created};

/// What takes one of an owner's places: a workspace, however many pods it has just now, or a pod that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Workspace(&'a WorkspaceId),
    Pod(&'a Namespace, &'a str),
}

impl<'a> Place<'a> {
    fn of(pod: &'a ManagedPod) -> Self {
        pod.workspace.as_ref().map_or(Self::Pod(&pod.namespace, &pod.name), Self::Workspace)
    }
}

/// Tells whether a pod counts towards its owner's quota: until it has finished.
fn counts(pod: &ManagedPod) -> bool {
    !matches!(pod.phase, Phase::Succeeded | Phase::Failed)
}

/// The places that an owner's pods take, each with the arrival of its first pod.
fn places(pods: &[Arc<ManagedPod>]) -> BTreeMap<Place<'_>, u64> {
    let mut first = BTreeMap::new();
    for pod in pods.iter().filter(|pod| counts(pod)) {
        let arrival = first.entry(Place::of(pod)).or_insert(pod.arrival);
        *arrival = pod.arrival.min(*arrival);
    }
    first
}

/// How many workspaces and pods `owner` has.
pub(crate) fn count(cluster: &Cluster, owner: &Subject) -> usize {
    places(&cluster.pods().by_owner(owner)).len()
}

/// Checks, with all pods in view that came before the created one, that its id was free and its owner below the limit.
/// `same_id` are the arrivals of the pods of its id.
///
/// # Errors
/// [`Error::Exists`] or [`Error::Quota`] when the created pod must be undone.
pub(crate) fn check(
    mut same_id: impl Iterator<Item = u64>,
    same_owner: &[Arc<ManagedPod>],
    product: &Product,
    created: &Created,
    limit: Option<NonZeroU32>,
) -> Result<(), Error> {
    let Some(own) = same_owner.iter().find(|pod| pod.uid == created.uid) else {
        // Deleted again already, by somebody else: nothing to decide.
        return Ok(());
    };
    if same_id.any(|arrival| arrival < own.arrival) {
        return Err(product.taken());
    }
    let Some(limit) = limit else { return Ok(()) };
    let before = places(same_owner).values().filter(|arrival| **arrival < own.arrival).count();
    if before >= usize::try_from(limit.get()).unwrap_or(usize::MAX) {
        return Err(Error::Quota { limit: limit.get() });
    }
    Ok(())
}
