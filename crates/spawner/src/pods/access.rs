//! Which pods a caller sees.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nocrd_cluster::{Error as ClusterError, owner_of};
use nocrd_model::{Caller, Namespace, Subject, id::is_dns_subdomain, keys};
use serde_json::Value;

use crate::{Error, Spawner};

/// A pod that was looked up for a caller who may see it. What is done to it, is done to this pod and to no other that has
/// its name later.
#[derive(Debug, Clone)]
pub struct VisiblePod {
    pub(super) namespace: Namespace,
    pub(super) name: String,
    pub(super) uid: String,
    object: Value,
}

impl VisiblePod {
    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole pod, as the API server has it.
    #[must_use]
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// Likewise, to keep.
    #[must_use]
    pub fn into_object(self) -> Value {
        self.object
    }

    /// The names of its containers, in their order.
    pub(super) fn containers(&self) -> impl Iterator<Item = &str> {
        let containers = self.object.pointer("/spec/containers").and_then(Value::as_array);
        containers.into_iter().flatten().filter_map(|container| container.get("name")?.as_str())
    }

    /// The error for a pod that is not there, or not for the caller, or not any more.
    pub(super) fn not_found(&self) -> Error {
        Error::PodNotFound { name: self.name.clone() }
    }
}

impl Spawner {
    /// Whether a caller sees a pod: with [`Config::managed_only`](crate::Config::managed_only) only those that this
    /// server manages, whoever asks, and of those only their own, administrators everybody's.
    pub(super) fn sees(&self, caller: &Caller, is_managed: bool, owner: Option<&Subject>) -> bool {
        (is_managed || !self.config().managed_only) && caller.sees_things_of(owner)
    }

    /// Looks a pod up for a caller.
    ///
    /// # Errors
    /// [`Error::PodNotFound`], which does not tell "not there" from "not yours" and "not managed";
    /// [`Error::Cluster`] when the API fails.
    pub async fn find_pod(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        name: &str,
    ) -> Result<VisiblePod, Error> {
        let not_found = || Error::PodNotFound { name: name.chars().take(253).collect() };
        if !is_dns_subdomain(name) {
            return Err(not_found());
        }
        let object = match self.cluster().get_pod(namespace, name).await {
            Ok(object) => object,
            Err(ClusterError::NotFound { .. }) => return Err(not_found()),
            Err(error) => return Err(error.into()),
        };
        let metadata = object.get("metadata").cloned().and_then(|value| serde_json::from_value(value).ok());
        // Without, it is nobody's, as far as anybody can tell.
        let metadata: ObjectMeta = metadata.ok_or_else(not_found)?;
        let is_managed = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(keys::MANAGED_BY))
            .is_some_and(|by| by == keys::MANAGED_BY_VALUE);
        let uid = metadata.uid.clone().unwrap_or_default();
        if uid.is_empty() || !self.sees(caller, is_managed, owner_of(&metadata).as_ref()) {
            return Err(not_found());
        }
        Ok(VisiblePod { namespace: namespace.clone(), name: name.to_owned(), uid, object })
    }
}
