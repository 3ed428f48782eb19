//! Tools about the server itself.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use nocrd_authz::policy::Action;
use nocrd_model::Role;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    call::Call,
    catalogue::{self, Entry},
    error::Failure,
    tool::{Effect, NoParams, Reply, Tool},
};

pub(crate) struct CurrentNamespace;

#[derive(Serialize, JsonSchema)]
pub(crate) struct NamespaceView {
    namespace: String,
    /// `cluster` or `namespaced`.
    mode: String,
}

impl Tool for CurrentNamespace {
    type Params = NoParams;
    type Output = NamespaceView;

    const NAME: &'static str = "current_namespace";
    const TITLE: &'static str = "Current namespace";
    const DESCRIPTION: &'static str = "Tell the Kubernetes namespace used when a call names none, and the mode: \
        `namespaced` keeps to it, `cluster` can work in others too.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, _params: NoParams) -> Result<Reply<NamespaceView>, Failure> {
        let cluster = call.cluster();
        let view = NamespaceView {
            namespace: cluster.default_namespace().to_string(),
            mode: cluster.scope().to_string(),
        };
        Ok(Reply::new(format!("Namespace: {}\nMode: {}", view.namespace, view.mode), view))
    }
}

pub(crate) struct CheckPermissions;

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PermissionsView {
    enabled_tools: Vec<&'static str>,
    disabled_tools: Vec<&'static str>,
    /// Resource, with its subresource after a slash, to verb, to whether it is allowed.
    permissions: BTreeMap<String, BTreeMap<String, bool>>,
    /// The namespace they hold for.
    namespace: String,
    /// `cluster` or `namespaced`.
    mode: String,
    /// Whether the API server answered all questions just now. If not, the rest is what it said before.
    complete: bool,
}

/// How old answers of the API server may be that are told as the present state.
const PRESENT: Duration = Duration::from_secs(5);
/// How long a call waits for them.
const PATIENCE: Duration = Duration::from_secs(10);

impl Tool for CheckPermissions {
    type Params = NoParams;
    type Output = PermissionsView;

    const NAME: &'static str = "check_permissions";
    const TITLE: &'static str = "Check permissions";
    const DESCRIPTION: &'static str = "Ask Kubernetes what this server may do there now, and tell which tools work with that. Use it \
        when a tool is missing, or fails for lack of a permission.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, _params: NoParams) -> Result<Reply<PermissionsView>, Failure> {
        let cluster = call.cluster();
        let refreshing = tokio::time::timeout(PATIENCE, cluster.refresh_permissions_older_than(PRESENT));
        let refreshed = call.unless_cancelled(refreshing).await?;
        let report = call.permissions();
        let (enabled, disabled): (Vec<&Entry>, Vec<&Entry>) =
            catalogue::in_order().partition(|entry| report.enables(entry.name));
        let view = PermissionsView {
            enabled_tools: enabled.iter().map(|entry| entry.name).collect(),
            disabled_tools: disabled.iter().map(|entry| entry.name).collect(),
            permissions: report.permissions.clone(),
            namespace: report.namespace.to_string(),
            mode: report.mode.to_string(),
            complete: report.complete && refreshed.is_ok(),
        };
        Ok(Reply::new(render(&view), view))
    }
}

fn render(view: &PermissionsView) -> String {
    let mut out = String::from("--- RBAC PERMISSIONS ---\nRESOURCE\tVERB\tALLOWED\n");
    for (resource, verbs) in &view.permissions {
        for (verb, allowed) in verbs {
            let allowed = if *allowed { "✔ YES" } else { "❌ NO" };
            // A `String` takes everything.
            let _ = writeln!(out, "{resource}\t{verb}\t{allowed}");
        }
    }
    out += "\n--- MCP TOOLS ---\nTOOL\tSTATUS";
    for (tools, status) in [(&view.enabled_tools, "ENABLED"), (&view.disabled_tools, "DISABLED")] {
        for tool in tools {
            let _ = write!(out, "\n{tool}\t{status}");
        }
    }
    if !view.complete {
        out += "\n\n⚠ Kubernetes did not answer all questions just now: this is what it said before.";
    }
    out
}

pub(crate) struct GetCapabilities;

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Capabilities {
    enabled_tools: Vec<&'static str>,
    /// Raw pod tools see only pods that this product made.
    managed_only: bool,
    auth_enabled: bool,
    /// Whether the caller acts for everybody.
    is_admin: bool,
    /// `none`, `viewer`, `user` or `admin`.
    #[schemars(with = "String")]
    role: Role,
    /// Who the caller is.
    user_sub: String,
    version: String,
}

impl Tool for GetCapabilities {
    type Params = NoParams;
    type Output = Capabilities;

    const NAME: &'static str = "get_capabilities";
    const TITLE: &'static str = "Capabilities";
    const DESCRIPTION: &'static str = "Tell which tools work here, who you are to this server, whether you act for everybody, and \
        its version. Use it when a tool you expect is missing.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = None;

    async fn run(call: Call, _params: NoParams) -> Result<Reply<Capabilities>, Failure> {
        let options = call.options();
        Ok(Reply::json(Capabilities {
            enabled_tools: catalogue::working(&call.permissions())
                .filter(|entry| call.permits(entry))
                .map(|entry| entry.name)
                .collect(),
            managed_only: call.spawner().config().managed_only,
            auth_enabled: options.auth_enabled,
            is_admin: call.caller().is_admin(),
            role: call.caller().role,
            user_sub: call.caller().subject.to_string(),
            version: options.version.clone(),
        }))
    }
}
