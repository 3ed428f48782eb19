//! What becomes of an upload whose answer has ended. hyper sends it on for as long as there is more, and nobody hears of
//! that any more: so it gets a little time, since what the pod has said often makes the client stop, and a client that is
//! cut off before it has read that may never do so. Then it ends.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::upload::Progress;

/// How long nothing of such an upload may pass.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may go on in all.
const MOST: Duration = Duration::from_secs(30);

/// An upload that may be under way. hyper drops a body that has ended, and then this is of no consequence.
#[derive(Debug, Default)]
pub(super) struct Upload(Weak<Progress>);

impl Upload {
    /// The one that tells its progress there; there may be none.
    pub(super) fn new(progress: Option<&Arc<Progress>>) -> Self {
        Self(progress.map_or_else(Weak::new, Arc::downgrade))
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Ends it, unless it waits for a pod that does not read.
    pub(super) fn cut(&self) {
        if let Some(progress) = self.0.upgrade() {
            progress.cut();
        }
    }

    /// Waits for as long as it may go on after its answer, or somewhat longer than it does.
    pub(super) async fn linger(&self) {
        let start = Instant::now();
        while let Some(last) = self.0.upgrade().map(|progress| progress.last()) {
            let end = (last.max(start) + PATIENCE).min(start + MOST);
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// Ties an upload to the answer that comes over the same connection, of which there is no other.
#[derive(Debug)]
pub(super) struct Leash {
    upload: Upload,
    /// The connection's task.
    connection: AbortHandle,
}

impl Leash {
    pub(super) fn new(upload: Upload, connection: &AbortHandle) -> Self {
        Self { upload, connection: connection.clone() }
    }

    /// The answer has ended well. Tells whether the upload had, too; if not, its connection is not to be used again.
    pub(super) fn release(self) -> bool {
        if !self.upload.is_under_way() {
            return true;
        }
        spawn(async move {
            self.upload.linger().await;
            drop(self);
        });
        false
    }
}

impl Drop for Leash {
    /// The connection as a whole: a body that waits for a pod to read can't be told anything.
    fn drop(&mut self) {
        if self.upload.is_under_way() {
            self.connection.abort();
        }
    }
}

/// Bodies can be dropped when there is no runtime left. Then all connections have ended.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(task);
    }
}
