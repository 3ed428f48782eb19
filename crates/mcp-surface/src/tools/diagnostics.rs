//! Tools about the server itself.

use nocrd_authz::policy::Action;
use nocrd_cluster::Scope;
use nocrd_model::Role;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    call::Call,
    catalogue,
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
            mode: match cluster.scope() {
                Scope::Cluster => "cluster".to_owned(),
                Scope::Namespaced => "namespaced".to_owned(),
            },
        };
        Ok(Reply::new(format!("Namespace: {}\nMode: {}", view.namespace, view.mode), view))
    }
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
            managed_only: options.managed_only,
            auth_enabled: options.auth_enabled,
            is_admin: call.caller().is_admin(),
            role: call.caller().role,
            user_sub: call.caller().subject.to_string(),
            version: options.version.clone(),
        }))
    }
}
