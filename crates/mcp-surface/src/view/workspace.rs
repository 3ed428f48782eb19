use std::collections::BTreeMap;

use nocrd_spawner::{Namespace, Style, Upgrade, Workspace, WorkspaceId};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{IN_DETAILS, IN_LIST, api::ApiView, metadata};
use crate::text;

/// A workspace in a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct WorkspaceEntry {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Left out when it is the server's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    pub(crate) status: String,
    /// Only of one that is not running.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    user_sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_ref: Option<String>,
    pod_name: String,
    creation_time: String,
    /// Left out when false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_outdated: bool,
    /// Of one that is outdated.
    #[serde(skip_serializing_if = "Option::is_none")]
    template_version: Option<String>,
    /// Of one that is outdated.
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_template_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_upgrade_error: Option<String>,
}

impl WorkspaceEntry {
    pub(crate) fn new(workspace: &Workspace, default_namespace: &Namespace) -> Self {
        let (pod, status, is_outdated) = (workspace.pod(), workspace.status(), workspace.is_outdated());
        Self {
            id: workspace.id().to_string(),
            name: text::line(workspace.name(), 80),
            namespace: (pod.namespace != *default_namespace).then(|| pod.namespace.to_string()),
            status: status.state.to_string(),
            reason: text::line(&status.reason, 80),
            message: text::line(&status.message, 100),
            user_sub: text::line(workspace.owner().as_str(), IN_DETAILS),
            template_ref: pod.template_ref.as_deref().map(|name| text::line(name, IN_LIST)),
            template_version: is_outdated.then(|| text::line(workspace.template_version(), 80)),
            pod_name: pod.pod_name.clone(),
            creation_time: workspace.created().to_string(),
            is_outdated,
            latest_template_version: workspace
                .latest_template_version()
                .filter(|_| is_outdated)
                .map(|text| text::line(text, 80)),
            last_upgrade_error: workspace.last_upgrade_error().map(|text| text::line(text, 80)),
        }
    }
}

/// An upgrade under way.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpgradeEntry {
    /// Version of the template before.
    from: String,
    /// Version of the template after.
    to: String,
    /// `beside` or `recreate`.
    style: &'static str,
    since: String,
    /// The new pod, as soon as there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_name: Option<String>,
    /// Whether the new pod did not start, and the old one is made once more. Left out when false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    going_back: bool,
}

impl UpgradeEntry {
    fn new(upgrade: &Upgrade) -> Self {
        Self {
            from: text::line(&upgrade.from, 80),
            to: text::line(&upgrade.to, 80),
            style: style(upgrade.style),
            since: upgrade.since.to_string(),
            pod_name: upgrade.successor.clone(),
            going_back: upgrade.going_back,
        }
    }
}

/// How a new pod takes over, in a word.
pub(crate) fn style(style: Style) -> &'static str {
    match style {
        Style::Beside => "beside",
        Style::Recreate => "recreate",
    }
}

/// Everything about a workspace.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkspaceDetails {
    id: String,
    name: String,
    namespace: String,
    /// Pending, Pulling, Initializing, Starting, Running, Degraded, Upgrading, Terminating, Succeeded or Failed.
    status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// Whether requests to `url` are answered.
    ready: bool,
    restarts: u32,
    /// Where the main page is.
    url: String,
    pod_name: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    /// Empty: the server's default.
    port: String,
    workspace_path: String,
    workspace_type: String,
    preview_path: String,
    preview_type: String,
    user_sub: String,
    owner: String,
    description: String,
    creation_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_ref: Option<String>,
    template_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_template_version: Option<String>,
    is_outdated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade: Option<UpgradeEntry>,
    /// Why the last upgrade failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_upgrade_error: Option<String>,
    apis: Vec<ApiView>,
    /// Annotations that can't be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    /// Without the values of environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Value>")]
    pub(crate) pod: Option<Value>,
}

impl WorkspaceDetails {
    pub(crate) fn new(workspace: &Workspace, base_url: &str) -> Self {
        let (pod, status) = (workspace.pod(), workspace.status());
        let path = text::line(workspace.path(), IN_DETAILS);
        let kind = text::line(workspace.kind(), IN_LIST);
        let owner = text::line(workspace.owner().as_str(), IN_DETAILS);
        Self {
            id: workspace.id().to_string(),
            name: text::line(workspace.name(), IN_DETAILS),
            namespace: pod.namespace.to_string(),
            status: status.state.to_string(),
            reason: text::line(&status.reason, IN_LIST),
            message: text::block(&status.message, IN_DETAILS),
            ready: workspace.is_ready(),
            restarts: pod.restarts,
            url: url(base_url, workspace.id(), workspace.path()),
            pod_name: pod.pod_name.clone(),
            pod_ip: pod.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            port: pod.port.map(|port| port.to_string()).unwrap_or_default(),
            preview_path: path.clone(),
            preview_type: kind.clone(),
            workspace_path: path,
            workspace_type: kind,
            user_sub: owner.clone(),
            owner,
            description: text::block(workspace.description(), IN_DETAILS),
            creation_time: workspace.created().to_string(),
            template_ref: pod.template_ref.as_deref().map(|name| text::line(name, IN_LIST)),
            template_version: text::line(workspace.template_version(), IN_LIST),
            latest_template_version: workspace
                .latest_template_version()
                .map(|text| text::line(text, IN_LIST)),
            is_outdated: workspace.is_outdated(),
            upgrade: workspace.upgrade().map(UpgradeEntry::new),
            last_upgrade_error: workspace.last_upgrade_error().map(|text| text::line(text, IN_DETAILS)),
            apis: ApiView::all(workspace.apis()),
            problems: pod.problems.iter().map(|problem| text::line(problem, 300)).collect(),
            annotations: metadata(&pod.annotations),
            labels: metadata(&pod.labels),
            pod: None,
        }
    }
}

/// Where a workspace's main page is. `path` is its annotation; one that is no plain absolute path counts as `/`.
pub(crate) fn url(base_url: &str, id: &WorkspaceId, path: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '<' | '>' | '`' | '{' | '}');
    let path = if path.starts_with('/') && path.chars().all(plain) { path } else { "/" };
    format!("{base_url}/route/{id}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_hold_plain_paths_only() {
        let id = WorkspaceId::parse("w1").unwrap();
        let url = |path| url("https://x.example/a", &id, path);
        assert_eq!(url("/lab?tab=1"), "https://x.example/a/route/w1/lab?tab=1");
        for odd in ["", "lab", "/a b", "/a\nb", "/\u{202e}x", "https://evil.example/"] {
            assert_eq!(url(odd), "https://x.example/a/route/w1/", "{odd:?}");
        }
    }
}
