//! Finding the key of sessions, and keeping it up to date.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nocrd_authz::keys::KeyRing;
use nocrd_cluster::Cluster;
use rand::Rng as _;
use tokio::{sync::watch, time::Instant};

use super::{
    material::{Held, Material},
    peers::Peers,
    secret::{self, Outcome},
    until,
};

/// How often the key is looked at again, give or take a tenth.
pub(super) const PERIOD: Duration = Duration::from_secs(30);
/// Least time between two looks, however many cookies of unknown keys are shown.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a new key is only accepted before cookies are made with it: until then every replica has heard of it.
const NOTICE: Duration = Duration::from_secs(35);
/// First and longest pause between two attempts to find a key at all.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How long a replica that may read the Secret, but not create it, waits for one that may. Whoever starts first would
/// otherwise make up a key that nobody else knows.
const WAIT: Duration = Duration::from_secs(60);

/// Where the key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Secret,
    Peers,
    /// Made up here.
    Here,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "the Secret",
            Self::Peers => "another replica",
            Self::Here => "made here",
        }
    }
}

/// Looks after the key of one replica.
pub(super) struct Keeper {
    cluster: Cluster,
    ring: Arc<KeyRing>,
    peers: Option<Arc<Peers>>,
    /// What is held, for handing it to peers.
    held: watch::Sender<Option<Held>>,
    origin: Option<Origin>,
    /// Keys that were in use before the Secret's: cookies made with them go on.
    former: Vec<Material>,
    /// When cookies are made with the key that is held, if they are made with the one before it for now.
    due: Option<Instant>,
    /// Whether the key is known to this replica alone, and will be.
    lonely: Arc<AtomicBool>,
    /// When the search began.
    start: Instant,
    /// What was last complained of, so as not to repeat it every few seconds.
    complaint: String,
}

impl Keeper {
    pub(super) fn new(
        cluster: Cluster,
        ring: Arc<KeyRing>,
        peers: Option<Arc<Peers>>,
        held: watch::Sender<Option<Held>>,
        lonely: Arc<AtomicBool>,
    ) -> Self {
        Self {
            cluster,
            ring,
            peers,
            held,
            origin: None,
            former: Vec::new(),
            due: None,
            lonely,
            start: Instant::now(),
            complaint: String::new(),
        }
    }

    /// Finds a key, and then follows it for ever.
    pub(super) async fn run(mut self) {
        let mut pause = RETRY.0;
        while self.origin.is_none() {
            self.look().await;
            if self.origin.is_none() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            let period = PERIOD.saturating_sub(PAUSE).mul_f64(rand::rng().random_range(0.9..=1.1));
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = self.ring.wanted() => {}
                () = until(self.due) => self.promote(),
            }
            self.look().await;
        }
    }

    /// Looks for the key once. Whatever fails, a key that is known stays.
    async fn look(&mut self) {
        let read = secret::read(&self.cluster).await;
        let is_missing = matches!(read, Outcome::Missing);
        let outcome = match read {
            // Deleting the Secret ends all sessions. A key that was never in it is put there instead.
            Outcome::Missing => {
                let unshared = self.origin.is_some_and(|origin| origin != Origin::Secret);
                let ours = self.held.borrow().as_ref().filter(|_| unshared).map(|held| held.current.clone());
                secret::create(&self.cluster, &ours.unwrap_or_else(Material::random)).await
            }
            outcome => outcome,
        };
        match outcome {
            Outcome::Held(held) => self.adopt(held, Origin::Secret),
            Outcome::Denied(error)
                if is_missing
                    && self.origin.is_none()
                    && self.peers.is_none()
                    && self.start.elapsed() < WAIT =>
            {
                self.complain(format!(
                    "there is no Secret of the session key yet, and this replica may not make it: it waits for one that may: {error}"
                ));
            }
            Outcome::Denied(error) => {
                if self.origin.is_none() {
                    tracing::info!(%error, "the key of sessions can't be kept in a Secret");
                }
                if self.origin != Some(Origin::Secret) {
                    self.look_around().await;
                }
            }
            Outcome::Unusable(error) => {
                self.complain(format!("the Secret of the session key is unusable: {error}"))
            }
            Outcome::Failed(error) => {
                self.complain(format!("the Secret of the session key can't be read: {error}"))
            }
            // Created by another replica, and gone again: the next look will tell.
            Outcome::Missing => {}
        }
    }

    /// Where there is no Secret: asks the other replicas, or makes a key.
    async fn look_around(&mut self) {
        let own = self.held.borrow().clone();
        let Some(peers) = self.peers.clone() else {
            if own.is_none() {
                self.make_up();
            }
            return;
        };
        if let Some(own) = own {
            match peers.ask().await {
                Ok(round) => {
                    let (held, is_ours) = round.combine(own);
                    let origin = if is_ours { self.origin.unwrap_or(Origin::Here) } else { Origin::Peers };
                    self.adopt(held, origin);
                }
                Err(error) => {
                    self.complain(format!("other replicas can't be asked for the session key: {error}"))
                }
            }
            return;
        }
        for attempt in 0..=peers.retries() {
            if attempt > 0 {
                tokio::time::sleep(peers.delay()).await;
            }
            match peers.ask().await {
                Ok(round) => {
                    if let Some(held) = round.eldest() {
                        return self.adopt(held, Origin::Peers);
                    }
                    if round.is_ours_to_make() {
                        tracing::info!("no other replica has a session key: this one makes it");
                        return self.adopt(Held::new(Material::random()), Origin::Here);
                    }
                }
                Err(error) => {
                    self.complain(format!("other replicas can't be asked for the session key: {error}"))
                }
            }
        }
        self.make_up();
    }

    fn make_up(&mut self) {
        tracing::warn!(
            "the session key was made up by this replica alone: sessions end when it does, and other replicas don't \
             know them. Set PROXY_SESSION_SECRET, or let the server get and create Secrets, or set PEER_PORT"
        );
        self.adopt(Held::new(Material::random()), Origin::Here);
    }

    fn adopt(&mut self, held: Held, origin: Origin) {
        self.complaint.clear();
        self.lonely.store(origin == Origin::Here && self.peers.is_none(), Ordering::Relaxed);
        let before = self.held.borrow().clone();
        if let (Some(before), Some(Origin::Peers | Origin::Here)) = (&before, self.origin)
            && before.current != held.current
            && !self.former.contains(&before.current)
        {
            self.former.insert(0, before.current.clone());
        }
        let held = held.with(self.former.iter().cloned());
        if before.as_ref() == Some(&held) {
            self.origin = Some(origin);
            return;
        }
        // Whoever changes the Secret keeps the old key in it, so that nobody is signed out. Replicas hear of that one by one:
        // one that makes cookies with the new key at once would make them for replicas that don't know it yet.
        let both_in_secret = origin == Origin::Secret && self.origin == Some(Origin::Secret);
        let replaced = before
            .map(|before| before.current)
            .filter(|old| both_in_secret && *old != held.current && held.previous.contains(old));
        let keys = match &replaced {
            Some(old) => held.keys_led_by(old),
            None => held.keys(),
        };
        match keys {
            Ok(keys) => {
                let id = keys.current_id();
                self.ring.set(keys);
                self.held.send_replace(Some(held));
                self.origin = Some(origin);
                self.due = replaced.is_some().then(|| Instant::now() + NOTICE);
                if self.due.is_some() {
                    tracing::info!(key = %id, "another session key is known; for now cookies are made with this one");
                } else {
                    tracing::info!(key = %id, source = origin.as_str(), "the session key is known");
                }
            }
            Err(error) => self.complain(format!("a session key is unusable: {error}")),
        }
    }

    /// Makes cookies with the key that is held.
    fn promote(&mut self) {
        self.due = None;
        let keys = self.held.borrow().as_ref().map(Held::keys);
        // It was looked at when it was adopted.
        if let Some(Ok(keys)) = keys {
            tracing::info!(key = %keys.current_id(), "cookies are made with the new session key");
            self.ring.set(keys);
        }
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint != complaint {
            tracing::warn!("{complaint}");
            self.complaint = complaint;
        }
    }
}
