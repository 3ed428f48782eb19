//! The Secret in which replicas share the key of sessions.

use nocrd_authz::keys::SealError;
use nocrd_cluster::{Cluster, Error, OwnSecret};
use nocrd_model::keys::{MANAGED_BY, MANAGED_BY_VALUE, SESSION_KEY_SECRET};

use super::material::{Held, Material};

/// The entry with the secret in use, and the one with the secret before it.
const CURRENT: &str = "key";
const PREVIOUS: &str = "previous";

/// What the Secret was good for.
pub(super) enum Outcome {
    Held(Held),
    /// There is none.
    Missing,
    /// The server may not read it, or not create it.
    Denied(Error),
    /// It holds no secret that can be used. Somebody must mend it: falling back would part the replicas.
    Unusable(SealError),
    /// Nobody can tell at the moment.
    Failed(Error),
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { .. } => Self::Missing,
            Error::Forbidden { .. } | Error::Refused { .. } | Error::QuotaExceeded { .. } => {
                Self::Denied(error)
            }
            error => Self::Failed(error),
        }
    }
}

pub(super) async fn read(cluster: &Cluster) -> Outcome {
    match cluster.own_secret(SESSION_KEY_SECRET).await {
        Ok(secret) => parse(&secret).map_or_else(Outcome::Unusable, Outcome::Held),
        Err(error) => error.into(),
    }
}

/// Creates it. When another replica was faster, what that one stored counts.
pub(super) async fn create(cluster: &Cluster, material: &Material) -> Outcome {
    let labels = [(MANAGED_BY, MANAGED_BY_VALUE)];
    let data = [(CURRENT, material.bytes())];
    match cluster.create_own_secret(SESSION_KEY_SECRET, &labels, &data).await {
        Ok(_) => Outcome::Held(Held::new(material.clone())),
        Err(Error::AlreadyExists { .. }) => read(cluster).await,
        // Not even a namespace to create it in: nothing that the other ways would help with.
        Err(error @ Error::NotFound { .. }) => Outcome::Failed(error),
        Err(error) => error.into(),
    }
}

fn parse(secret: &OwnSecret) -> Result<Held, SealError> {
    let current = Material::parse(secret.data.get(CURRENT).map(Vec::as_slice).unwrap_or_default())?;
    let previous = secret.data.get(PREVIOUS).filter(|bytes| !bytes.is_empty());
    let previous = previous.map(|bytes| Material::parse(bytes)).transpose()?;
    Ok(Held::new(current).with(previous))
}
