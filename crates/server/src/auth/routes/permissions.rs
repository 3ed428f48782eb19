//! What the server's own identity may do in the cluster.

use std::{collections::BTreeMap, sync::Arc};

use ::http::StatusCode;
use axum::{extract::State, response::Response};
use nocrd_cluster::Cluster;
use nocrd_mcp_surface::catalogue;
use serde::Serialize;

use crate::respond;

/// Where the answer comes from.
pub(crate) struct Permissions {
    pub(crate) cluster: Cluster,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    configured_flags: Flags,
    permissions: BTreeMap<String, BTreeMap<String, bool>>,
    enabled_tools: Vec<&'static str>,
    disabled_tools: Vec<&'static str>,
}

#[derive(Serialize)]
struct Flags {
    mode: String,
    namespace: String,
}

/// `GET /permissions`.
pub(crate) async fn permissions(State(state): State<Arc<Permissions>>) -> Response {
    let report = state.cluster.permissions();
    let (enabled, disabled): (Vec<_>, Vec<_>) =
        catalogue::TOOLS.iter().partition(|tool| tool.missing(&report).is_empty());
    let body = Report {
        configured_flags: Flags { mode: report.mode.to_string(), namespace: report.namespace.to_string() },
        permissions: report.permissions.clone(),
        enabled_tools: enabled.into_iter().map(|tool| tool.name).collect(),
        disabled_tools: disabled.into_iter().map(|tool| tool.name).collect(),
    };
    respond::fresh(StatusCode::OK, body)
}
