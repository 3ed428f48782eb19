//! Refreshes of sign-ins that replicas share, so that each refresh token is used once: [`GrantStore`] over Secrets.
//!
//! Of two replicas that create a Secret of one name one succeeds, which is the claim. What comes of it goes into a
//! second Secret, encrypted, so that the right to change Secrets is not needed. Both are removed after a minute.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use nocrd_authz::grants::{Claim, GrantStore, KEPT};
use nocrd_cluster::{Cluster, Error, OwnSecret};
use nocrd_model::keys::{REFRESH_SECRET_PREFIX, TYPE, TYPE_REFRESH};
use tokio::{sync::mpsc, time::Instant};

use super::until;

/// How long after they were made Secrets are removed: when nobody looks at them any more.
const REMOVED_AFTER: Duration = Duration::from_secs(60);
/// How often it is looked for what replicas left that were killed.
const SWEEP: Duration = Duration::from_secs(10 * 60);
/// The entry of an outcome.
const OUTCOME: &str = "outcome";

/// A Secret to remove.
#[derive(Debug)]
struct Spent {
    name: String,
    uid: String,
    at: Instant,
}

/// Refreshes shared through Secrets of the default namespace.
pub(super) struct SharedGrants {
    cluster: Cluster,
    spent: mpsc::UnboundedSender<Spent>,
    told: AtomicBool,
}

impl SharedGrants {
    /// The store, and the work of cleaning up after it, to be run in a task.
    pub(super) fn new(cluster: Cluster) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let (spent, received) = mpsc::unbounded_channel();
        let cleaning = clean_up(cluster.clone(), received);
        (Arc::new(Self { cluster, spent, told: AtomicBool::new(false) }), cleaning)
    }

    async fn create(&self, name: &str, data: &[(&str, &[u8])]) -> Result<(), Error> {
        let secret = self.cluster.create_own_secret(name, &[(TYPE, TYPE_REFRESH)], data).await?;
        let spent = Spent { name: name.to_owned(), uid: secret.uid, at: Instant::now() + REMOVED_AFTER };
        // The other end is gone only when the server ends; then the next sweep of a replica finds it.
        let _ = self.spent.send(spent);
        Ok(())
    }

    /// Removes a Secret that is too old to count, and tells whether it is out of the way.
    async fn remove_if_over(&self, name: &str) -> Result<bool, Error> {
        match self.cluster.own_secret(name).await {
            Ok(secret) if is_over(&secret) => remove(&self.cluster, name, &secret.uid).await.map(|()| true),
            Ok(_) => Ok(false),
            Err(Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn try_claim(&self, key: &str) -> Result<Claim, Error> {
        let (claim, outcome) = (claim_name(key), outcome_name(key));
        for _ in 0..3 {
            match self.create(&claim, &[]).await {
                Ok(()) => {
                    // An outcome from before is not this claim's.
                    self.remove_if_over(&outcome).await?;
                    return Ok(Claim::Won);
                }
                Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error),
            }
            if !self.remove_if_over(&claim).await? {
                break;
            }
        }
        Ok(Claim::Lost)
    }

    fn tell(&self, error: &Error) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "refreshes of sign-ins are not shared with other replicas: two of them may use one refresh token"
            );
        }
    }
}

#[async_trait]
impl GrantStore for SharedGrants {
    async fn claim(&self, key: &str) -> Claim {
        match self.try_claim(key).await {
            Ok(claim) => {
                self.told.store(false, Ordering::Relaxed);
                claim
            }
            Err(error) => {
                self.tell(&error);
                Claim::Won
            }
        }
    }

    async fn publish(&self, key: &str, sealed: &[u8]) {
        let (name, data) = (outcome_name(key), [(OUTCOME, sealed)]);
        let mut published = self.create(&name, &data).await;
        if let Err(Error::AlreadyExists { .. }) = published
            && self.remove_if_over(&name).await.unwrap_or_default()
        {
            published = self.create(&name, &data).await;
        }
        if let Err(error) = published {
            self.tell(&error);
        }
    }

    async fn release(&self, key: &str) {
        let name = claim_name(key);
        let released = match self.cluster.own_secret(&name).await {
            Ok(secret) => remove(&self.cluster, &name, &secret.uid).await,
            Err(error) => Err(error),
        };
        if let Err(error) = released {
            tracing::debug!(%error, "a claim could not be given back; it ends by itself");
        }
    }

    async fn result(&self, key: &str) -> Option<Vec<u8>> {
        match self.cluster.own_secret(&outcome_name(key)).await {
            Ok(mut secret) if !is_over(&secret) => secret.data.remove(OUTCOME),
            Ok(_) | Err(Error::NotFound { .. }) => None,
            Err(error) => {
                self.tell(&error);
                None
            }
        }
    }
}

fn claim_name(key: &str) -> String {
    format!("{REFRESH_SECRET_PREFIX}{key}-claim")
}

fn outcome_name(key: &str) -> String {
    format!("{REFRESH_SECRET_PREFIX}{key}-outcome")
}

fn is_over(secret: &OwnSecret) -> bool {
    is_older_than(secret.created, KEPT)
}

fn is_older_than(created: Timestamp, age: Duration) -> bool {
    Duration::try_from(Timestamp::now().duration_since(created)).is_ok_and(|elapsed| elapsed >= age)
}

/// Removes what is spent when its time has come, and now and then what others left.
async fn clean_up(cluster: Cluster, mut received: mpsc::UnboundedReceiver<Spent>) {
    // All wait equally long, so the first to come is the first to go.
    let mut waiting: VecDeque<Spent> = VecDeque::new();
    let mut next_sweep = Instant::now();
    loop {
        let due = until(waiting.front().map(|spent| spent.at));
        tokio::select! {
            spent = received.recv() => match spent {
                Some(spent) => waiting.push_back(spent),
                None => return,
            },
            () = due => {
                if let Some(spent) = waiting.pop_front() {
                    tidy_up(&cluster, &spent.name, &spent.uid).await;
                }
            }
            () = tokio::time::sleep_until(next_sweep) => {
                sweep(&cluster).await;
                next_sweep = Instant::now() + SWEEP;
            }
        }
    }
}

async fn sweep(cluster: &Cluster) {
    let left = match cluster.own_secrets((TYPE, TYPE_REFRESH)).await {
        Ok(left) => left,
        Err(error) => {
            tracing::debug!(%error, "Secrets of refreshes can't be listed");
            return;
        }
    };
    for secret in left {
        if secret.name.starts_with(REFRESH_SECRET_PREFIX) && is_older_than(secret.created, REMOVED_AFTER) {
            tidy_up(cluster, &secret.name, &secret.uid).await;
        }
    }
}

async fn tidy_up(cluster: &Cluster, name: &str, uid: &str) {
    if let Err(error) = remove(cluster, name, uid).await {
        tracing::debug!(%error, name, "a Secret of a refresh was not removed");
    }
}

async fn remove(cluster: &Cluster, name: &str, uid: &str) -> Result<(), Error> {
    match cluster.delete_secret(cluster.default_namespace(), name, Some(uid)).await {
        // Another of the same name: somebody else was faster.
        Err(Error::Conflict { .. }) => Ok(()),
        other => other,
    }
}
