//! What a pod is doing, derived from all of its conditions and containers rather than from its phase alone.

mod container;
#[cfg(test)]
mod tests;

use std::fmt;

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};
use nocrd_model::keys;
use serde::{Deserialize, Serialize};

use container::Finding;

/// What a workspace is doing, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Waits for a node, or for the node to begin.
    Pending,
    /// On a node; images are fetched, volumes mounted, containers created.
    Pulling,
    /// Init containers run.
    Initializing,
    /// Containers run, but the pod is not Ready yet.
    Starting,
    /// Ready.
    Running,
    /// Something is wrong: an image can't be pulled, a container crashes again and again…
    Degraded,
    /// A new version is about to take over.
    Upgrading,
    /// Deletion was asked for.
    Terminating,
    /// All containers ended with success.
    Succeeded,
    /// The pod failed, and will not be tried again.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "Pending",
            Self::Pulling => "Pulling",
            Self::Initializing => "Initializing",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Degraded => "Degraded",
            Self::Upgrading => "Upgrading",
            Self::Terminating => "Terminating",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        })
    }
}

/// What a workspace is doing, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// In one word.
    pub state: State,
    /// Kubernetes' own word for the cause, such as `ImagePullBackOff`; may be empty.
    pub reason: String,
    /// A sentence for people, naming the container it is about; may be empty.
    pub message: String,
    /// Whether waiting will most likely not make it better: an image that can't be pulled, a crash loop, a missing
    /// Secret, a pod that fits no node. "Most likely", because all of these can be cured from outside.
    pub fatal: bool,
}

impl Status {
    fn new(state: State, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { state, reason: reason.into(), message: message.into(), fatal: false }
    }

    fn fatal(self, fatal: bool) -> Self {
        Self { fatal, ..self }
    }
}

/// `Degraded (ImagePullBackOff): container agent: …`
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        if !self.reason.is_empty() && self.reason != self.state.to_string() {
            write!(f, " ({})", self.reason)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

/// Derives the status of `pod`.
#[must_use]
pub fn derive(pod: &Pod) -> Status {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    if pod.metadata.deletion_timestamp.is_some() {
        return Status::new(State::Terminating, "", "deletion was asked for");
    }
    match status.phase.as_deref() {
        Some("Succeeded") => {
            Status::new(State::Succeeded, "", "all containers ended with success").fatal(true)
        }
        Some("Failed") => failed(spec, status),
        Some("Unknown") => Status::new(
            State::Degraded,
            status.reason.clone().unwrap_or_else(|| "Unknown".to_owned()),
            or(status.message.as_deref(), "the pod's node does not answer"),
        ),
        _ if is_ready(status) => Status::new(State::Running, "", ""),
        _ if !is_scheduled(spec, status) => unscheduled(status),
        _ => starting(spec, status, context_secret(pod)),
    }
}

/// The Secret with the context, which is created right after the pod that owns it.
fn context_secret(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref()?.get(keys::CONTEXT_SECRET).map(String::as_str)
}

/// Whether the Ready condition holds.
pub(crate) fn is_ready(status: &PodStatus) -> bool {
    condition(status, "Ready").is_some_and(|ready| ready.status == "True")
}

fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a PodCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

fn or(text: Option<&str>, otherwise: &str) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned()
}

/// The pod as a whole failed: evicted, past its deadline, refused by its node, or all its containers ended.
fn failed(spec: &PodSpec, status: &PodStatus) -> Status {
    let ended = container::all(spec, status).find_map(|container| container.failure());
    let reason = status.reason.clone().filter(|reason| !reason.is_empty());
    let reason = reason.or_else(|| ended.as_ref().map(|finding| finding.reason.clone())).unwrap_or_default();
    let told = status.message.clone().filter(|message| !message.is_empty());
    let ended = ended.map(|finding| finding.message);
    let message = match (told, ended) {
        (Some(told), Some(ended)) => format!("{told}; {ended}"),
        (Some(message), None) | (None, Some(message)) => message,
        (None, None) => "the pod failed and does not say why".to_owned(),
    };
    Status::new(State::Failed, reason, message).fatal(true)
}

fn is_scheduled(spec: &PodSpec, status: &PodStatus) -> bool {
    spec.node_name.as_ref().is_some_and(|node| !node.is_empty())
        || condition(status, "PodScheduled").is_some_and(|scheduled| scheduled.status == "True")
}

fn unscheduled(status: &PodStatus) -> Status {
    let scheduled = condition(status, "PodScheduled");
    let reason = scheduled.and_then(|condition| condition.reason.as_deref()).unwrap_or_default();
    let message = scheduled.and_then(|condition| condition.message.as_deref());
    Status::new(State::Pending, reason, or(message, "waits for a node")).fatal(reason == "Unschedulable")
}

/// On a node, and not Ready.
fn starting(spec: &PodSpec, status: &PodStatus, context_secret: Option<&str>) -> Status {
    let containers: Vec<_> = container::all(spec, status).collect();
    let mut findings: Vec<Finding> = containers.iter().filter_map(container::Container::finding).collect();
    // The worst comes first; among equals the container that is first in the spec, init containers before the others.
    findings.sort_by_key(|finding| (finding.rank, !finding.fatal));
    if let Some(worst) = findings.into_iter().next() {
        // Nothing is wrong: the Secret is on its way, or the janitor removes what a server that ended left half done.
        if worst.reason == "CreateContainerConfigError"
            && context_secret.is_some_and(|name| worst.message.contains(name))
        {
            return Status::new(State::Pulling, worst.reason, "waits for its context to be stored");
        }
        return Status::new(worst.rank.state(), worst.reason, worst.message).fatal(worst.fatal);
    }
    if containers.iter().all(|container| !container.is_reported()) {
        return Status::new(State::Pending, "", "has a node, which has not begun yet");
    }
    // All containers are fine by themselves: a readiness gate, or the kubelet is about to say Ready.
    let ready = condition(status, "Ready");
    let reason = ready.and_then(|condition| condition.reason.clone()).unwrap_or_default();
    let message = ready.and_then(|condition| condition.message.as_deref());
    Status::new(State::Starting, reason, or(message, "all containers run; the pod is not Ready yet"))
}
