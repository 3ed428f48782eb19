//! The API calls of a spawn, and their undoing when a later one fails.

use std::collections::BTreeMap;

use nocrd_cluster::{Cluster, DeletePod, Error as ClusterError};
use nocrd_model::{Namespace, Subject};
use serde_json::Value;
use tracing::{debug, warn};

use crate::{
    Error, Product, SpawnRequest,
    plan::{self, Plan},
};

/// A pod this process created.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    pub(crate) namespace: Namespace,
    pub(crate) pod_name: String,
    pub(crate) uid: String,
    /// The ServiceAccount created along with it.
    pub(crate) service_account: Option<Account>,
}

/// A ServiceAccount this process created. Its name is the API server's choice, so no other attempt shares it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    name: String,
    uid: String,
}

/// How far an attempt got.
pub(crate) enum Outcome {
    /// Everything was created.
    Created(Created),
    /// The API server does not let us create Secrets; nothing is left of the attempt.
    SecretsForbidden,
}

/// Creates the objects of `plan`: first [`pod`], then the Secret that the pod owns.
pub(crate) async fn create(
    cluster: &Cluster,
    namespace: &Namespace,
    plan: &Plan,
    request: &SpawnRequest<Product>,
) -> Result<Outcome, Error> {
    let created = pod(cluster, namespace, plan).await.map_err(|error| taken(error, &request.id))?;
    let Some(name) = &plan.context_secret else { return Ok(Outcome::Created(created)) };
    match secret(cluster, name, &created, (&request.id, &request.owner), request.context.expose()).await {
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

/// Creates the ServiceAccount of `plan`, since a pod that names a missing one is refused; then the pod.
pub(crate) async fn pod(
    cluster: &Cluster,
    namespace: &Namespace,
    plan: &Plan,
) -> Result<Created, ClusterError> {
    let mut manifest = plan.pod.clone();
    let service_account = match &plan.service_account {
        Some(account) => {
            let account = Account::of(&cluster.create_service_account(namespace, account).await?);
            if let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) {
                spec.insert("serviceAccountName".into(), account.name.clone().into());
            }
            Some(account)
        }
        None => None,
    };
    match cluster.create_pod(namespace, &manifest).await {
        Ok(pod) => Ok(Created {
            namespace: namespace.clone(),
            pod_name: plan.pod_name.clone(),
            uid: metadata(&pod, "uid"),
            service_account,
        }),
        Err(error) => {
            remove_service_account(cluster, namespace, service_account.as_ref()).await;
            Err(error)
        }
    }
}

/// The name of a workspace's pod follows from its id, so a name that is taken is an id that is taken.
fn taken(error: ClusterError, product: &Product) -> Error {
    match error {
        ClusterError::AlreadyExists { .. } => product.taken(),
        error => error.into(),
    }
}

impl Account {
    fn of(object: &Value) -> Self {
        Self { name: metadata(object, "name"), uid: metadata(object, "uid") }
    }
}

pub(crate) fn metadata(object: &Value, member: &str) -> String {
    object.get("metadata").and_then(|m| m.get(member)).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Creates the Secret with the context of a pod, whose product and owner are named. One that is the pod's already stays.
pub(crate) async fn secret(
    cluster: &Cluster,
    name: &str,
    created: &Created,
    (product, owner): (&Product, &Subject),
    values: &BTreeMap<String, String>,
) -> Result<(), ClusterError> {
    let of = (created.pod_name.as_str(), created.uid.as_str());
    let manifest = plan::context_secret(name, &created.namespace, product, owner, values, of);
    match cluster.create_secret(&created.namespace, &manifest).await {
        // Left by an earlier pod of this name that the garbage collector has not got to yet; unless ours is gone, and
        // this is the Secret of whoever has the id now.
        Err(ClusterError::AlreadyExists { .. }) if still_there(cluster, created).await? => {
            let all = cluster.list_secrets(Some(&created.namespace)).await?;
            let left = all.iter().find(|secret| secret.name == name);
            if left.is_some_and(|secret| secret.owners.contains(&created.uid)) {
                return Ok(());
            }
            let left = left.map(|secret| secret.uid.as_str());
            cluster.delete_secret(&created.namespace, name, left).await?;
            cluster.create_secret(&created.namespace, &manifest).await
        }
        result => result,
    }
}

async fn still_there(cluster: &Cluster, created: &Created) -> Result<bool, ClusterError> {
    match cluster.get_pod(&created.namespace, &created.pod_name).await {
        Ok(pod) => Ok(metadata(&pod, "uid") == created.uid),
        Err(ClusterError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes everything an attempt created, at once. Failures are logged: the janitor comes round again.
pub(crate) async fn undo(cluster: &Cluster, created: &Created) {
    debug!(k8s.pod = %created.pod_name, "undoing a spawn");
    let delete = DeletePod { uid: Some(created.uid.clone()), grace_period_seconds: Some(0) };
    if let Err(error) = cluster.delete_pod(&created.namespace, &created.pod_name, delete).await {
        warn!(k8s.pod = %created.pod_name, %error, "could not remove the pod of a spawn that failed");
    }
    remove_service_account(cluster, &created.namespace, created.service_account.as_ref()).await;
}

async fn remove_service_account(cluster: &Cluster, namespace: &Namespace, account: Option<&Account>) {
    let Some(Account { name, uid }) = account else { return };
    if let Err(error) = cluster.delete_service_account(namespace, name, Some(uid)).await {
        warn!(service_account = name, %error, "could not remove the service account of a spawn that failed");
    }
}
