//! The slim form in which a pod is kept, whoever made it, and the proof that this product did.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, ops::Deref};

use k8s_openapi::{
    api::core::v1::{Pod, PodSpec, PodStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use nocrd_model::{FieldSelector, LabelSelector, Namespace, Subject, WorkspaceId, keys};

use crate::{
    status::{self, Status},
    strip, workspace_pod,
};

/// The pod's phase, as Kubernetes reports it. [`Status`] says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Phase {
    /// Accepted, but not all containers have been started.
    Pending,
    /// Bound to a node, with at least one container running or about to be.
    Running,
    /// All containers ended with success and will not be restarted.
    Succeeded,
    /// All containers ended, one of them with failure.
    Failed,
    /// The node can't be asked, or the phase is one we don't know.
    Unknown,
}

impl Phase {
    fn parse(text: Option<&str>) -> Self {
        match text {
            // A pod nobody has looked at yet has no phase.
            Some("Pending") | None => Self::Pending,
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            Some(_) => Self::Unknown,
        }
    }

    /// Kubernetes' word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }
}

/// What is kept of a pod. It is parsed once, when the API server delivers it, and shared.
#[derive(Debug, Clone)]
pub struct PodSummary {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Version of the pod this was read from.
    pub resource_version: String,
    /// When it was created.
    pub created: jiff::Timestamp,
    /// Position in the order in which the watch delivered the pods; stays the same for the pod's life.
    pub arrival: u64,
    /// Who owns it: see [`owner_of`].
    pub owner: Option<Subject>,
    /// The workspace whose pod it is. Only a pod that a [`WorkspacePod`](crate::WorkspacePod) can be made of has one.
    pub workspace: Option<WorkspaceId>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, without `kubectl.kubernetes.io/last-applied-configuration` and what its upgrade would need.
    pub annotations: BTreeMap<String, String>,
    /// Its phase.
    pub phase: Phase,
    /// What it is doing.
    pub status: Status,
    /// Whether deletion was asked for.
    pub deleting: bool,
    /// Whether a scheduling gate keeps it from being given a node.
    pub gated: bool,
    /// Number of its containers, without init containers.
    pub containers: u16,
    /// Number of these that are ready.
    pub ready_containers: u16,
    /// Restarts of all containers together, init containers included.
    pub restarts: u32,
    /// Its address; the first one if it has several.
    pub ip: Option<IpAddr>,
    /// The node it runs on.
    pub node: Option<Box<str>>,
    /// Its ServiceAccount.
    pub service_account: Option<String>,
    /// Whether it shares its node's network.
    pub host_network: bool,
    selectable: Selectable,
}

/// What is kept for field selectors alone. What is usual is `None`: it is the same for nearly all pods.
#[derive(Debug, Clone, Default)]
struct Selectable {
    restart_policy: Option<Box<str>>,
    scheduler: Option<Box<str>>,
    /// The addresses after the first one.
    more_ips: Box<[IpAddr]>,
    nominated_node: Option<Box<str>>,
}

const USUAL_RESTART_POLICY: &str = "Always";
const USUAL_SCHEDULER: &str = "default-scheduler";

impl Selectable {
    fn of(spec: &PodSpec, status: &PodStatus) -> Self {
        let unusual = |text: &Option<String>, usual: &str| {
            text.as_deref().filter(|text| !text.is_empty() && *text != usual).map(Box::from)
        };
        let ips = status.pod_ips.iter().flatten().skip(1);
        Self {
            restart_policy: unusual(&spec.restart_policy, USUAL_RESTART_POLICY),
            scheduler: unusual(&spec.scheduler_name, USUAL_SCHEDULER),
            more_ips: ips.filter_map(|ip| ip.ip.parse().ok()).collect(),
            nominated_node: unusual(&status.nominated_node_name, ""),
        }
    }
}

/// Something is missing that the API server always sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has no {0}")]
pub struct Incomplete(pub &'static str);

impl PodSummary {
    /// The fields by which pods can be selected.
    pub const FIELDS: &'static [&'static str] = &[
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ];

    /// Reads a pod as the API server delivers it. Its place in the order of arrival is the index's to give.
    ///
    /// # Errors
    /// [`Incomplete`] when it lacks what every pod in a cluster has.
    pub fn parse(pod: Pod) -> Result<Self, Incomplete> {
        let status = status::derive(&pod);
        let Pod { metadata, spec, status: pod_status } = pod;
        Self::read(metadata, &spec.unwrap_or_default(), &pod_status.unwrap_or_default(), status)
    }

    pub(crate) fn read(
        mut metadata: ObjectMeta,
        spec: &PodSpec,
        pod_status: &PodStatus,
        status: Status,
    ) -> Result<Self, Incomplete> {
        strip(&mut metadata);
        let owner = owner_of(&metadata);
        let labels = metadata.labels.unwrap_or_default();
        let ready = pod_status.container_statuses.iter().flatten().filter(|container| container.ready);
        let mut pod = Self {
            namespace: metadata
                .namespace
                .and_then(|namespace| Namespace::parse(&namespace).ok())
                .ok_or(Incomplete("namespace"))?,
            name: metadata.name.ok_or(Incomplete("name"))?,
            uid: metadata.uid.ok_or(Incomplete("uid"))?,
            resource_version: metadata.resource_version.unwrap_or_default(),
            created: metadata.creation_timestamp.ok_or(Incomplete("creation time"))?.0,
            arrival: 0,
            owner,
            workspace: None,
            labels,
            annotations: metadata.annotations.unwrap_or_default(),
            phase: Phase::parse(pod_status.phase.as_deref()),
            status,
            deleting: metadata.deletion_timestamp.is_some(),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            containers: u16::try_from(spec.containers.len()).unwrap_or(u16::MAX),
            ready_containers: u16::try_from(ready.count()).unwrap_or(u16::MAX),
            restarts: restarts(pod_status),
            ip: pod_status.pod_ip.as_deref().and_then(|ip| ip.parse().ok()),
            node: spec.node_name.as_deref().filter(|node| !node.is_empty()).map(Box::from),
            service_account: spec.service_account_name.clone(),
            host_network: spec.host_network.unwrap_or_default(),
            selectable: Selectable::of(spec, pod_status),
        };
        pod.workspace = workspace_pod::identify(&pod).ok().map(|(id, _)| id);
        Ok(pod)
    }

    /// Whether this product made it: whether it has the label `nogoo9/managed-by=nogoo9-spawner`.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.labels.get(keys::MANAGED_BY).is_some_and(|by| by == keys::MANAGED_BY_VALUE)
    }

    /// A field by its name, one of [`Self::FIELDS`]; `None` for any other. What the pod does not have is the empty text.
    ///
    /// All texts are the API server's own but `status.podIPs`, in which an API server finds nothing: here it is the
    /// pod's addresses, separated by commas.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = |text: Option<&'_ str>| Cow::Owned(text.unwrap_or_default().to_owned());
        Some(match name {
            "metadata.name" => Cow::Borrowed(self.name.as_str()),
            "metadata.namespace" => Cow::Borrowed(self.namespace.as_str()),
            "spec.nodeName" => text(self.node.as_deref()),
            "spec.restartPolicy" => {
                Cow::Borrowed(self.selectable.restart_policy.as_deref().unwrap_or(USUAL_RESTART_POLICY))
            }
            "spec.schedulerName" => {
                Cow::Borrowed(self.selectable.scheduler.as_deref().unwrap_or(USUAL_SCHEDULER))
            }
            "spec.serviceAccountName" => text(self.service_account.as_deref()),
            "spec.hostNetwork" => Cow::Borrowed(if self.host_network { "true" } else { "false" }),
            "status.phase" => Cow::Borrowed(self.phase.as_str()),
            "status.podIP" => Cow::Owned(self.ip.map(|ip| ip.to_string()).unwrap_or_default()),
            "status.podIPs" => {
                let all = self.ip.iter().chain(&self.selectable.more_ips).map(ToString::to_string);
                Cow::Owned(all.collect::<Vec<_>>().join(","))
            }
            "status.nominatedNodeName" => text(self.selectable.nominated_node.as_deref()),
            _ => return None,
        })
    }

    /// Whether both selectors select it.
    #[must_use]
    pub fn is_selected(&self, labels: &LabelSelector, fields: &FieldSelector) -> bool {
        labels.matches(&self.labels) && fields.matches(|name| self.field(name))
    }
}

/// A pod that this product made.
#[derive(Debug, Clone)]
pub struct ManagedPod(PodSummary);

impl ManagedPod {
    /// Takes a pod for one of ours, if it has our mark.
    #[must_use]
    pub fn of(pod: PodSummary) -> Option<Self> {
        pod.is_managed().then_some(Self(pod))
    }

    pub(crate) fn place(&mut self, arrival: u64) {
        self.0.arrival = arrival;
    }
}

impl Deref for ManagedPod {
    type Target = PodSummary;

    fn deref(&self) -> &PodSummary {
        &self.0
    }
}

/// Who owns an object: the annotation `nogoo9/user-sub` decides, else the label (objects of earlier versions). An empty text
/// names nobody.
#[must_use]
pub fn owner_of(metadata: &ObjectMeta) -> Option<Subject> {
    [&metadata.annotations, &metadata.labels]
        .into_iter()
        .flatten()
        .filter_map(|map| map.get(keys::USER_SUB))
        .find(|owner| !owner.is_empty())
        .map(|owner| Subject::from(owner.as_str()))
}

fn restarts(status: &PodStatus) -> u32 {
    let all = [&status.init_container_statuses, &status.container_statuses];
    let counts = all.into_iter().flatten().flatten().map(|container| container.restart_count);
    counts.filter_map(|count| u32::try_from(count).ok()).sum()
}
