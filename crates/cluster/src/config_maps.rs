//! Calls about the ConfigMaps that are templates. They are read past the watch: who changes one must see it as it is now.

use k8s_openapi::api::core::v1::ConfigMap;
use nocrd_model::{Namespace, keys};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Cluster, Error, Version, error::Asked};

const RESOURCE: &str = "configmaps";

fn read(asked: Asked<'_>, value: Value) -> Result<ConfigMap, Error> {
    ConfigMap::deserialize(value).map_err(|error| asked.unreadable(error.into()))
}

fn is_template(map: &ConfigMap) -> bool {
    let labels = map.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(keys::POD_TEMPLATE)).is_some_and(|value| value == "true")
}

fn object(map: &ConfigMap, namespace: &Namespace, of: Option<&Version>) -> Value {
    let mut object = json!(map);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), json!(namespace));
        metadata.extend(of.map(Version::members).into_iter().flatten());
    }
    object
}

impl Cluster {
    /// Reads a template's ConfigMap, whole.
    ///
    /// # Errors
    /// [`Error::NotFound`], also when a ConfigMap of that name is no template; those about the cluster.
    pub async fn template_config_map(&self, namespace: &Namespace, name: &str) -> Result<ConfigMap, Error> {
        let asked = Asked { verb: "get", resource: RESOURCE, namespace: Some(namespace), name: Some(name) };
        let map = read(asked, self.calls().get(namespace, RESOURCE, name).await?)?;
        if is_template(&map) { Ok(map) } else { Err(asked.not_found()) }
    }

    /// Creates a template's ConfigMap, and gives it as the API server stored it.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Invalid`], [`Error::TooLarge`]; those about the cluster.
    pub async fn create_template_config_map(
        &self,
        namespace: &Namespace,
        map: &ConfigMap,
    ) -> Result<ConfigMap, Error> {
        let asked = Asked { verb: "create", resource: RESOURCE, namespace: Some(namespace), name: None };
        let stored = self.calls().create(namespace, RESOURCE, &object(map, namespace, None)).await?;
        self.templates_changed();
        read(asked, stored)
    }

    /// Replaces a template's ConfigMap, if it is still the one that was read, and gives it as the API server stored it.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it was changed or replaced meanwhile, [`Error::NotFound`] when it is gone, [`Error::Invalid`],
    /// [`Error::TooLarge`]; those about the cluster.
    pub async fn replace_template_config_map(
        &self,
        namespace: &Namespace,
        name: &str,
        of: &Version,
        map: &ConfigMap,
    ) -> Result<ConfigMap, Error> {
        let asked =
            Asked { verb: "update", resource: RESOURCE, namespace: Some(namespace), name: Some(name) };
        let object = object(map, namespace, Some(of));
        let stored = self.calls().replace(namespace, RESOURCE, name, &object).await?;
        self.templates_changed();
        read(asked, stored)
    }

    /// Deletes a template's ConfigMap, if it is still the one that was read; one that is not there is deleted already.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it was changed or replaced meanwhile; those about the cluster.
    pub async fn delete_template_config_map(
        &self,
        namespace: &Namespace,
        name: &str,
        of: &Version,
    ) -> Result<(), Error> {
        self.calls().delete(namespace, RESOURCE, name, Some(of), None).await?;
        self.templates_changed();
        Ok(())
    }
}
