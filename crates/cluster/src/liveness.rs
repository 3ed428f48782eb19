//! Whether a watch is alive, and what it covers.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::cluster::Watched;

/// The state of one watch, written by its task and read by health.
#[derive(Debug)]
pub(crate) struct Liveness {
    contact: Mutex<Contact>,
    synced: watch::Sender<bool>,
    /// What the watch is to cover. Its task starts over when that changes.
    pub(crate) scope: watch::Sender<Watched>,
}

#[derive(Debug)]
struct Contact {
    last: Instant,
    broken: Option<String>,
    /// How often it failed so far.
    failures: u64,
}

impl Liveness {
    pub(crate) fn new(scope: Watched) -> Self {
        Self {
            contact: Mutex::new(Contact { last: Instant::now(), broken: None, failures: 0 }),
            synced: watch::Sender::new(false),
            scope: watch::Sender::new(scope),
        }
    }

    /// Notes that the API server was heard of, and tells whether that ends an outage.
    pub(crate) fn heard(&self) -> bool {
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.last = Instant::now();
        contact.broken.take().is_some()
    }

    /// Notes a failure, and tells whether it is the first of an outage.
    pub(crate) fn failed(&self, error: String) -> bool {
        let mut contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.failures += 1;
        contact.broken.replace(error).is_none()
    }

    /// How often the watch failed so far.
    pub(crate) fn failures(&self) -> u64 {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner).failures
    }

    pub(crate) fn mark_synced(&self) {
        self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
    }

    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(crate) async fn wait_synced(&self) {
        // The sender is `self`, so it is not gone.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// How long ago the API server was last heard of, and why, while the watch is broken.
    pub(crate) fn outage(&self) -> Option<(Duration, String)> {
        let contact = self.contact.lock().unwrap_or_else(PoisonError::into_inner);
        contact.broken.clone().map(|error| (contact.last.elapsed(), error))
    }

    /// Sets what the watch is to cover.
    pub(crate) fn cover(&self, scope: Watched) {
        self.scope.send_if_modified(|current| {
            let changed = *current != scope;
            *current = scope;
            changed
        });
    }
}
