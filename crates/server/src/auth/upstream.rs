//! Whether the identity provider gives what is needed of it. A wrong address shows at the start, and not when the first user
//! comes; that nobody answers there is no reason not to start, nor to be not ready: sessions go on, and it may come back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nocrd_authz::{discovery::Discovery, error::Error, verify::Verifier};
use serde::Serialize;

/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_secs(60);

/// What is asked of the identity provider whoever comes.
pub(crate) struct Upstream {
    discovery: Option<Arc<Discovery>>,
    verifier: Arc<Verifier>,
    asked: AtomicBool,
}

/// What is known of it, for the probes.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// Whether it gave what it was last asked for; `null` before it was asked.
    reachable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl State {
    /// The same without what went wrong.
    pub(crate) fn outline(self) -> Self {
        Self { last_error: None, ..self }
    }
}

impl Upstream {
    pub(super) fn new(discovery: Option<Arc<Discovery>>, verifier: Arc<Verifier>) -> Arc<Self> {
        Arc::new(Self { discovery, verifier, asked: AtomicBool::new(false) })
    }

    /// Asks until there was an answer once. What goes wrong is logged where it is asked.
    pub(crate) async fn try_out(self: Arc<Self>) {
        let mut failed = false;
        while let Err(error) = self.ask().await {
            tracing::debug!(%error, "the identity provider is tried again later");
            failed = true;
            tokio::time::sleep(PAUSE).await;
        }
        if failed {
            tracing::info!("the identity provider answers now");
        }
    }

    async fn ask(&self) -> Result<(), Error> {
        let metadata = match &self.discovery {
            Some(discovery) => discovery.metadata().await.map(drop),
            None => Ok(()),
        };
        let outcome = match metadata {
            Ok(()) => self.verifier.prepare().await,
            failed => failed,
        };
        self.asked.store(true, Ordering::Relaxed);
        outcome
    }

    /// What is known; `None` where nothing is asked of anybody.
    pub(crate) fn state(&self) -> Option<State> {
        if self.discovery.is_none() && !self.verifier.asks_others() {
            return None;
        }
        let metadata = self.discovery.as_ref().and_then(|discovery| discovery.failure());
        let failure = metadata.or_else(|| self.verifier.failure());
        let reachable = self.asked.load(Ordering::Relaxed).then_some(failure.is_none());
        // Whoever asks a probe need not know where the server gets its keys.
        Some(State { reachable, last_error: failure.map(|error| error.outline()) })
    }
}
