//! What goes on in a cluster by itself: pods are bound to the node, claims get volumes, objects go with their owners,
//! namespaces are emptied, quotas counted, old events forgotten.

mod claims;
mod events;
mod garbage;
mod namespaces;
mod quotas;
pub mod scheduler;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    kind::Kind,
    store::{Change, Store, Watch},
};

/// The controllers. Dropping them stops them.
pub struct Controllers {
    tasks: JoinSet<()>,
    closing: CancellationToken,
}

impl Controllers {
    /// Starts them. `service_accounts` says whether namespaces have an account `default`.
    #[must_use]
    pub fn start(store: &Store, service_accounts: bool) -> Self {
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let until_closed = |task: futures::future::BoxFuture<'static, ()>| {
            let closing = closing.clone();
            async move {
                closing.run_until_cancelled(task).await;
            }
        };
        tasks.spawn(until_closed(Box::pin(scheduler::run(store.clone()))));
        tasks.spawn(until_closed(Box::pin(claims::run(store.clone()))));
        tasks.spawn(until_closed(Box::pin(garbage::run(store.clone()))));
        tasks.spawn(until_closed(Box::pin(namespaces::run(store.clone(), service_accounts))));
        tasks.spawn(until_closed(Box::pin(quotas::run(store.clone()))));
        tasks.spawn(until_closed(Box::pin(events::run(store.clone()))));
        Self { tasks, closing }
    }

    /// Stops them and waits until they have.
    pub async fn shutdown(mut self) {
        self.closing.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What a controller is told of an object.
enum Notice {
    /// It is there, or is different from before. Said of every object at the start.
    Present(Kind, Arc<Value>),
    /// It is gone; this is its last state.
    Gone(Kind, Arc<Value>),
}

/// Everything that happens to objects of some kinds. A reader that lags behind is told of all objects again; what it
/// missed of deletions it must be able to see from those.
fn notices(store: &Store, kinds: &[Kind]) -> impl Stream<Item = Notice> + Send + use<> {
    let streams: Vec<_> = kinds.iter().map(|kind| of_kind(store.clone(), *kind).boxed()).collect();
    stream::select_all(streams)
}

fn of_kind(store: Store, kind: Kind) -> impl Stream<Item = Notice> + Send {
    struct Reader {
        pending: std::vec::IntoIter<Arc<Value>>,
        watch: Option<Watch>,
    }
    let reader = Reader { pending: Vec::new().into_iter(), watch: None };
    stream::unfold((store, reader), move |(store, mut reader)| async move {
        loop {
            if let Some(object) = reader.pending.next() {
                return Some((Notice::Present(kind, object), (store, reader)));
            }
            let Some(watch) = &mut reader.watch else {
                let (snapshot, watch) = store.list_and_watch(kind).ok()?;
                reader = Reader { pending: snapshot.items.into_iter(), watch: Some(watch) };
                continue;
            };
            match watch.next().await {
                Some(Ok(event)) => {
                    let notice = match event.change {
                        Change::Deleted => Notice::Gone(kind, event.object),
                        Change::Added | Change::Modified => Notice::Present(kind, event.object),
                    };
                    return Some((notice, (store, reader)));
                }
                Some(Err(_)) | None => reader.watch = None,
            }
        }
    })
}

/// Logs a failure that the next notice gives another chance to mend. Objects that are gone, or were changed meanwhile,
/// are none.
fn tolerate<T>(result: Result<T, crate::status::Status>, what: &str) {
    if let Err(status) = result
        && status.code != 404
        && status.code != 409
    {
        tracing::warn!(%status, what, "a controller failed");
    }
}
