//! What a server keeps in the cluster for itself and its replicas: Secrets and ConfigMaps in its own namespace, by name.
//! Nothing of this is reached by a tool.

use std::{collections::BTreeMap, ops::ControlFlow};

use http::Request;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Pod, Secret},
};
use nocrd_model::Namespace;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    Cluster, Error,
    calls::{self, build},
    error::Asked,
    list::Selector,
    watch::{Collection, Sink},
};

/// An entry of a Secret, with what is needed to tell it from a later one of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSecret {
    /// Its uid.
    pub uid: String,
    /// When it was created, by the API server's clock.
    pub created: Timestamp,
    /// Its contents.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// A ConfigMap as it was read. Replacing it takes the version, so that no change by another replica is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnConfigMap {
    /// Its version.
    pub version: String,
    /// Its contents.
    pub data: BTreeMap<String, String>,
}

/// A Secret, as a list tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSecretName {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// When it was created.
    pub created: Timestamp,
}

impl OwnSecret {
    fn parse(secret: Secret) -> Option<Self> {
        let data = secret.data.unwrap_or_default();
        Some(Self {
            uid: secret.metadata.uid?,
            created: secret.metadata.creation_timestamp?.0,
            data: data.into_iter().map(|(key, ByteString(bytes))| (key, bytes)).collect(),
        })
    }
}

impl OwnConfigMap {
    fn parse(map: ConfigMap) -> Option<Self> {
        Some(Self { version: map.metadata.resource_version?, data: map.data.unwrap_or_default() })
    }
}

#[derive(Deserialize)]
struct Named {
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
}

fn secret_of(asked: Asked<'_>, value: Value) -> Result<OwnSecret, Error> {
    // Not with the cause, which would quote what it could not read.
    let unreadable = || asked.unreadable("it is no Secret".into());
    let secret = Secret::deserialize(value).map_err(|_| unreadable())?;
    OwnSecret::parse(secret).ok_or_else(unreadable)
}

fn config_map_of(asked: Asked<'_>, value: Value) -> Result<OwnConfigMap, Error> {
    let map = ConfigMap::deserialize(value).map_err(|error| asked.unreadable(error.into()))?;
    OwnConfigMap::parse(map).ok_or_else(|| asked.unreadable("it has no version".into()))
}

impl Cluster {
    fn home(&self, verb: &'static str, resource: &'static str) -> Asked<'_> {
        Asked { verb, resource, namespace: Some(self.default_namespace()), name: None }
    }

    /// Reads a Secret of the default namespace.
    ///
    /// # Errors
    /// [`Error::NotFound`], and those about the cluster.
    pub async fn own_secret(&self, name: &str) -> Result<OwnSecret, Error> {
        let secret = self.calls().get(self.default_namespace(), "secrets", name).await?;
        secret_of(self.home("get", "secrets"), secret)
    }

    /// Creates a Secret in the default namespace; `labels` are for finding it again.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], and those about the cluster.
    pub async fn create_own_secret(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        data: &[(&str, &[u8])],
    ) -> Result<OwnSecret, Error> {
        let data = data.iter().map(|(key, bytes)| ((*key).to_owned(), ByteString(bytes.to_vec())));
        let data: BTreeMap<String, ByteString> = data.collect();
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
            "metadata": { "name": name, "namespace": self.default_namespace(), "labels": labels },
        });
        let created = self.calls().create(self.default_namespace(), "secrets", &secret).await?;
        secret_of(self.home("create", "secrets"), created)
    }

    /// Names the Secrets of the default namespace that have a label, without their contents.
    ///
    /// # Errors
    /// Those about the cluster.
    pub async fn own_secrets(&self, label: (&str, &str)) -> Result<Vec<OwnSecretName>, Error> {
        let selector = Selector { labels: Some(format!("{}={}", label.0, label.1)), fields: None };
        let path = calls::path(Some(self.default_namespace()), "secrets");
        let mut found = Vec::new();
        self.calls()
            .list(self.home("list", "secrets"), &path, &selector, true, |page: Vec<Named>| {
                found.extend(page.into_iter().filter_map(|Named { metadata }| {
                    let created = metadata.creation_timestamp?.0;
                    Some(OwnSecretName { name: metadata.name?, uid: metadata.uid?, created })
                }));
            })
            .await?;
        Ok(found)
    }

    /// Reads a ConfigMap of the default namespace.
    ///
    /// # Errors
    /// [`Error::NotFound`], and those about the cluster.
    pub async fn own_config_map(&self, name: &str) -> Result<OwnConfigMap, Error> {
        let map = self.calls().get(self.default_namespace(), "configmaps", name).await?;
        config_map_of(self.home("get", "configmaps"), map)
    }

    /// Writes a ConfigMap of the default namespace: creates it when `version` is `None`, else replaces that version.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] or [`Error::Conflict`] when another replica was faster, and those about the cluster.
    pub async fn write_own_config_map(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        data: &BTreeMap<String, String>,
        version: Option<&str>,
    ) -> Result<OwnConfigMap, Error> {
        let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
        let mut map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": { "name": name, "namespace": self.default_namespace(), "labels": labels },
        });
        let Some(version) = version else {
            let created = self.calls().create(self.default_namespace(), "configmaps", &map).await?;
            return config_map_of(self.home("create", "configmaps"), created);
        };
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), version.into());
        }
        let replaced = self.calls().replace(self.default_namespace(), "configmaps", name, &map).await?;
        config_map_of(self.home("update", "configmaps"), replaced)
    }

    /// Follows one ConfigMap of the default namespace, and tells each of its states; `None` while there is none. It
    /// returns only when the permission is missing, with the API server's words.
    pub async fn follow_own_config_map(
        &self,
        name: &str,
        tell: impl FnMut(Option<OwnConfigMap>) + Send,
    ) -> Error {
        let asked = Asked { name: Some(name), ..self.home("watch", "configmaps") };
        let collection = Collection {
            calls: self.calls(),
            asked,
            path: calls::path(Some(self.default_namespace()), "configmaps"),
            selector: Selector { labels: None, fields: Some(format!("metadata.name={name}")) },
        };
        let mut sink = OneConfigMap { tell, listed: None, denied: None };
        collection.follow(&mut sink).await;
        sink.denied.unwrap_or_else(|| asked.not_found())
    }

    /// All pods of a namespace as the API server has them now, workspaces or not.
    ///
    /// # Errors
    /// Those about the cluster.
    pub async fn pods_in(&self, namespace: &Namespace) -> Result<Vec<Pod>, Error> {
        let asked = Asked { verb: "list", resource: "pods", namespace: Some(namespace), name: None };
        let path = calls::path(Some(namespace), "pods");
        let mut pods = Vec::new();
        self.calls()
            .list(asked, &path, &Selector::default(), false, |page: Vec<Pod>| pods.extend(page))
            .await?;
        Ok(pods)
    }

    /// Who issues the tokens of the cluster's service accounts: the `issuer` of the API server's own OpenID
    /// configuration.
    ///
    /// # Errors
    /// Those about the cluster.
    pub async fn service_account_issuer(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
        }
        let document: Document = self.discover("/.well-known/openid-configuration").await?;
        Ok(document.issuer)
    }

    /// The public keys that those tokens are signed with, as a JSON Web Key Set (RFC 7517).
    ///
    /// # Errors
    /// Those about the cluster.
    pub async fn service_account_keys(&self) -> Result<Value, Error> {
        self.discover("/openid/v1/jwks").await
    }

    async fn discover<T: DeserializeOwned>(&self, path: &'static str) -> Result<T, Error> {
        let asked = Asked { verb: "get", resource: path, namespace: None, name: None };
        self.calls().json(asked, build(asked, Request::get(path), Vec::new())?).await
    }
}

/// Tells what becomes of one ConfigMap.
struct OneConfigMap<F> {
    tell: F,
    listed: Option<OwnConfigMap>,
    denied: Option<Error>,
}

impl<F: FnMut(Option<OwnConfigMap>) + Send> Sink for OneConfigMap<F> {
    type Object = ConfigMap;

    fn listed(&mut self, objects: Vec<ConfigMap>) {
        self.listed = objects.into_iter().find_map(OwnConfigMap::parse);
    }

    fn listing_ended(&mut self, complete: bool) {
        let listed = self.listed.take();
        if complete {
            (self.tell)(listed);
        }
    }

    fn applied(&mut self, object: ConfigMap) {
        (self.tell)(OwnConfigMap::parse(object));
    }

    fn deleted(&mut self, _object: ConfigMap) {
        (self.tell)(None);
    }

    fn failed(&mut self, error: &Error) -> ControlFlow<()> {
        match error {
            Error::Forbidden { verb, resource, namespace } => {
                let (verb, resource, namespace) = (verb.clone(), resource.clone(), namespace.clone());
                self.denied = Some(Error::Forbidden { verb, resource, namespace });
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
