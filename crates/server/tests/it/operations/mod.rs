//! What operators rely on: addresses behind reverse proxies, limits, logs, metrics.

mod audit;
mod limits;
mod metrics;
mod proxies;

use std::{path::PathBuf, sync::LazyLock};

use nocrd_telemetry::AuditLog;
use nocrd_testkit::Written;
use serde_json::Value;
use tempfile::TempDir;
use tracing::{Dispatch, level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt};

/// What is logged on this thread with LOG_LEVEL=debug, and the audit log. The servers of a test run on its thread.
pub(crate) struct Logs {
    text: Written,
    audit: PathBuf,
    _dir: TempDir,
    _guard: DefaultGuard,
}

/// While there is but one subscriber, `tracing` asks the thread that comes to a log statement first whether anybody wants it,
/// and for the threads of other tests nobody does, for good. With a second one it asks all.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

impl Logs {
    pub(crate) fn listen() -> Self {
        LazyLock::force(&ANOTHER);
        let dir = tempfile::tempdir().unwrap();
        let (text, audit) = (Written::default(), dir.path().join("audit.log"));
        let writer = text.clone();
        let levels = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_target("nocrd", LevelFilter::DEBUG)
            .with_target(nocrd_telemetry::audit::TARGET, LevelFilter::DEBUG);
        let subscriber = tracing_subscriber::registry()
            .with(
                tracing_subscriber::fmt::layer()
                    .with_writer(move || writer.clone())
                    .with_ansi(false)
                    .with_filter(levels),
            )
            .with(AuditLog::at(audit.clone()).layer().unwrap());
        let guard = tracing::subscriber::set_default(subscriber);
        Self { text, audit, _dir: dir, _guard: guard }
    }

    pub(crate) fn text(&self) -> String {
        self.text.text()
    }

    /// The lines of the audit log.
    pub(crate) fn acts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.audit).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
