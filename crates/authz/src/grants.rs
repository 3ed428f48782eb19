//! One refresh grant per refresh token, however many requests ask for it, on however many replicas.
//!
//! Identity providers rotate refresh tokens: each may be used once, and using it twice ends the sign-in. A page that
//! loads twenty resources with one cookie must therefore cause one grant. Within a process the requests wait for the
//! same task, which a client that hangs up does not stop; between replicas a [`GrantStore`] decides who asks, and
//! passes on the sealed outcome. It is kept for half a minute, for requests that were under way with the old cookie.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::{
    claims::Identity,
    clock::UnixTime,
    keys::{KeyRing, Purpose},
};

/// How long an outcome is kept for latecomers, and a claim for a replica that does not come back.
pub const KEPT: Duration = Duration::from_secs(30);
/// How long to wait for another replica's outcome: somewhat longer than a grant may take.
const PATIENCE: Duration = Duration::from_secs(12);
/// First and longest pause between two looks at another replica's claim.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));

/// Who makes a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Whoever asked: nobody had claimed it.
    Won,
    /// Somebody else; the outcome will be published.
    Lost,
}

/// What replicas share about grants. `key` is 64 hexadecimal digits; what is published is encrypted already.
#[async_trait]
pub trait GrantStore: Send + Sync + 'static {
    /// Claims a grant, if nobody has within [`KEPT`]. A store that can't be reached answers [`Claim::Won`]: a grant
    /// that is not shared is better than none.
    async fn claim(&self, key: &str) -> Claim;

    /// Publishes the outcome of a claimed grant, for [`KEPT`].
    async fn publish(&self, key: &str, sealed: &[u8]);

    /// Gives a claim back: the grant came to nothing, and somebody may try again.
    async fn release(&self, key: &str);

    /// The published outcome.
    async fn result(&self, key: &str) -> Option<Vec<u8>>;
}

/// A store for one process.
#[derive(Debug, Default)]
pub struct LocalGrants {
    claims: Mutex<HashMap<String, Claimed>>,
}

#[derive(Debug)]
struct Claimed {
    since: Instant,
    outcome: Option<Vec<u8>>,
}

impl LocalGrants {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Claimed>) -> T) -> T {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|_, claimed| claimed.since.elapsed() < KEPT);
        act(&mut claims)
    }
}

#[async_trait]
impl GrantStore for LocalGrants {
    async fn claim(&self, key: &str) -> Claim {
        self.with(|claims| {
            if claims.contains_key(key) {
                return Claim::Lost;
            }
            claims.insert(key.to_owned(), Claimed { since: Instant::now(), outcome: None });
            Claim::Won
        })
    }

    async fn publish(&self, key: &str, sealed: &[u8]) {
        let published = Claimed { since: Instant::now(), outcome: Some(sealed.to_vec()) };
        self.with(|claims| claims.insert(key.to_owned(), published));
    }

    async fn release(&self, key: &str) {
        self.with(|claims| claims.remove(key));
    }

    async fn result(&self, key: &str) -> Option<Vec<u8>> {
        self.with(|claims| claims.get(key)?.outcome.clone())
    }
}

/// What a refresh token was exchanged for.
#[derive(Clone)]
pub(crate) struct Renewed {
    /// The new access token.
    pub(crate) token: SecretString,
    /// Who it says, and until when; `None` when that could not be verified for the moment. The refresh token counts
    /// all the same: the old one is used up.
    pub(crate) verified: Option<(Identity, UnixTime)>,
    /// The refresh token to use next.
    pub(crate) refresh_token: SecretString,
    /// When that ends, if the identity provider tells.
    pub(crate) refresh_expires: Option<UnixTime>,
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewed").field("verified", &self.verified).finish_non_exhaustive()
    }
}

/// How a grant ended that is not worth repeating.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Renewed(Renewed),
    /// The identity provider, or the check of what it gave, said no.
    Refused(String),
}

/// A grant that may be tried again: the identity provider did not answer, or not sensibly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unavailable(pub(crate) String);

type Answer = Result<Outcome, Unavailable>;

/// An outcome as replicas pass it on.
#[derive(Serialize, Deserialize)]
enum Wire {
    Refused(String),
    Renewed {
        token: String,
        verified: Option<(Identity, UnixTime)>,
        refresh_token: String,
        refresh_expires: Option<UnixTime>,
    },
}

impl Outcome {
    fn to_json(&self) -> Option<Vec<u8>> {
        let wire = match self {
            Self::Refused(why) => Wire::Refused(why.clone()),
            Self::Renewed(renewed) => Wire::Renewed {
                token: renewed.token.expose_secret().into(),
                verified: renewed.verified.clone(),
                refresh_token: renewed.refresh_token.expose_secret().into(),
                refresh_expires: renewed.refresh_expires,
            },
        };
        serde_json::to_vec(&wire).ok()
    }

    fn from_json(json: &[u8]) -> Option<Self> {
        Some(match serde_json::from_slice(json).ok()? {
            Wire::Refused(why) => Self::Refused(why),
            Wire::Renewed { token, verified, refresh_token, refresh_expires } => Self::Renewed(Renewed {
                token: token.into(),
                verified,
                refresh_token: refresh_token.into(),
                refresh_expires,
            }),
        })
    }
}

type Flight = Shared<BoxFuture<'static, Answer>>;

/// Makes grants, each once.
pub(crate) struct Grants {
    store: Arc<dyn GrantStore>,
    keys: Arc<KeyRing>,
    flights: Mutex<HashMap<String, Flight>>,
}

impl Grants {
    pub(crate) fn new(store: Arc<dyn GrantStore>, keys: Arc<KeyRing>) -> Arc<Self> {
        Arc::new(Self { store, keys, flights: Mutex::default() })
    }

    /// The outcome of `ask` for this refresh token, which is called only if nobody has asked within [`KEPT`].
    pub(crate) async fn once<F>(self: &Arc<Self>, token: &SecretString, ask: impl FnOnce() -> F) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let key = key_of(token);
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(&key) {
                Some(flight) => flight.clone(),
                None => {
                    let flight = self.clone().start(key.clone(), ask());
                    flights.insert(key, flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// Begins a grant in a task of its own, which runs to its end also when all who wait for it are gone.
    fn start(self: Arc<Self>, key: String, ask: impl Future<Output = Answer> + Send + 'static) -> Flight {
        let task = tokio::spawn(async move {
            let answer = self.shared(&key, ask).await;
            if answer.is_err() {
                self.forget(&key);
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(KEPT).await;
                    self.forget(&key);
                });
            }
            answer
        });
        let answer = async move { task.await.unwrap_or_else(|error| Err(Unavailable(error.to_string()))) };
        answer.boxed().shared()
    }

    fn forget(&self, key: &str) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Makes the grant, or waits for the replica that does.
    async fn shared(&self, key: &str, ask: impl Future<Output = Answer>) -> Answer {
        let begun = Instant::now();
        let mut pause = PAUSE.0;
        while self.store.claim(key).await == Claim::Lost {
            if let Some(outcome) = self.published(key).await {
                return Ok(outcome);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Unavailable(
                    "another replica has claimed the refresh and does not answer".into(),
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
        let answer = ask.await;
        match &answer {
            Ok(outcome) => self.publish(key, outcome).await,
            Err(_) => self.store.release(key).await,
        }
        answer
    }

    async fn publish(&self, key: &str, outcome: &Outcome) {
        let Some(json) = outcome.to_json() else { return };
        match self.keys.seal(Purpose::Grant, key.as_bytes(), &json) {
            Ok(sealed) => self.store.publish(key, sealed.as_bytes()).await,
            Err(error) => tracing::warn!(%error, "a refresh can't be shared with other replicas"),
        }
    }

    async fn published(&self, key: &str) -> Option<Outcome> {
        let sealed = self.store.result(key).await?;
        let sealed = std::str::from_utf8(&sealed).ok()?;
        match self.keys.open(Purpose::Grant, key.as_bytes(), sealed) {
            Ok(json) => Outcome::from_json(&json),
            Err(error) => {
                tracing::warn!(%error, "another replica's refresh can't be read");
                None
            }
        }
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").finish_non_exhaustive()
    }
}

/// The name of a grant: a digest, since refresh tokens are long random texts.
fn key_of(token: &SecretString) -> String {
    let digest = Sha256::new()
        .chain_update(b"no-crd refresh grant\0")
        .chain_update(token.expose_secret().as_bytes())
        .finalize();
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        use fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests;
