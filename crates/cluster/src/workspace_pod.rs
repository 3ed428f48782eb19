//! The slim form in which a workspace's pod is kept.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, num::NonZeroU16, ops::Deref, sync::Arc};

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use nocrd_model::{Api, AuthMode, Protocol, Subject, WorkspaceId, api::parse_port, keys};

use crate::{ManagedPod, PodSummary, pod_summary::Incomplete, status};

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
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

/// A workspace's pod: what is kept of every pod of ours, and what only a workspace declares. It is parsed once, when the
/// watch delivers it, and shared.
#[derive(Debug, Clone)]
pub struct WorkspacePod {
    pod: Arc<ManagedPod>,
    /// The workspace.
    pub id: WorkspaceId,
    /// The pod's name.
    pub pod_name: String,
    /// Who owns the workspace.
    pub owner: Subject,
    /// Whether the Ready condition holds and the pod is not being deleted.
    pub ready: bool,
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
    /// Whether the first container has a literal, non-empty environment variable `SUBFOLDER`: the workspace then
    /// expects its URL's prefix in the paths it is asked for.
    pub subfolder: bool,
}

/// What every pod of ours has is read as if it were the workspace's own.
impl Deref for WorkspacePod {
    type Target = ManagedPod;

    fn deref(&self) -> &ManagedPod {
        &self.pod
    }
}

/// A pod of ours, parsed once for both indexes.
#[derive(Debug)]
pub(crate) enum Parsed {
    Workspace(Box<WorkspacePod>),
    Other(Arc<ManagedPod>, NotAWorkspace),
}

impl WorkspacePod {
    /// Reads a pod as the API server delivers it. Its place in the order of arrival is the index's to give.
    ///
    /// # Errors
    /// [`NotAWorkspace`] when it is not one of ours.
    pub fn parse(pod: Pod) -> Result<Self, NotAWorkspace> {
        match Parsed::read(pod)? {
            Parsed::Workspace(pod) => Ok(*pod),
            Parsed::Other(_, reason) => Err(reason),
        }
    }

    /// The same pod among all that this product made.
    #[must_use]
    pub fn managed(&self) -> &Arc<ManagedPod> {
        &self.pod
    }
}

impl Parsed {
    /// Reads a pod as the API server delivers it.
    ///
    /// # Errors
    /// [`NotAWorkspace`] when it is not one of ours at all.
    pub(crate) fn read(pod: Pod) -> Result<Self, NotAWorkspace> {
        let status = status::derive(&pod);
        let Pod { metadata, spec, status: pod_status } = pod;
        let (spec, pod_status) = (spec.unwrap_or_default(), pod_status.unwrap_or_default());
        let ready = metadata.deletion_timestamp.is_none() && status::is_ready(&pod_status);
        let summary = PodSummary::read(metadata, &spec, &pod_status, status)?;
        let pod = Arc::new(ManagedPod::of(summary).ok_or(NotAWorkspace::Label(keys::MANAGED_BY))?);
        let (id, owner) = match identify(&pod) {
            Ok(identity) => identity,
            Err(reason) => return Ok(Self::Other(pod, reason)),
        };
        let annotations = &pod.annotations;
        let (apis, problems) = Api::parse_all(annotations);
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let (auth, unclear) = AuthMode::parse(annotations);
        problems.extend(unclear);
        Ok(Self::Workspace(Box::new(WorkspacePod {
            id,
            pod_name: pod.name.clone(),
            owner,
            ready,
            apis,
            port: main_port(annotations, &mut problems),
            protocol: main_protocol(annotations, &mut problems),
            problems,
            auth,
            template_ref: annotations.get(keys::TEMPLATE_REF).cloned(),
            template_version: annotations.get(keys::TEMPLATE_VERSION).cloned(),
            subfolder: has_subfolder(&spec),
            pod,
        })))
    }

    pub(crate) fn pod(&self) -> &Arc<ManagedPod> {
        match self {
            Self::Workspace(workspace) => &workspace.pod,
            Self::Other(pod, _) => pod,
        }
    }

    /// Gives it its place in the order of arrival.
    pub(crate) fn place(&mut self, arrival: u64) {
        let pod = match self {
            Self::Workspace(workspace) => &mut workspace.pod,
            Self::Other(pod, _) => pod,
        };
        // Nobody else has it yet, so this copies nothing.
        Arc::make_mut(pod).place(arrival);
    }
}

/// Which workspace a pod is, and whose.
pub(crate) fn identify(pod: &PodSummary) -> Result<(WorkspaceId, Subject), NotAWorkspace> {
    require(&pod.labels, keys::TYPE, keys::TYPE_WORKSPACE)?;
    require(&pod.labels, keys::MANAGED_BY, keys::MANAGED_BY_VALUE)?;
    let id = pod.labels.get(keys::WORKSPACE_ID).ok_or(NotAWorkspace::Label(keys::WORKSPACE_ID))?;
    let id = WorkspaceId::parse(id).map_err(NotAWorkspace::Id)?;
    Ok((id, pod.owner.clone().ok_or(NotAWorkspace::Owner)?))
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
