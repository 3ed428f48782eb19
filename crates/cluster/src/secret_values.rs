//! Reading the values that a workspace was given: for its successor, and for nobody to see.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use nocrd_model::{Namespace, keys};
use secrecy::{ExposeSecret, SecretBox, zeroize::Zeroizing};
use serde::Deserialize;

use crate::{Cluster, Error, error::Asked};

/// What a Secret holds. It is shown nowhere, and wiped from memory when it is dropped.
pub struct SecretValues {
    uid: String,
    values: BTreeMap<String, SecretBox<Vec<u8>>>,
}

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretValues").field("uid", &self.uid).finish_non_exhaustive()
    }
}

impl SecretValues {
    /// The Secret's uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// What the values are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a name: for another Secret, never for a log, an error or a reply.
    #[must_use]
    pub fn expose(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name).map(|value| value.expose_secret().as_slice())
    }
}

#[derive(Deserialize)]
struct Stored {
    metadata: ObjectMeta,
    #[serde(default)]
    data: Option<BTreeMap<String, ByteString>>,
}

impl Cluster {
    /// Reads the context values of a workspace from its Secret.
    ///
    /// # Errors
    /// [`Error::NotFound`], also when a Secret of that name was not made by this product; those about the cluster.
    pub async fn context_values(&self, namespace: &Namespace, secret: &str) -> Result<SecretValues, Error> {
        let asked =
            Asked { verb: "get", resource: "secrets", namespace: Some(namespace), name: Some(secret) };
        let text = Zeroizing::new(self.calls().get_text(asked).await?);
        // Not with the cause, which would quote what it could not read.
        let unreadable = || asked.unreadable("it is no Secret".into());
        let Stored { metadata, data } = serde_json::from_str(&text).map_err(|_| unreadable())?;
        // First of all into what wipes them.
        let values = data
            .unwrap_or_default()
            .into_iter()
            .map(|(name, ByteString(value))| (name, SecretBox::new(Box::new(value))));
        let values = SecretValues { uid: metadata.uid.ok_or_else(unreadable)?, values: values.collect() };
        let labels = metadata.labels.unwrap_or_default();
        let is_ours = labels.get(keys::MANAGED_BY).is_some_and(|by| by == keys::MANAGED_BY_VALUE);
        if is_ours { Ok(values) } else { Err(asked.not_found()) }
    }
}
