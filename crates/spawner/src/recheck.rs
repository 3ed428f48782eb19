//! Deciding races after the fact.
//!
//! The API server refuses a second pod of one name, which settles most races over an id. What is left (the same id in
//! two namespaces, one owner's spawns at the limit) is settled by the order in which the API server's watch delivers
//! the pods, which is the same for every replica: the earlier ones stay, the later ones undo themselves.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use nocrd_cluster::{Cluster, Phase, WorkspacePod};
use nocrd_model::{Subject, WorkspaceId};

use crate::{Error, apply::Created};

/// Tells whether a pod counts towards its owner's quota: until it has finished.
pub(crate) fn counts(pod: &WorkspacePod) -> bool {
    !matches!(pod.phase, Phase::Succeeded | Phase::Failed)
}

/// The ids an owner's pods stand for, each with the arrival of its first pod.
fn arrivals(pods: &[Arc<WorkspacePod>]) -> BTreeMap<&WorkspaceId, u64> {
    let mut first: BTreeMap<&WorkspaceId, u64> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| counts(pod)) {
        let arrival = first.entry(&pod.id).or_insert(pod.arrival);
        *arrival = (*arrival).min(pod.arrival);
    }
    first
}

/// How many workspaces `owner` has.
pub(crate) fn count(cluster: &Cluster, owner: &Subject) -> usize {
    arrivals(&cluster.workspaces().by_owner(owner)).len()
}

/// Checks, with all pods in view that came before the created one, that its id was free and its owner below the limit.
///
/// # Errors
/// [`Error::Exists`] or [`Error::Quota`] when the created pod must be undone.
pub(crate) fn check(
    same_id: &[Arc<WorkspacePod>],
    same_owner: &[Arc<WorkspacePod>],
    id: &WorkspaceId,
    created: &Created,
    limit: Option<NonZeroU32>,
) -> Result<(), Error> {
    let Some(own) = same_id.iter().find(|pod| pod.uid == created.uid) else {
        // Deleted again already, by somebody else: nothing to decide.
        return Ok(());
    };
    if same_id.iter().any(|other| other.arrival < own.arrival) {
        return Err(Error::Exists { id: id.clone() });
    }
    let Some(limit) = limit else { return Ok(()) };
    let before = arrivals(same_owner).values().filter(|arrival| **arrival < own.arrival).count();
    if before >= usize::try_from(limit.get()).unwrap_or(usize::MAX) {
        return Err(Error::Quota { limit: limit.get() });
    }
    Ok(())
}
