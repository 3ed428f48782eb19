//! Lists of pods, answered from what is watched.

use std::{ops::Deref, sync::Arc};

use nocrd_cluster::{ManagedPod, PodSummary};
use nocrd_model::{Caller, FieldSelector, LabelSelector, Namespace};

use crate::{Error, Spawner};

/// Which pods to list.
#[derive(Debug, Clone)]
pub struct PodFilter {
    /// Where.
    pub namespace: Namespace,
    /// Only pods with such labels.
    pub labels: LabelSelector,
    /// Only pods with such fields.
    pub fields: FieldSelector,
    /// Only names after this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// A pod of a list.
#[derive(Debug, Clone)]
pub enum ListedPod {
    /// One that this server manages.
    Managed(Arc<ManagedPod>),
    /// Another.
    Other(Arc<PodSummary>),
}

impl Deref for ListedPod {
    type Target = PodSummary;

    fn deref(&self) -> &PodSummary {
        match self {
            Self::Managed(pod) => pod,
            Self::Other(pod) => pod,
        }
    }
}

/// One page of a list of pods.
#[derive(Debug, Clone)]
pub struct PodList {
    /// The pods, by name.
    pub items: Vec<ListedPod>,
    /// How many there are in all, on every page.
    pub total: usize,
    /// Whether there are more after these.
    pub more: bool,
    /// How many pods that this server does not manage are not shown, of those that the selectors mean and the caller
    /// might see if they were managed. `None` where they are shown, and as long as nobody knows.
    pub unmanaged: Option<usize>,
}

impl Spawner {
    /// Lists pods that a caller sees.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for fields by which pods can't be selected; [`Error::NotSynced`] before the cluster's state
    /// has been read.
    pub async fn pods(&self, caller: &Caller, filter: &PodFilter) -> Result<PodList, Error> {
        if !self.cluster().health().synced {
            return Err(Error::NotSynced);
        }
        if let Some(unknown) = filter.fields.unknown(PodSummary::FIELDS) {
            let known = PodSummary::FIELDS.join(", ");
            return Err(Error::InvalidArgument(format!(
                "field selector: pods can't be selected by {unknown:?}, only by {known}"
            )));
        }
        let is_meant = |pod: &PodSummary| {
            caller.sees_things_of(pod.owner.as_ref()) && pod.is_selected(&filter.labels, &filter.fields)
        };
        let managed = self.cluster().pods().in_namespace(&filter.namespace);
        let mut pods: Vec<ListedPod> =
            managed.into_iter().filter(|pod| is_meant(pod)).map(ListedPod::Managed).collect();
        // A question has a namespace watched: not any that somebody names.
        let asks = !caller.is_ordinary()
            || self.cluster().resolve_namespace_of_spawn(Some(filter.namespace.as_str()), caller).is_ok();
        let unmanaged = if !asks {
            None
        } else if self.config().managed_only {
            let others = self.cluster().wait_unmanaged(&filter.namespace, self.config().index_wait).await;
            others.map(|others| others.iter().filter(|pod| is_meant(pod)).count())
        } else {
            let others = self.cluster().wait_unmanaged(&filter.namespace, self.config().index_wait).await;
            let others = others.ok_or(Error::NotSynced)?;
            pods.extend(others.iter().filter(|pod| is_meant(pod)).cloned().map(ListedPod::Other));
            pods.sort_by(|a, b| a.name.cmp(&b.name));
            None
        };
        let total = pods.len();
        if let Some(after) = &filter.after {
            pods.retain(|pod| pod.name > *after);
        }
        let more = pods.len() > filter.limit;
        pods.truncate(filter.limit);
        Ok(PodList { items: pods, total, more, unmanaged })
    }
}
