//! Whether a connection is being used. Costs a request two atomic additions and no timer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The requests of one connection, counted.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request whose answer has not been sent whole. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl Activity {
    /// Counts a request.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.begun.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Whether a request is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.begun.load(Ordering::Relaxed) != self.ended.load(Ordering::Relaxed)
    }

    /// Waits until the connection has gone without a request for `idle`, or twice that at most; the head of the first one
    /// must be there within `first`.
    pub(super) async fn unused(&self, first: Duration, idle: Duration) {
        let mut seen = 0;
        let mut period = first;
        loop {
            tokio::time::sleep(period).await;
            let (ended, begun) = (self.ended.load(Ordering::Relaxed), self.begun.load(Ordering::Relaxed));
            if begun == ended && begun == seen {
                return;
            }
            seen = begun;
            period = idle;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const FIRST: Duration = Duration::from_secs(15);
    const IDLE: Duration = Duration::from_secs(75);

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_unused_soon() {
        let start = Instant::now();
        Arc::new(Activity::default()).unused(FIRST, IDLE).await;
        assert_eq!(start.elapsed(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn one_with_a_request_under_way_is_used() {
        let activity = Arc::new(Activity::default());
        let request = activity.begin();
        let watched = Arc::clone(&activity);
        let unused = tokio::spawn(async move { watched.unused(FIRST, IDLE).await });
        tokio::time::sleep(IDLE * 100).await;
        assert!(!unused.is_finished());
        drop(request);
        let start = Instant::now();
        unused.await.unwrap();
        assert!(start.elapsed() <= 2 * IDLE, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_used_meanwhile_has_time_again() {
        let activity = Arc::new(Activity::default());
        drop(activity.begin());
        let start = Instant::now();
        let watched = Arc::clone(&activity);
        let unused = tokio::spawn(async move { watched.unused(FIRST, IDLE).await });
        tokio::time::sleep(IDLE).await;
        drop(activity.begin());
        unused.await.unwrap();
        assert!(start.elapsed() >= 2 * IDLE, "{:?}", start.elapsed());
    }
}
