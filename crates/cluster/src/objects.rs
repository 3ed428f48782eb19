//! Calls about the Secrets and ServiceAccounts of workspaces.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nocrd_model::{Namespace, WorkspaceId, keys};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Cluster, Error, Version, calls, cluster::Watched, error::Asked, list::Selector,
    supervise::managed_selector,
};

/// What a list tells of a Secret or ServiceAccount: its metadata. The API server is asked for no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// When it was created.
    pub created: Timestamp,
    /// The workspace it was made for.
    pub workspace_id: Option<WorkspaceId>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Uids of the objects that own it.
    pub owners: Vec<String>,
}

#[derive(Deserialize)]
struct Listed {
    metadata: ObjectMeta,
}

impl Summary {
    /// `None` when the API server left out what every object has.
    fn parse(metadata: ObjectMeta) -> Option<Self> {
        let labels = metadata.labels.unwrap_or_default();
        Some(Self {
            namespace: Namespace::parse(metadata.namespace.as_deref()?).ok()?,
            name: metadata.name?,
            uid: metadata.uid?,
            created: metadata.creation_timestamp?.0,
            workspace_id: labels.get(keys::WORKSPACE_ID).and_then(|id| WorkspaceId::parse(id).ok()),
            labels,
            annotations: metadata.annotations.unwrap_or_default(),
            owners: metadata
                .owner_references
                .unwrap_or_default()
                .into_iter()
                .map(|owner| owner.uid)
                .collect(),
        })
    }
}

impl Cluster {
    /// Creates a Secret.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn create_secret(&self, namespace: &Namespace, secret: &Value) -> Result<(), Error> {
        self.calls().create(namespace, "secrets", secret).await.map(drop)
    }

    /// Tells whether there is a Secret of this name.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn secret_exists(&self, namespace: &Namespace, name: &str) -> Result<bool, Error> {
        self.calls().exists(namespace, "secrets", name).await
    }

    /// Deletes a Secret; one that is not there is deleted already. With a uid, another of the same name stays, and the call ends in
    /// a conflict.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn delete_secret(
        &self,
        namespace: &Namespace,
        name: &str,
        uid: Option<&str>,
    ) -> Result<(), Error> {
        self.calls().delete(namespace, "secrets", name, uid.map(Version::any_of).as_ref(), None).await
    }

    /// The Secrets made for workspaces; `None` means all namespaces that are watched.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn list_secrets(&self, namespace: Option<&Namespace>) -> Result<Vec<Summary>, Error> {
        self.list_managed(namespace, "secrets").await
    }

    /// Creates a ServiceAccount, and gives it as the API server stored it.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn create_service_account(
        &self,
        namespace: &Namespace,
        account: &Value,
    ) -> Result<Value, Error> {
        self.calls().create(namespace, "serviceaccounts", account).await
    }

    /// Deletes a ServiceAccount; one that is not there is deleted already. With a uid, another of the same name stays, and the
    /// call ends in a conflict.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn delete_service_account(
        &self,
        namespace: &Namespace,
        name: &str,
        uid: Option<&str>,
    ) -> Result<(), Error> {
        self.calls().delete(namespace, "serviceaccounts", name, uid.map(Version::any_of).as_ref(), None).await
    }

    /// The ServiceAccounts made for workspaces; `None` means all namespaces that are watched.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn list_service_accounts(&self, namespace: Option<&Namespace>) -> Result<Vec<Summary>, Error> {
        self.list_managed(namespace, "serviceaccounts").await
    }

    /// Lists what carries our mark and no more, without its contents.
    async fn list_managed(
        &self,
        namespace: Option<&Namespace>,
        resource: &'static str,
    ) -> Result<Vec<Summary>, Error> {
        let watched = self.health().watched;
        let namespace = match (&watched, namespace) {
            (_, Some(namespace)) => Some(namespace),
            (Watched::One(namespace), None) => Some(namespace),
            _ => None,
        };
        let asked = Asked { verb: "list", resource, namespace, name: None };
        let selector = Selector { labels: Some(managed_selector()), fields: None };
        let mut found = Vec::new();
        let path = calls::path(namespace, resource);
        self.calls()
            .list(asked, &path, &selector, true, |page: Vec<Listed>| {
                found.extend(page.into_iter().filter_map(|object| Summary::parse(object.metadata)));
            })
            .await?;
        // A list covers one namespace or all; what lies outside the allowed ones is somebody else's.
        found.retain(|object: &Summary| self.serves(&object.namespace));
        Ok(found)
    }
}
