//! What the server's own identity may do in the cluster.

use std::{collections::BTreeMap, sync::Arc};

use ::http::{HeaderValue, header};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use nocrd_cluster::{Cluster, Scope};
use nocrd_mcp_surface::catalogue;
use serde::Serialize;

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
    mode: &'static str,
    namespace: String,
}

/// `GET /permissions`.
pub(crate) async fn permissions(State(state): State<Arc<Permissions>>) -> Response {
    let report = state.cluster.permissions();
    let (enabled, disabled): (Vec<_>, Vec<_>) =
        catalogue::TOOLS.iter().partition(|tool| tool.missing(&report).is_empty());
    let body = Report {
        configured_flags: Flags {
            mode: match report.mode {
                Scope::Cluster => "cluster",
                Scope::Namespaced => "namespaced",
            },
            namespace: report.namespace.to_string(),
        },
        permissions: report.permissions.clone(),
        enabled_tools: enabled.into_iter().map(|tool| tool.name).collect(),
        disabled_tools: disabled.into_iter().map(|tool| tool.name).collect(),
    };
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}
