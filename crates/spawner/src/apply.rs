//! The API calls of a spawn, and their undoing when a later one fails.

use nocrd_cluster::{Cluster, DeletePod, Error as ClusterError};
use nocrd_model::{Namespace, WorkspaceId};
use serde_json::Value;
use tracing::{debug, warn};

use crate::{
    Error, SpawnRequest,
    plan::{self, Plan},
};

/// A pod this process created.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    pub(crate) namespace: Namespace,
    pub(crate) pod_name: String,
    pub(crate) uid: String,
    /// Name of the ServiceAccount created along with it.
    pub(crate) service_account: Option<String>,
}

/// How far an attempt got.
pub(crate) enum Outcome {
    /// Everything was created.
    Created(Created),
    /// The API server does not let us create Secrets; nothing is left of the attempt.
    SecretsForbidden,
}

/// Creates the objects of `plan`: the ServiceAccount first, since a pod that names a missing one is refused; then the
/// pod; then the Secret that the pod owns.
pub(crate) async fn create(
    cluster: &Cluster,
    namespace: &Namespace,
    plan: &Plan,
    request: &SpawnRequest,
) -> Result<Outcome, Error> {
    let service_account = match &plan.service_account {
        Some(manifest) => Some(create_service_account(cluster, namespace, manifest, &request.id).await?),
        None => None,
    };
    let pod = match cluster.create_pod(namespace, &plan.pod).await {
        Ok(pod) => pod,
        Err(error) => {
            remove_service_account(cluster, namespace, service_account.as_deref()).await;
            return Err(taken(error, &request.id));
        }
    };
    let created = Created {
        namespace: namespace.clone(),
        pod_name: plan.pod_name.clone(),
        uid: pod.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned(),
        service_account,
    };
    let Some(secret) = &plan.context_secret else { return Ok(Outcome::Created(created)) };
    match create_secret(cluster, secret, &created, request).await {
        Ok(()) => Ok(Outcome::Created(created)),
        Err(error) => {
            undo(cluster, &created).await;
            match error {
                ClusterError::Forbidden { .. } => Ok(Outcome::SecretsForbidden),
                error => Err(error.into()),
            }
        }
    }
}

/// The pod's name follows from the id, so a name that is taken is an id that is taken.
fn taken(error: ClusterError, id: &WorkspaceId) -> Error {
    match error {
        ClusterError::AlreadyExists { .. } => Error::Exists { id: id.clone() },
        error => error.into(),
    }
}

async fn create_service_account(
    cluster: &Cluster,
    namespace: &Namespace,
    manifest: &Value,
    id: &WorkspaceId,
) -> Result<String, Error> {
    let name = manifest.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    match cluster.create_service_account(namespace, manifest).await {
        Ok(()) => Ok(name),
        // Left by an earlier workspace of this id: it has another owner or role, and nothing uses it any more, since
        // the id is free. Only one that carries our mark is replaced.
        Err(ClusterError::AlreadyExists { .. }) => {
            let ours = cluster.list_service_accounts(Some(namespace)).await?;
            if !ours.iter().any(|account| account.name == name && account.workspace_id.as_ref() == Some(id)) {
                return Err(Error::ServiceAccount { name });
            }
            cluster.delete_service_account(namespace, &name).await?;
            cluster.create_service_account(namespace, manifest).await?;
            Ok(name)
        }
        Err(error) => Err(error.into()),
    }
}

async fn create_secret(
    cluster: &Cluster,
    name: &str,
    created: &Created,
    request: &SpawnRequest,
) -> Result<(), ClusterError> {
    let manifest = plan::context_secret(
        name,
        &created.namespace,
        &request.id,
        &request.owner,
        request.context.expose(),
        (&created.pod_name, &created.uid),
    );
    match cluster.create_secret(&created.namespace, &manifest).await {
        // Left by an earlier pod of this name that the garbage collector has not got to yet.
        Err(ClusterError::AlreadyExists { .. }) => {
            cluster.delete_secret(&created.namespace, name).await?;
            cluster.create_secret(&created.namespace, &manifest).await
        }
        result => result,
    }
}

/// Removes everything an attempt created, at once. Failures are logged: the janitor comes round again.
pub(crate) async fn undo(cluster: &Cluster, created: &Created) {
    debug!(k8s.pod = %created.pod_name, "undoing a spawn");
    let delete = DeletePod { uid: Some(created.uid.clone()), grace_period_seconds: Some(0) };
    if let Err(error) = cluster.delete_pod(&created.namespace, &created.pod_name, delete).await {
        warn!(k8s.pod = %created.pod_name, %error, "could not remove the pod of a spawn that failed");
    }
    remove_service_account(cluster, &created.namespace, created.service_account.as_deref()).await;
}

async fn remove_service_account(cluster: &Cluster, namespace: &Namespace, name: Option<&str>) {
    let Some(name) = name else { return };
    if let Err(error) = cluster.delete_service_account(namespace, name).await {
        warn!(service_account = name, %error, "could not remove the service account of a spawn that failed");
    }
}
