//! A document of somebody else's that is kept for a while: loaded by one for all, used beyond its time while it can't
//! be loaded, and dropped when that takes too long.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tracing::Instrument as _;

use crate::{
    clock::{Clock, UnixTime},
    error::{Error, with_causes},
};

/// Shortest time between two attempts to load.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(10);

type Load<T> = Box<dyn Fn() -> BoxFuture<'static, Result<T, Error>> + Send + Sync>;

/// A document and how to load it.
pub(crate) struct Cached<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    what: &'static str,
    load: Load<T>,
    /// How long a document is good.
    fresh: Duration,
    /// How old it may get while it can't be loaded again.
    stale: Duration,
    clock: Clock,
    state: ArcSwap<State<T>>,
    /// Held while loading.
    gate: Arc<Mutex<()>>,
}

struct State<T> {
    document: Option<(Arc<T>, UnixTime)>,
    attempt: Option<Attempt>,
}

#[derive(Clone)]
struct Attempt {
    at: UnixTime,
    failed: Option<Error>,
}

impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("what", &self.shared.what).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Cached<T> {
    /// Nothing yet; `load` gets it when it is first wanted.
    pub(crate) fn new(
        what: &'static str,
        fresh: Duration,
        stale: Duration,
        clock: Clock,
        load: impl Fn() -> BoxFuture<'static, Result<T, Error>> + Send + Sync + 'static,
    ) -> Self {
        let state = ArcSwap::from_pointee(State { document: None, attempt: None });
        let gate = Arc::new(Mutex::new(()));
        Self { shared: Arc::new(Shared { what, load: Box::new(load), fresh, stale, clock, state, gate }) }
    }

    /// The document, loaded if need be. While one caller waits for a newer one, the others get the old one.
    pub(crate) async fn get(&self) -> Result<Arc<T>, Error> {
        let shared = &self.shared;
        if let Some(fresh) = shared.document(shared.fresh) {
            return Ok(fresh);
        }
        match shared.document(shared.stale) {
            Some(stale) if shared.gate.try_lock().is_err() => Ok(stale),
            _ => self.reload().await,
        }
    }

    /// The document as an attempt to load it that is at most [`RETRY_AFTER`] old left it. The attempt is made now if
    /// there was none; everybody who wants it meanwhile waits for the same one.
    pub(crate) async fn reload(&self) -> Result<Arc<T>, Error> {
        let shared = self.shared.clone();
        let gate = shared.gate.clone().lock_owned().await;
        let state = shared.state.load_full();
        if state.attempt.as_ref().is_none_or(|attempt| shared.age(attempt.at) >= RETRY_AFTER) {
            // A task of its own: a client that hangs up must not end an attempt that others wait for.
            let task = async move {
                let _gate = gate;
                shared.load().await;
            };
            let _ = tokio::spawn(task.in_current_span()).await;
        }
        self.shared.outcome()
    }

    /// The document at hand, unless it is too old.
    pub(crate) fn peek(&self) -> Option<Arc<T>> {
        self.shared.document(self.shared.stale)
    }

    /// Why the last attempt to load failed, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shared.state.load().attempt.as_ref()?.failed.clone()
    }
}

impl<T> Shared<T> {
    /// How long ago that was; forever, when it lies in the future: the clock was set back, and nothing is known.
    fn age(&self, then: UnixTime) -> Duration {
        let now = self.clock.now();
        if now < then { Duration::MAX } else { then.until(now) }
    }

    /// The document, if it is younger than that.
    fn document(&self, limit: Duration) -> Option<Arc<T>> {
        let state = self.state.load();
        let (document, at) = state.document.as_ref()?;
        (self.age(*at) < limit).then(|| document.clone())
    }

    fn outcome(&self) -> Result<Arc<T>, Error> {
        if let Some(document) = self.document(self.stale) {
            return Ok(document);
        }
        let failed = self.state.load().attempt.as_ref().and_then(|attempt| attempt.failed.clone());
        Err(failed.unwrap_or(Error::Fetch {
            what: self.what,
            at: None,
            source: crate::http::FetchError::Unreachable,
        }))
    }

    async fn load(&self) {
        let result = (self.load)().await;
        let at = self.clock.now();
        let before = self.state.load_full();
        let next = match result {
            Ok(document) => State {
                document: Some((Arc::new(document), at)),
                attempt: Some(Attempt { at, failed: None }),
            },
            Err(error) => {
                tracing::warn!("{}", with_causes(&error));
                State {
                    document: before.document.clone(),
                    attempt: Some(Attempt { at, failed: Some(error) }),
                }
            }
        };
        self.state.store(Arc::new(next));
    }
}

#[cfg(test)]
mod tests;
