//! Sign-ins that were ended, known to all replicas: [`Revocations`] over a ConfigMap that each of them watches.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nocrd_authz::{
    clock::Clock,
    revocation::{Ending, LocalRevocations, NotStored, RevocationList, Revocations, SignInId},
};
use nocrd_cluster::{Cluster, Error, OwnConfigMap};
use nocrd_model::keys::{MANAGED_BY, MANAGED_BY_VALUE, REVOCATIONS_CONFIG_MAP};
use rand::Rng as _;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// How often a change is tried again that another replica got in the way of.
const ATTEMPTS: u32 = 10;
/// Longest pause between two of them.
const PAUSE: Duration = Duration::from_millis(100);
/// How soon what could not be stored is tried again, and what is not permitted.
const RETRY: Duration = Duration::from_secs(5);
const DENIED: Duration = Duration::from_secs(60);
/// Shortest time between two changes. Each writes the whole list, which the API server keeps for a while; who signs out
/// meanwhile waits, and is written with all others who do.
const SPACING: Duration = Duration::from_secs(1);

/// The list that replicas share.
pub(super) struct SharedRevocations {
    cluster: Cluster,
    local: LocalRevocations,
    clock: Clock,
    /// How long a sign-in lasts at most.
    longest: Duration,
    /// What is not in the ConfigMap yet.
    pending: Mutex<RevocationList>,
    /// The ConfigMap as it was last seen. The conflict tells when it was changed since.
    seen: Mutex<Option<OwnConfigMap>>,
    more: Notify,
    told: AtomicBool,
    /// Changes with the list; true once it is known what other replicas ended, or that they can't tell.
    known: watch::Sender<bool>,
    /// One change at a time; when the last one was.
    writing: tokio::sync::Mutex<Option<Instant>>,
}

impl SharedRevocations {
    /// The list, and the work of keeping it up to date, to be run in a task.
    pub(super) fn new(
        cluster: Cluster,
        clock: Clock,
        longest: Duration,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let list = Arc::new(Self {
            cluster,
            local: LocalRevocations::new(clock.clone(), longest),
            clock,
            longest,
            pending: Mutex::default(),
            seen: Mutex::default(),
            more: Notify::new(),
            told: AtomicBool::new(false),
            known: watch::Sender::new(false),
            writing: tokio::sync::Mutex::default(),
        });
        let working = Arc::clone(&list);
        let work = async move { tokio::join!(working.follow(), working.store_later()) };
        (list, async move {
            work.await;
        })
    }

    /// Takes over what other replicas ended.
    async fn follow(&self) {
        loop {
            let error =
                self.cluster.follow_own_config_map(REVOCATIONS_CONFIG_MAP, |map| self.take(map)).await;
            self.tell(&error);
            // Waiting for what nobody will tell would keep everybody out.
            self.known.send_replace(true);
            tokio::time::sleep(DENIED).await;
        }
    }

    fn take(&self, map: Option<OwnConfigMap>) {
        if let Some(map) = &map {
            self.local.extend(&RevocationList::from_texts(&map.data));
        } else {
            // Somebody deleted it, or there is none yet: what is known here goes into the next one.
            let known = self.local.endings();
            if !known.is_empty() {
                self.lock_pending().merge(&known);
                self.more.notify_one();
            }
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = map;
        self.known.send_replace(true);
    }

    /// Tells of each change of the list, and whether it is known as a whole.
    pub(super) fn changes(&self) -> watch::Receiver<bool> {
        self.known.subscribe()
    }

    /// Tries again what could not be stored at once.
    async fn store_later(&self) {
        let mut pause = RETRY;
        loop {
            self.more.notified().await;
            while !self.lock_pending().is_empty() {
                tokio::time::sleep(pause).await;
                if let Err(error) = self.store().await {
                    tracing::debug!(%error, "sign-outs are still not known to other replicas");
                    // Who is not permitted now may be later.
                    pause = if is_denied(&error) { DENIED } else { RETRY };
                }
            }
            pause = RETRY;
        }
    }

    fn lock_pending(&self) -> MutexGuard<'_, RevocationList> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what is pending into the ConfigMap.
    async fn store(&self) -> Result<(), Error> {
        let mut last = self.writing.lock().await;
        // While this one waited for its turn another may have written what it came for.
        if self.lock_pending().is_empty() {
            return Ok(());
        }
        if let Some(last) = *last {
            tokio::time::sleep_until(last + SPACING).await;
        }
        let stored = self.write().await;
        *last = Some(Instant::now());
        stored
    }

    async fn write(&self) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            let pending = self.lock_pending().clone();
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut list = seen.as_ref().map(|map| RevocationList::from_texts(&map.data)).unwrap_or_default();
            list.merge(&pending);
            list.tidy(self.clock.now(), self.longest);
            let version = seen.as_ref().map(|map| map.version.as_str());
            let labels = [(MANAGED_BY, MANAGED_BY_VALUE)];
            let data = list.to_texts();
            let written =
                self.cluster.write_own_config_map(REVOCATIONS_CONFIG_MAP, &labels, &data, version).await;
            match written {
                Ok(map) => {
                    self.take(Some(map));
                    self.lock_pending().remove(&pending);
                    return Ok(());
                }
                Err(Error::Conflict { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. })
                    if attempt < ATTEMPTS =>
                {
                    attempt += 1;
                    let pause = PAUSE.mul_f64(rand::rng().random_range(0.1..=1.0));
                    tokio::time::sleep(pause).await;
                    match self.cluster.own_config_map(REVOCATIONS_CONFIG_MAP).await {
                        Ok(map) => self.take(Some(map)),
                        Err(Error::NotFound { .. }) => self.take(None),
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn tell(&self, error: &Error) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "sign-outs count on this replica only: others are not told, or don't tell it");
        }
    }
}

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Forbidden { .. } | Error::Refused { .. } | Error::QuotaExceeded { .. })
}

#[async_trait]
impl Revocations for SharedRevocations {
    fn is_revoked(&self, sign_in: SignInId<'_>) -> bool {
        self.local.is_revoked(sign_in)
    }

    async fn revoke(&self, endings: &[Ending]) -> Result<(), NotStored> {
        self.local.revoke(endings).await?;
        self.known.send_modify(|_| {});
        {
            let mut pending = self.lock_pending();
            endings.iter().for_each(|ending| pending.insert(ending));
            pending.tidy(self.clock.now(), self.longest);
        }
        match self.store().await {
            Ok(()) => {
                self.told.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                if is_denied(&error) {
                    self.tell(&error);
                }
                self.more.notify_one();
                Err(NotStored(error.to_string()))
            }
        }
    }
}
