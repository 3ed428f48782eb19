//! Reading changes as they happen.

use std::{collections::VecDeque, sync::Arc};

use futures::Stream;
use serde_json::Value;
use tokio::sync::watch::{Receiver, Sender};

use super::Store;
use crate::{kind::Kind, status::Status};

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is different.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub change: Change,
    /// The object after the change; for a deletion its last state, with the deletion's own revision.
    pub object: Arc<Value>,
    /// The object before the change.
    pub previous: Option<Arc<Value>>,
    /// The change's revision.
    pub revision: u64,
}

/// The changes to one kind, in order.
pub struct Watch {
    store: Store,
    kind: Kind,
    /// Everything up to this revision was handed out or is in `pending`.
    cursor: u64,
    pending: VecDeque<Event>,
    signal: Receiver<u64>,
    ended: bool,
}

impl Watch {
    pub(super) fn start(store: Store, kind: Kind, from: u64) -> Result<Self, Status> {
        let signal = store.inner.signals.get(kind as usize).map(Sender::subscribe);
        let signal = signal.ok_or_else(|| Status::internal("no table of that kind"))?;
        let mut watch = Self { store, kind, cursor: from, pending: VecDeque::new(), signal, ended: false };
        watch.fetch()?;
        Ok(watch)
    }

    /// Takes over what happened since the last look.
    fn fetch(&mut self) -> Result<(), Status> {
        let state = self.store.lock();
        let events =
            state.table(self.kind).map_or_else(|| Ok(Vec::new()), |table| table.since(self.cursor))?;
        drop(state);
        if let Some(last) = events.last() {
            self.cursor = last.revision;
        }
        self.pending.extend(events);
        Ok(())
    }

    /// The next change; waits for one. Lagging behind the history is answered with 410 once, then `None`. Dropping
    /// the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Event, Status>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            // Seen before looked at: a change in between wakes us again instead of being missed.
            self.signal.borrow_and_update();
            if let Err(expired) = self.fetch() {
                self.ended = true;
                return Some(Err(expired));
            }
            if self.pending.is_empty() && self.signal.changed().await.is_err() {
                self.ended = true;
            }
        }
    }

    /// The store's revision, if every change up to it has been handed out: what a bookmark says.
    #[must_use]
    pub fn caught_up_to(&self) -> Option<u64> {
        let state = self.store.lock();
        let behind = state.table(self.kind).is_some_and(|table| table.last_change() > self.cursor);
        (self.pending.is_empty() && !behind).then_some(state.revision)
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, Status>> + Send {
        futures::stream::unfold(
            self,
            |mut watch| async move { watch.next().await.map(|event| (event, watch)) },
        )
    }
}
