//! Following a collection: list, then watch from the version listed, for ever.
//!
//! `kube::runtime::watcher` does the same, but keeps two things to itself that we need: that a watch is connected
//! again after an outage, and the bookmarks that show a quiet one to be alive. Health is made of both. It also asks
//! for ever for a version the server answers with a plain 410.

use std::{fmt::Debug, ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::{Metadata, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::{Request, WatchEvent, params::WatchParams};
use rand::Rng;
use serde::de::DeserializeOwned;
use tokio::{sync::Notify, time::Instant};
use tracing::{debug, warn};

use crate::{
    Error,
    calls::Calls,
    error::{Asked, is_expired},
    list::Selector,
};

/// The API server ends a watch after about this long; it is then opened again where it ended. It is also what it takes
/// to notice a connection that died without a word.
const WATCH_SECONDS: u32 = 120;
/// With nothing heard for this much longer, the connection is dead.
const WATCH_SLACK: Duration = Duration::from_secs(5);
/// A watch that ends sooner, without having delivered anything, has failed.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// A collection that can be listed but not watched is listed so often.
const POLL: Duration = Duration::from_secs(10);
/// For how long that is done before the watch is tried again.
const POLLED: Duration = Duration::from_secs(300);

/// What a collection is kept in.
pub(crate) trait Sink: Send {
    /// The objects.
    type Object: DeserializeOwned + Metadata<Ty = ObjectMeta> + Clone + Debug + Send + 'static;

    /// Some of the objects of a listing that is going on.
    fn listed(&mut self, objects: Vec<Self::Object>);
    /// The listing is complete: what was not in it does not exist. With `false` it broke off and counts for nothing.
    fn listing_ended(&mut self, complete: bool);
    /// An object appeared or changed.
    fn applied(&mut self, object: Self::Object);
    /// An object is gone; this is its last state.
    fn deleted(&mut self, object: Self::Object);
    /// The API server was heard of.
    fn heard(&mut self) {}
    /// Whether it will do, where watching is not permitted, to list now and then, and who says when that is to be done at
    /// once.
    fn polled(&self) -> Option<Arc<Notify>> {
        None
    }
    /// The collection can't be followed at the moment. `Break` gives up.
    fn failed(&mut self, error: &Error) -> ControlFlow<()>;
}

/// A collection to follow.
pub(crate) struct Collection<'a> {
    pub(crate) calls: &'a Calls,
    pub(crate) asked: Asked<'a>,
    pub(crate) path: String,
    pub(crate) selector: Selector,
}

enum Broken {
    /// The version is no longer known: list again.
    Expired(Error),
    /// Anything else: try again from the same version.
    Failed(Error),
}

impl Collection<'_> {
    /// Follows the collection until `sink` gives up.
    pub(crate) async fn follow(&self, sink: &mut impl Sink) {
        let mut backoff = Backoff::default();
        let mut version: Option<String> = None;
        let mut polled_until = Instant::now();
        loop {
            if version.is_some()
                && polled_until > Instant::now()
                && let Some(now) = sink.polled()
            {
                version = None;
                tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    () = now.notified() => {}
                }
            }
            let step = match version.as_mut() {
                None => self.list(sink).await.map(|listed| version = Some(listed)),
                Some(version) => self.watch(version, sink, &mut backoff).await,
            };
            let error = match step {
                Ok(()) => {
                    if polled_until > Instant::now() {
                        backoff.reset();
                    }
                    continue;
                }
                Err(Broken::Failed(error @ Error::Forbidden { .. }))
                    if version.is_some() && sink.polled().is_some() =>
                {
                    debug!(resource = self.asked.resource, %error, "listed now and then instead");
                    polled_until = Instant::now() + POLLED;
                    continue;
                }
                Err(Broken::Failed(error)) => error,
                Err(Broken::Expired(error)) => {
                    version = None;
                    error
                }
            };
            debug!(resource = self.asked.resource, %error, "watch broken");
            if sink.failed(&error).is_break() {
                return;
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn list<S: Sink>(&self, sink: &mut S) -> Result<String, Broken> {
        let pages = |objects: Vec<S::Object>| sink.listed(objects);
        let listed = self.calls.list(self.asked, &self.path, &self.selector, false, pages).await;
        sink.listing_ended(listed.is_ok());
        let version = listed.map_err(|error| match error {
            // The continue token of the next page has expired: begin again.
            Error::Api { code: 410, .. } => Broken::Expired(error),
            error => Broken::Failed(error),
        })?;
        sink.heard();
        Ok(version)
    }

    /// Watches from `version` on, and moves it along, until the watch ends or breaks.
    async fn watch<S: Sink>(
        &self,
        version: &mut String,
        sink: &mut S,
        backoff: &mut Backoff,
    ) -> Result<(), Broken> {
        let params = WatchParams {
            label_selector: self.selector.labels.clone(),
            field_selector: self.selector.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        };
        let request = Request::new(&self.path)
            .watch(&params, version)
            .map_err(|error| self.broken(kube::Error::BuildRequest(error)))?;
        let opening = self.calls.client.request_events::<S::Object>(request);
        let Ok(opened) = tokio::time::timeout(self.calls.timeout, opening).await else {
            return Err(Broken::Failed(Error::Timeout {
                server: self.calls.server.clone(),
                what: self.asked.to_string(),
                after: self.calls.timeout,
            }));
        };
        let mut events = pin!(opened.map_err(|error| self.broken(error))?);
        let since = Instant::now();
        let patience = Duration::from_secs(WATCH_SECONDS.into()) + WATCH_SLACK;
        let mut delivered = false;
        sink.heard();
        loop {
            let event = match tokio::time::timeout(patience, events.next()).await {
                Ok(Some(event)) => event,
                Ok(None) if delivered || since.elapsed() >= SHORTEST_WATCH => {
                    backoff.reset();
                    return Ok(());
                }
                Ok(None) => return Err(self.dead("the watch ended at once")),
                Err(_) => return Err(self.dead("nothing was heard of the watch for too long")),
            };
            match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    advance(version, object.metadata());
                    sink.applied(object);
                }
                Ok(WatchEvent::Deleted(object)) => {
                    advance(version, object.metadata());
                    sink.deleted(object);
                }
                Ok(WatchEvent::Bookmark(bookmark)) => *version = bookmark.metadata.resource_version,
                Ok(WatchEvent::Error(status)) => return Err(self.broken(kube::Error::Api(status))),
                Err(error) if is_unreadable(&error) => {
                    // Not what is wrong with it: that would quote it.
                    warn!(resource = self.asked.resource, "skipping a watch event that can't be read");
                }
                Err(error) => return Err(self.broken(error)),
            }
            delivered = true;
            backoff.reset();
            sink.heard();
        }
    }

    fn broken(&self, error: kube::Error) -> Broken {
        let expired = matches!(&error, kube::Error::Api(status) if is_expired(status));
        let error = self.asked.failed(error, self.calls.server.as_deref());
        if expired { Broken::Expired(error) } else { Broken::Failed(error) }
    }

    fn dead(&self, cause: &str) -> Broken {
        Broken::Failed(Error::Unreachable { server: self.calls.server.clone(), cause: cause.to_owned() })
    }
}

/// Whether one object does not fit the schema, which must not stop the others. The client library tries such a line
/// as a Status too, and since all of a Status is optional, what it reports then is an empty one.
fn is_unreadable(error: &kube::Error) -> bool {
    match error {
        kube::Error::SerdeError(_) => true,
        kube::Error::Api(status) => status.code == 0 && status.reason.is_empty(),
        _ => false,
    }
}

fn advance(version: &mut String, meta: &ObjectMeta) {
    if let Some(newer) = meta.resource_version.as_ref().filter(|newer| !newer.is_empty()) {
        version.clone_from(newer);
    }
}

/// Pauses between attempts: doubling from a tenth of a second to ten seconds, each shortened by up to half at random,
/// so that replicas don't all come back at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    pub(crate) fn next(&mut self) -> Duration {
        let full = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(pauses.iter().all(|pause| *pause <= Backoff::LONGEST), "{pauses:?}");
        assert!(pauses.iter().skip(10).all(|pause| *pause >= Backoff::LONGEST / 2), "{pauses:?}");
        assert!(pauses.first().unwrap() <= &Backoff::FIRST);
        backoff.reset();
        assert!(backoff.next() <= Backoff::FIRST);
    }
}
