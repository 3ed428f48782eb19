//! Telling the proxy that the server is about to end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// The one switch between a server and its proxies: cheap to clone, flipped once, never back.
///
/// Flip it when no new work should begin (the listener is closed, load balancers know): from then on requests are
/// answered 503, and open WebSockets are told 1001 (going away) and closed. [`Drain::tunnels_closed`] then waits for
/// the last one; plain requests in flight are ended by the server's own connection handling.
#[derive(Debug, Clone)]
pub struct Drain {
    started: Arc<watch::Sender<bool>>,
    /// Closed together with the flip; asking it takes no lock.
    tunnels: TaskTracker,
}

impl Drain {
    /// A switch that is not flipped.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Arc::new(watch::Sender::new(false)), tunnels: TaskTracker::new() }
    }

    /// Flips it.
    pub fn start(&self) {
        self.tunnels.close();
        self.started.send_replace(true);
    }

    /// Tells whether it is flipped.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.tunnels.is_closed()
    }

    /// Waits until it is flipped.
    pub async fn started(&self) {
        // This can't fail: the sender lives as long as `self`.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    /// Waits until it is flipped and the last tunnel is closed, which takes at most
    /// [`Config::close_timeout`](crate::Config::close_timeout).
    pub async fn tunnels_closed(&self) {
        self.tunnels.wait().await;
    }

    /// How many tunnels are open.
    #[must_use]
    pub fn open_tunnels(&self) -> usize {
        self.tunnels.len()
    }

    pub(crate) fn tunnels(&self) -> &TaskTracker {
        &self.tunnels
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}
