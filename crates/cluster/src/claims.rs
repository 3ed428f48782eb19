//! Calls about PersistentVolumeClaims.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use nocrd_model::Namespace;
use serde::Deserialize;

use crate::{Cluster, Error, error::Asked};

/// How a volume can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessMode {
    /// For reading and writing by the pods of one node.
    ReadWriteOnce,
    /// For reading only, by many nodes.
    ReadOnlyMany,
    /// For reading and writing, by many nodes.
    ReadWriteMany,
    /// For reading and writing by one pod.
    ReadWriteOncePod,
    /// Some way that this product does not know.
    Other(String),
}

impl AccessMode {
    fn parse(text: String) -> Self {
        match text.as_str() {
            "ReadWriteOnce" => Self::ReadWriteOnce,
            "ReadOnlyMany" => Self::ReadOnlyMany,
            "ReadWriteMany" => Self::ReadWriteMany,
            "ReadWriteOncePod" => Self::ReadWriteOncePod,
            _ => Self::Other(text),
        }
    }
}

/// What a claim says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// How its volume can be mounted; what is asked for, as long as there is no volume.
    pub modes: Vec<AccessMode>,
}

impl Claim {
    /// Whether two pods can have the volume at once, wherever they run.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.modes.iter().any(|mode| matches!(mode, AccessMode::ReadWriteMany | AccessMode::ReadOnlyMany))
    }
}

impl Cluster {
    /// Reads a PersistentVolumeClaim.
    ///
    /// # Errors
    /// [`Error::NotFound`]; those about the cluster.
    pub async fn claim(&self, namespace: &Namespace, name: &str) -> Result<Claim, Error> {
        const RESOURCE: &str = "persistentvolumeclaims";
        let asked = Asked { verb: "get", resource: RESOURCE, namespace: Some(namespace), name: Some(name) };
        let claim = self.calls().get(namespace, RESOURCE, name).await?;
        let claim =
            PersistentVolumeClaim::deserialize(claim).map_err(|error| asked.unreadable(error.into()))?;
        let bound = claim.status.and_then(|status| status.access_modes).filter(|modes| !modes.is_empty());
        let asked_for = || claim.spec.and_then(|spec| spec.access_modes).unwrap_or_default();
        let modes = bound.unwrap_or_else(asked_for);
        Ok(Claim { modes: modes.into_iter().map(AccessMode::parse).collect() })
    }
}
