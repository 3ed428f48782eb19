//! Questions and answers in Secrets of the default namespace, so that a page works at whichever replica its user meets, and so
//! does the call that waits for it. Question and answer are two Secrets, sealed with the key of sessions: the right to
//! change Secrets is not needed, and of two answers one is the first.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use nocrd_authz::keys::{KeyRing, Purpose};
use nocrd_cluster::{Cluster, Error};
use nocrd_model::keys::{PENDING_CONTEXT_PREFIX, TYPE, TYPE_PENDING_CONTEXT};

use super::store::{NotKept, Store};

/// The entry of such a Secret.
const ENTRY: &str = "sealed";
const QUESTION: &str = "question";
const ANSWER: &str = "answer";

/// In the cluster.
pub(super) struct Shared {
    cluster: Cluster,
    keys: Arc<KeyRing>,
    lifetime: Duration,
    told: AtomicBool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn name(id: &str, part: &str) -> String {
    format!("{PENDING_CONTEXT_PREFIX}{id}-{part}")
}

impl Shared {
    pub(super) fn new(cluster: Cluster, keys: Arc<KeyRing>, lifetime: Duration) -> Self {
        Self { cluster, keys, lifetime, told: AtomicBool::new(false) }
    }

    #[cfg(test)]
    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Tells, once, that pages are not shared.
    pub(super) fn tell(&self, error: &NotKept) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                error = %nocrd_authz::error::with_causes(error),
                "pages for context are not shared with other replicas: each works only at the one that has opened it"
            );
        }
    }

    async fn create(&self, name: &str, plain: &[u8]) -> Result<bool, NotKept> {
        // Bound to the name, so that nobody who may write Secrets makes one page's answer another's.
        let sealed = self.keys.seal(Purpose::Context, name.as_bytes(), plain).map_err(NotKept::Seal)?;
        let labels = [(TYPE, TYPE_PENDING_CONTEXT)];
        match self.cluster.create_own_secret(name, &labels, &[(ENTRY, sealed.as_bytes())]).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(NotKept::Cluster(error)),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, NotKept> {
        let secret = match self.cluster.own_secret(name).await {
            Ok(secret) => secret,
            // Without the right to read there is nothing: `keep_question` has found that out, and used another store.
            Err(Error::NotFound { .. } | Error::Forbidden { .. }) => return Ok(None),
            Err(error) => return Err(NotKept::Cluster(error)),
        };
        let sealed = secret.data.get(ENTRY).and_then(|sealed| std::str::from_utf8(sealed).ok());
        Ok(sealed.and_then(|sealed| self.keys.open(Purpose::Context, name.as_bytes(), sealed).ok()))
    }

    async fn delete(&self, name: &str, uid: Option<&str>) {
        if let Err(error) = self.cluster.delete_secret(self.cluster.default_namespace(), name, uid).await {
            tracing::debug!(%error, name, "the Secret of a page was not removed");
        }
    }
}

#[async_trait]
impl Store for Shared {
    async fn keep_question(&self, id: &str, question: &[u8]) -> Result<(), NotKept> {
        let name = name(id, QUESTION);
        self.create(&name, question).await?;
        // It is worth nothing when it can't be read again, for lack of a right or because it is too long.
        if self.read(&name).await?.as_deref() == Some(question) {
            return Ok(());
        }
        self.delete(&name, None).await;
        Err(NotKept::Unreadable)
    }

    async fn question(&self, id: &str) -> Result<Option<Vec<u8>>, NotKept> {
        self.read(&name(id, QUESTION)).await
    }

    async fn keep_answer(&self, id: &str, answer: &[u8]) -> Result<bool, NotKept> {
        self.create(&name(id, ANSWER), answer).await
    }

    async fn answer(&self, id: &str) -> Result<Option<Vec<u8>>, NotKept> {
        self.read(&name(id, ANSWER)).await
    }

    async fn remove(&self, id: &str) {
        // In this order: while there is no question, nobody answers.
        self.delete(&name(id, QUESTION), None).await;
        self.delete(&name(id, ANSWER), None).await;
    }

    async fn sweep(&self) {
        let left = match self.cluster.own_secrets((TYPE, TYPE_PENDING_CONTEXT)).await {
            Ok(left) => left,
            Err(error) => {
                tracing::debug!(%error, "Secrets of pages can't be listed");
                return;
            }
        };
        for secret in left {
            let age = Duration::try_from(Timestamp::now().duration_since(secret.created));
            if secret.name.starts_with(PENDING_CONTEXT_PREFIX) && age.is_ok_and(|age| age >= self.lifetime) {
                self.delete(&secret.name, Some(&secret.uid)).await;
            }
        }
    }
}
