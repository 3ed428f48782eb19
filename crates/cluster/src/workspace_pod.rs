//! The slim form in which a workspace's pod is kept.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU16};

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use nocrd_model::{Api, AuthMode, Namespace, Protocol, Subject, WorkspaceId, api::parse_port, keys};

use crate::{
    status::{self, Status},
    strip,
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
}

/// Why a pod is not a workspace of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAWorkspace {
    /// A label that every workspace has is missing, or has another value.
    #[error("it lacks the label {0}")]
    Label(&'static str),
    /// The id is none.
    #[error(transparent)]
    Id(nocrd_model::InvalidName),
    /// Nobody owns it.
    #[error("neither the annotation nor the label {} names an owner", keys::USER_SUB)]
    Owner,
    /// Something the API server always sets is missing.
    #[error("it has no {0}")]
    Incomplete(&'static str),
}

/// What is kept of a workspace's pod. It is parsed once, when the watch delivers it, and shared.
#[derive(Debug, Clone)]
pub struct WorkspacePod {
    /// The workspace.
    pub id: WorkspaceId,
    /// The pod's namespace.
    pub namespace: Namespace,
    /// The pod's name.
    pub pod_name: String,
    /// The pod's uid.
    pub uid: String,
    /// Version of the pod this was read from.
    pub resource_version: String,
    /// When the pod was created.
    pub created: jiff::Timestamp,
    /// Who owns the workspace: the annotation `nogoo9/user-sub`, else the label (pods of earlier versions).
    pub owner: Subject,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations, without `kubectl.kubernetes.io/last-applied-configuration`.
    pub annotations: BTreeMap<String, String>,
    /// The pod's address.
    pub ip: Option<IpAddr>,
    /// The pod's phase.
    pub phase: Phase,
    /// What the pod is doing.
    pub status: Status,
    /// Whether deletion was asked for.
    pub deleting: bool,
    /// Whether the Ready condition holds and the pod is not being deleted.
    pub ready: bool,
    /// Restarts of all containers together.
    pub restarts: u32,
    /// The additional ports the workspace declares.
    pub apis: Vec<Api>,
    /// Declarations that can't be used, each with its reason.
    pub problems: Vec<String>,
    /// Port of the main page; `None` means the server's default.
    pub port: Option<NonZeroU16>,
    /// How requests go to that port.
    pub protocol: Protocol,
    /// How the gateway treats authentication for it.
    pub auth: AuthMode,
    /// The template the workspace was spawned from.
    pub template_ref: Option<String>,
    /// That template's version at that time.
    pub template_version: Option<String>,
    /// The pod's ServiceAccount.
    pub service_account: Option<String>,
    /// Whether the first container has a literal, non-empty environment variable `SUBFOLDER`: the workspace then
    /// expects its URL's prefix in the paths it is asked for.
    pub subfolder: bool,
    /// Whether the pod shares its node's network.
    pub host_network: bool,
    /// Position in the order in which the watch delivered the pods; stays the same for the pod's life.
    pub arrival: u64,
}

impl WorkspacePod {
    /// Reads a pod as the API server delivers it. Its place in the order of arrival is the index's to give.
    ///
    /// # Errors
    /// [`NotAWorkspace`] when it is not one of ours.
    pub fn parse(pod: Pod) -> Result<Self, NotAWorkspace> {
        let status = status::derive(&pod);
        let Pod { mut metadata, spec, status: pod_status } = pod;
        strip(&mut metadata);
        let labels = metadata.labels.unwrap_or_default();
        let annotations = metadata.annotations.unwrap_or_default();
        require(&labels, keys::TYPE, keys::TYPE_WORKSPACE)?;
        require(&labels, keys::MANAGED_BY, keys::MANAGED_BY_VALUE)?;
        let id = labels.get(keys::WORKSPACE_ID).ok_or(NotAWorkspace::Label(keys::WORKSPACE_ID))?;
        let id = WorkspaceId::parse(id).map_err(NotAWorkspace::Id)?;
        let owner = [&annotations, &labels].into_iter().filter_map(|map| map.get(keys::USER_SUB));
        let owner = owner.map(String::as_str).find(|owner| !owner.is_empty()).ok_or(NotAWorkspace::Owner)?;
        let (apis, problems) = Api::parse_all(&annotations);
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let (auth, unclear) = AuthMode::parse(&annotations);
        problems.extend(unclear);
        let port = main_port(&annotations, &mut problems);
        let protocol = main_protocol(&annotations, &mut problems);
        let deleting = metadata.deletion_timestamp.is_some();
        let spec = spec.unwrap_or_default();
        let pod_status = pod_status.unwrap_or_default();
        Ok(Self {
            id,
            namespace: metadata
                .namespace
                .and_then(|namespace| Namespace::parse(&namespace).ok())
                .ok_or(NotAWorkspace::Incomplete("namespace"))?,
            pod_name: metadata.name.ok_or(NotAWorkspace::Incomplete("name"))?,
            uid: metadata.uid.ok_or(NotAWorkspace::Incomplete("uid"))?,
            resource_version: metadata.resource_version.unwrap_or_default(),
            created: metadata.creation_timestamp.ok_or(NotAWorkspace::Incomplete("creation time"))?.0,
            owner: Subject::from(owner),
            ip: pod_status.pod_ip.as_deref().and_then(|ip| ip.parse().ok()),
            phase: Phase::parse(pod_status.phase.as_deref()),
            status,
            deleting,
            ready: !deleting && status::is_ready(&pod_status),
            restarts: restarts(&pod_status),
            apis,
            problems,
            port,
            protocol,
            auth,
            template_ref: annotations.get(keys::TEMPLATE_REF).cloned(),
            template_version: annotations.get(keys::TEMPLATE_VERSION).cloned(),
            subfolder: has_subfolder(&spec),
            host_network: spec.host_network.unwrap_or_default(),
            service_account: spec.service_account_name,
            arrival: 0,
            labels,
            annotations,
        })
    }
}

fn require(labels: &BTreeMap<String, String>, key: &'static str, value: &str) -> Result<(), NotAWorkspace> {
    if labels.get(key).is_some_and(|found| found == value) { Ok(()) } else { Err(NotAWorkspace::Label(key)) }
}

fn main_port(annotations: &BTreeMap<String, String>, problems: &mut Vec<String>) -> Option<NonZeroU16> {
    let text = annotations.get(keys::WORKSPACE_PORT).filter(|text| !text.is_empty())?;
    let port = parse_port(text);
    if port.is_none() {
        problems.push(format!(
            "annotation {} is not usable: {text:?} is no port from 1 to 65535",
            keys::WORKSPACE_PORT
        ));
    }
    port
}

fn main_protocol(annotations: &BTreeMap<String, String>, problems: &mut Vec<String>) -> Protocol {
    let text = annotations.get(keys::WORKSPACE_PROTOCOL).map_or("", String::as_str);
    Protocol::parse(text).unwrap_or_else(|problem| {
        problems.push(format!("annotation {} is not usable: {problem}", keys::WORKSPACE_PROTOCOL));
        Protocol::default()
    })
}

fn has_subfolder(spec: &PodSpec) -> bool {
    let env = spec.containers.first().and_then(|container| container.env.as_ref());
    env.into_iter()
        .flatten()
        .any(|env| env.name == "SUBFOLDER" && env.value.as_ref().is_some_and(|value| !value.is_empty()))
}

fn restarts(status: &PodStatus) -> u32 {
    let all = [&status.init_container_statuses, &status.container_statuses];
    let counts = all.into_iter().flatten().flatten().map(|container| container.restart_count);
    counts.filter_map(|count| u32::try_from(count).ok()).sum()
}
