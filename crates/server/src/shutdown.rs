//! When to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::Error;

/// The wish to stop: first in good order, then at once. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the server should finish what it is doing and end.
    pub requested: CancellationToken,
    /// Cancelled when it should not even do that.
    pub forced: CancellationToken,
}

impl Shutdown {
    /// Nobody wishes anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Follows the signals SIGINT and SIGTERM, and SIGHUP when `hangup` is set: the first is a request, the second an
    /// order. `hangup` is for programs that belong to their terminal; others may have been told to outlive it.
    ///
    /// # Errors
    /// [`Error::Signals`] when they can't be received.
    pub fn follow_signals(&self, hangup: bool) -> Result<AbortOnDropHandle<()>, Error> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let mut hung_up = hangup.then(|| signal(SignalKind::hangup())).transpose().map_err(Error::Signals)?;
        let shutdown = self.clone();
        Ok(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                    () = next(hung_up.as_mut()) => "SIGHUP",
                };
                if shutdown.requested.is_cancelled() {
                    tracing::warn!(signal = name, "stopping at once");
                    shutdown.forced.cancel();
                } else {
                    tracing::info!(signal = name, "stopping; a second signal stops at once");
                    shutdown.requested.cancel();
                }
            }
        })))
    }
}

async fn next(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
