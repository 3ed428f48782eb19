//! Which pods are replicas of this server. Pure.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use nocrd_model::keys;

use super::{addresses, badge::Badge};

/// The order of replicas: the older one's key counts.
pub(super) type Rank = (Timestamp, String);

/// A pod that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) rank: Rank,
    pub(super) uid: String,
    pub(super) address: IpAddr,
}

/// The replicas there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replicas {
    /// Those that run, oldest first, without ourselves.
    pub(super) running: Vec<Candidate>,
    /// Our own place, if we are among them.
    pub(super) own: Option<Rank>,
    /// Our own address, if the cluster has one for us.
    pub(super) address: Option<IpAddr>,
    /// Whether none is older than we are, running or just starting.
    pub(super) is_eldest: bool,
}

/// Whether a pod runs under that ServiceAccount and is not what the server made for somebody. Its labels say nothing else.
pub(super) fn is_replica(pod: &Pod, badge: &Badge) -> bool {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    let labels = pod.metadata.labels.iter().flatten();
    let made_by_us = labels.into_iter().any(|(key, value)| {
        (key == keys::TYPE && value == keys::TYPE_WORKSPACE)
            || (key == keys::MANAGED_BY && value == keys::MANAGED_BY_VALUE)
    });
    account == Some(badge.account.as_str())
        && pod.metadata.namespace.as_deref() == Some(badge.namespace.as_str())
        && !made_by_us
}

pub(super) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// Finds the replicas among the pods of our namespace.
pub(super) fn replicas(pods: &[Pod], ourselves: &Badge) -> Replicas {
    let live = pods.iter().filter(|pod| is_replica(pod, ourselves) && !is_over(pod));
    let mut found = Replicas { running: Vec::new(), own: None, address: None, is_eldest: true };
    let mut ranks = Vec::new();
    for pod in live {
        let meta = &pod.metadata;
        let (Some(name), Some(uid), Some(created)) = (&meta.name, &meta.uid, &meta.creation_timestamp) else {
            continue;
        };
        let rank: Rank = (created.0, name.clone());
        let address = addresses(pod).next();
        if *uid == ourselves.pod_uid {
            found.own = Some(rank);
            found.address = address;
            continue;
        }
        ranks.push(rank.clone());
        if let Some(address) = address.filter(|_| is_running(pod)) {
            found.running.push(Candidate { rank, uid: uid.clone(), address });
        }
    }
    found.running.sort_by(|a, b| a.rank.cmp(&b.rank));
    found.is_eldest = match &found.own {
        Some(own) => ranks.iter().all(|rank| own < rank),
        // The cluster does not know us (any more): let the others decide, if there are any.
        None => ranks.is_empty(),
    };
    found
}
