//! Sign-ins that were ended, known to all replicas: [`Revocations`] over a ConfigMap that each of them watches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use nocrd_authz::{
    clock::{Clock, UnixTime},
    revocation::{LocalRevocations, NotStored, Revocations},
    session::Sid,
};
use nocrd_cluster::{Cluster, Error, OwnConfigMap};
use nocrd_model::keys::{MANAGED_BY, MANAGED_BY_VALUE, REVOCATIONS_CONFIG_MAP};
use rand::Rng as _;
use tokio::sync::{Notify, watch};

/// How often a change is tried again that another replica got in the way of.
const ATTEMPTS: u32 = 10;
/// Longest pause between two of them.
const PAUSE: Duration = Duration::from_millis(100);
/// How soon what could not be stored is tried again, and a watch that is not permitted.
const RETRY: Duration = Duration::from_secs(5);
const DENIED: Duration = Duration::from_secs(60);
/// Most entries that are shared: they stay below the megabyte that a ConfigMap holds. Those that end first make room.
const MAX_ENTRIES: usize = 16_384;

/// The list that replicas share.
pub(super) struct SharedRevocations {
    cluster: Cluster,
    local: LocalRevocations,
    clock: Clock,
    /// What is not in the ConfigMap yet.
    pending: Mutex<BTreeMap<String, UnixTime>>,
    /// The ConfigMap as it was last seen. The conflict tells when it was changed since.
    seen: Mutex<Option<OwnConfigMap>>,
    more: Notify,
    told: AtomicBool,
    /// Changes with the list; true once it is known what other replicas ended, or that they can't tell.
    known: watch::Sender<bool>,
    /// One change at a time.
    writing: tokio::sync::Mutex<()>,
}

impl SharedRevocations {
    /// The list, and the work of keeping it up to date, to be run in a task.
    pub(super) fn new(
        cluster: Cluster,
        clock: Clock,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let list = Arc::new(Self {
            cluster,
            local: LocalRevocations::new(clock.clone()),
            clock,
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
            let entry = |(sid, until): (&String, &String)| {
                Some((sid.parse::<Sid>().ok()?, UnixTime::new(until.parse().ok()?)))
            };
            self.local.extend(map.data.iter().filter_map(entry));
        } else {
            // Somebody deleted it, or there is none yet: what is known here goes into the next one.
            let known = self.local.entries();
            if !known.is_empty() {
                self.lock_pending().extend(known.into_iter().map(|(sid, until)| (sid.to_string(), until)));
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
        loop {
            self.more.notified().await;
            while self.has_pending() {
                tokio::time::sleep(RETRY).await;
                if let Err(error) = self.store().await {
                    tracing::debug!(%error, "sign-outs are still not known to other replicas");
                    if is_denied(&error) {
                        // Others can't learn of it, and it counts here.
                        self.lock_pending().clear();
                    }
                }
            }
        }
    }

    fn lock_pending(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, UnixTime>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_pending(&self) -> bool {
        !self.lock_pending().is_empty()
    }

    /// Brings what is pending into the ConfigMap.
    async fn store(&self) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        let mut attempt = 0;
        loop {
            let pending = self.lock_pending().clone();
            if pending.is_empty() {
                return Ok(());
            }
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let stored = seen.as_ref().map(|map| map.data.clone()).unwrap_or_default();
            let data = merge(stored, &pending, self.clock.now());
            let version = seen.as_ref().map(|map| map.version.as_str());
            let labels = [(MANAGED_BY, MANAGED_BY_VALUE)];
            let written =
                self.cluster.write_own_config_map(REVOCATIONS_CONFIG_MAP, &labels, &data, version).await;
            match written {
                Ok(map) => {
                    self.take(Some(map));
                    let mut left = self.lock_pending();
                    left.retain(|sid, until| pending.get(sid) != Some(until));
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

/// The entries to store: those there are and the new ones, without what is over.
fn merge(
    stored: BTreeMap<String, String>,
    new: &BTreeMap<String, UnixTime>,
    now: UnixTime,
) -> BTreeMap<String, String> {
    let stored = stored.into_iter().filter_map(|(sid, until)| {
        sid.parse::<Sid>().ok()?;
        Some((sid, UnixTime::new(until.parse().ok()?)))
    });
    let mut entries: BTreeMap<String, UnixTime> = stored.collect();
    for (sid, until) in new {
        let entry = entries.entry(sid.clone()).or_insert(*until);
        *entry = (*entry).max(*until);
    }
    entries.retain(|_, until| *until > now);
    if let Some(surplus) = entries.len().checked_sub(MAX_ENTRIES).filter(|surplus| *surplus > 0) {
        let mut by_end: Vec<(UnixTime, String)> =
            entries.iter().map(|(sid, until)| (*until, sid.clone())).collect();
        by_end.sort();
        let gone: BTreeSet<String> = by_end.into_iter().take(surplus).map(|(_, sid)| sid).collect();
        entries.retain(|sid, _| !gone.contains(sid));
    }
    entries.into_iter().map(|(sid, until)| (sid, until.as_secs().to_string())).collect()
}

#[async_trait]
impl Revocations for SharedRevocations {
    fn is_revoked(&self, sid: &Sid) -> bool {
        self.local.is_revoked(sid)
    }

    async fn revoke(&self, sid: Sid, until: UnixTime) -> Result<(), NotStored> {
        self.local.extend([(sid, until)]);
        self.known.send_modify(|_| {});
        self.lock_pending().insert(sid.to_string(), until);
        match self.store().await {
            Ok(()) => {
                self.told.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if is_denied(&error) => {
                self.lock_pending().remove(&sid.to_string());
                self.tell(&error);
                Err(NotStored(error.to_string()))
            }
            Err(error) => {
                self.more.notify_one();
                Err(NotStored(error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_goes_and_the_later_end_counts() {
        let [a, b, c] = [Sid::random(), Sid::random(), Sid::random()].map(|sid| sid.to_string());
        let stored =
            [(a.clone(), "100".into()), (b.clone(), "300".into()), ("nonsense".into(), "999".into())];
        let new = BTreeMap::from([(b.clone(), UnixTime::new(200)), (c.clone(), UnixTime::new(400))]);
        let merged = merge(stored.into(), &new, UnixTime::new(100));
        assert_eq!(merged, BTreeMap::from([(b, "300".into()), (c, "400".into())]));
    }

    #[test]
    fn the_list_stays_below_what_a_config_map_holds() {
        let entry = |n: usize| (Sid::random().to_string(), UnixTime::new(4_000_000_000 + n as i64));
        let new: BTreeMap<String, UnixTime> = (0..MAX_ENTRIES + 5).map(entry).collect();
        let merged = merge(BTreeMap::new(), &new, UnixTime::new(0));
        assert_eq!(merged.len(), MAX_ENTRIES);
        assert!(!merged.values().any(|until| until == "4000000004"));
        let bytes: usize = merged.iter().map(|(sid, until)| sid.len() + until.len() + 6).sum();
        assert!(bytes < 1 << 20, "{bytes}");
    }
}
