use std::collections::BTreeMap;

use nocrd_cluster::PodSummary;
use schemars::JsonSchema;
use serde::Serialize;

use super::{IN_LIST, short_metadata};
use crate::text;

/// A pod in a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct PodEntry {
    pub(crate) name: String,
    namespace: String,
    /// Pending, Running, Succeeded, Failed or Unknown.
    phase: String,
    /// Containers that are ready.
    ready: u16,
    /// Containers.
    total: u16,
    restarts: u32,
    #[serde(rename = "podIP")]
    pod_ip: String,
    node: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// What it is doing; see get_workspace.
    status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

impl PodEntry {
    pub(crate) fn new(pod: &PodSummary) -> Self {
        Self {
            name: pod.name.to_string(),
            namespace: pod.namespace.to_string(),
            phase: pod.phase.as_str().to_owned(),
            ready: pod.ready_containers,
            total: pod.containers,
            restarts: pod.restarts,
            pod_ip: pod.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            node: pod.node.as_deref().unwrap_or_default().to_owned(),
            labels: pod.labels.clone(),
            annotations: short_metadata(&pod.annotations),
            status: pod.status.state.to_string(),
            reason: text::line(&pod.status.reason, 80),
            message: text::line(&pod.status.message, IN_LIST),
        }
    }

    /// Its row in the text.
    pub(crate) fn row(&self) -> [String; 6] {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        [
            self.name.clone(),
            self.phase.clone(),
            format!("{}/{}", self.ready, self.total),
            self.restarts.to_string(),
            or_dash(&self.pod_ip),
            or_dash(&self.node),
        ]
    }

    /// About how long that row is.
    pub(crate) fn row_length(&self) -> usize {
        self.name.len() + self.phase.len() + self.pod_ip.len() + self.node.len() + 16
    }
}
