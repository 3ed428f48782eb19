//! What operators rely on: addresses behind reverse proxies, limits, logs, metrics.

mod audit;
mod limits;
mod metrics;
mod proxies;

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use nocrd_telemetry::AuditLog;
use serde_json::Value;
use tempfile::TempDir;
use tracing::{level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt};

/// What is logged on this thread with LOG_LEVEL=debug, and the audit log. The servers of a test run on its thread.
pub(crate) struct Logs {
    text: Buffer,
    audit: PathBuf,
    _dir: TempDir,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Buffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Logs {
    pub(crate) fn listen() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (text, audit) = (Buffer::default(), dir.path().join("audit.log"));
        let levels = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_target("nocrd", LevelFilter::DEBUG)
            .with_target(nocrd_telemetry::audit::TARGET, LevelFilter::DEBUG);
        let subscriber = tracing_subscriber::registry()
            .with(
                tracing_subscriber::fmt::layer()
                    .with_writer(text.clone())
                    .with_ansi(false)
                    .with_filter(levels),
            )
            .with(AuditLog::at(audit.clone()).layer().unwrap());
        let guard = tracing::subscriber::set_default(subscriber);
        Self { text, audit, _dir: dir, _guard: guard }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of the audit log.
    pub(crate) fn acts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.audit).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
