//! Changing and deleting pods.

use nocrd_authz::policy::Action;
use nocrd_spawner::PodPatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::find;
use crate::{
    call::Call,
    error::{Error, Failure},
    tool::{Effect, Reply, Thing, Tool},
};

pub(crate) struct DeletePod;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletePodParams {
    name: String,
    /// Default: the server's.
    namespace: Option<String>,
    /// Between the request to stop and the kill. Default: the pod's own.
    grace_period_seconds: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct DeletedPod {
    name: String,
    namespace: String,
    /// `terminating`.
    status: &'static str,
}

impl Tool for DeletePod {
    type Params = DeletePodParams;
    type Output = DeletedPod;

    const NAME: &'static str = "delete_pod";
    const TITLE: &'static str = "Delete a pod";
    const DESCRIPTION: &'static str = "Delete a pod; what it holds is lost, except on volumes that outlive it. It is gone when its \
        grace period is over. For a workspace use stop_workspace.";
    const EFFECT: Effect = Effect::Destroy;
    const ACTION: Option<Action> = Some(Action::Write);
    const NAMED: Option<Thing> = Some(Thing::Pod);

    async fn run(call: Call, params: DeletePodParams) -> Result<Reply<DeletedPod>, Failure> {
        let pod = find(&call, &params.name, params.namespace.as_deref()).await?;
        let deleted = call.spawner().delete_pod(&pod, params.grace_period_seconds).await;
        deleted.map_err(Error::Spawner)?;
        let (name, namespace) = (pod.name().to_owned(), pod.namespace().to_string());
        let text = format!("Deleted pod {name} from namespace {namespace}");
        Ok(Reply::new(text, DeletedPod { name, namespace, status: "terminating" }))
    }
}

pub(crate) struct PatchPod;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct PatchPodParams {
    name: String,
    /// Default: the server's.
    namespace: Option<String>,
    /// Of `metadata`: `labels` and `annotations`; of `spec.containers[]`: `name` and `resources`.
    patch: Map<String, Value>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PatchedPod {
    name: String,
    namespace: String,
    resource_version: String,
}

impl Tool for PatchPod {
    type Params = PatchPodParams;
    type Output = PatchedPod;

    const NAME: &'static str = "patch_pod";
    const TITLE: &'static str = "Change a pod";
    const DESCRIPTION: &'static str = "Change labels, annotations and container resources of a running pod (strategic merge patch: \
        null removes a key). Everything else is fixed when a pod is created.";
    const EFFECT: Effect = Effect::Change;
    const ACTION: Option<Action> = Some(Action::Write);
    const NAMED: Option<Thing> = Some(Thing::Pod);

    async fn run(call: Call, params: PatchPodParams) -> Result<Reply<PatchedPod>, Failure> {
        let patch = PodPatch::parse(&params.patch).map_err(Error::Spawner)?;
        let pod = find(&call, &params.name, params.namespace.as_deref()).await?;
        let resource_version = call.spawner().patch_pod(call.caller(), &pod, &patch).await;
        let resource_version = resource_version.map_err(Error::Spawner)?;
        let (name, namespace) = (pod.name().to_owned(), pod.namespace().to_string());
        let text = format!("Patched pod {name} (resourceVersion: {resource_version})");
        Ok(Reply::new(text, PatchedPod { name, namespace, resource_version }))
    }
}
