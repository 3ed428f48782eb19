use nocrd_cluster::PodEvent;
use schemars::JsonSchema;
use serde::Serialize;

use crate::text;

/// Something Kubernetes reported about a pod.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct EventView {
    r#type: String,
    reason: String,
    message: String,
    /// When it happened last; empty when unknown.
    timestamp: String,
    count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_timestamp: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_name: Option<String>,
}

impl EventView {
    pub(crate) fn new(event: &PodEvent, pod_name: Option<&str>) -> Self {
        let last = event.last.or(event.first);
        Self {
            r#type: text::line(&event.type_, 40),
            reason: text::line(&event.reason, 100),
            message: text::block(&event.message, 1_000),
            timestamp: last.map(|at| at.to_string()).unwrap_or_default(),
            count: event.count,
            first_timestamp: event.first.map(|at| at.to_string()),
            last_timestamp: last.map(|at| at.to_string()),
            source: text::line(&event.source, 100),
            pod_name: pod_name.map(str::to_owned),
        }
    }
}
