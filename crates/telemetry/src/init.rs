//! Setting up the process-wide log.

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt, fmt::writer::BoxMakeWriter, layer::SubscriberExt,
    registry::LookupSpan, util::SubscriberInitExt,
};

use crate::{AuditLog, Destination, Error, audit};

/// What the targets of this product's own events begin with; the rest are libraries'.
const OWN_TARGETS: &str = "nocrd";

/// Lowest level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Everything of our own, and what libraries tell.
    Debug,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What an operator should look at.
    Warning,
    /// Failures.
    Error,
    /// Failures that end the process. They are logged as errors, and `tracing` knows nothing above those: the same as
    /// [`Level::Error`].
    Fatal,
}

impl Level {
    /// The level for our own events, and the one for libraries: those are chatty, and count from warnings on.
    fn filters(self) -> (LevelFilter, LevelFilter) {
        match self {
            Self::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
            Self::Info => (LevelFilter::INFO, LevelFilter::WARN),
            Self::Warning => (LevelFilter::WARN, LevelFilter::WARN),
            Self::Error | Self::Fatal => (LevelFilter::ERROR, LevelFilter::ERROR),
        }
    }
}

/// Form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to log, how and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Lowest level.
    pub level: Level,
    /// Form of a line.
    pub format: Format,
    /// Where lines go.
    pub destination: Destination,
    /// Where the audit log goes, beside the log; `None` for nowhere else.
    pub audit: Option<AuditLog>,
}

/// Sets up the log of this process. Lines are written when the event happens, so nothing is lost at exit.
///
/// # Errors
/// [`Error::OpenFile`] when the log file can't be opened; [`Error::AlreadySet`] at a second call.
pub fn init(config: &LogConfig) -> Result<(), Error> {
    let writer = config.destination.open()?;
    let audit = config.audit.as_ref().map(AuditLog::layer).transpose()?;
    let subscriber = subscriber(config, writer, config.destination.is_terminal());
    let only = Targets::new().with_target(audit::TARGET, LevelFilter::TRACE);
    subscriber.with(audit.with_filter(only)).try_init().map_err(|_| Error::AlreadySet)
}

fn subscriber(
    config: &LogConfig,
    writer: BoxMakeWriter,
    ansi: bool,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync {
    let (own, libraries) = config.level.filters();
    // Both would be on standard error.
    let acts = if config.audit == Some(AuditLog::Stderr) { LevelFilter::OFF } else { own };
    let filter =
        Targets::new().with_default(libraries).with_target(OWN_TARGETS, own).with_target(audit::TARGET, acts);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        Format::Text => fmt::layer().with_writer(writer).with_ansi(ansi).boxed(),
        Format::Json => fmt::layer().with_writer(writer).json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter))
}

#[cfg(test)]
mod tests {
    use nocrd_testkit::Written;

    use super::*;

    /// What stands in the log after `events`.
    fn logged(level: Level, format: Format, audit: Option<AuditLog>, events: impl FnOnce()) -> String {
        let config = LogConfig { level, format, destination: Destination::Stderr, audit };
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(&config, BoxMakeWriter::new(move || writer.clone()), false);
        tracing::subscriber::with_default(subscriber, events);
        written.text()
    }

    /// What one event of each level, by us and by a library, leaves in the log.
    fn log(level: Level, format: Format) -> String {
        logged(level, format, None, || {
            tracing::debug!(target: "nocrd_server", "own debug");
            tracing::info!(target: "nocrd_server", port = 3000, "own info");
            tracing::warn!(target: "nocrd_server", "own warning");
            tracing::error!(target: "nocrd_server", token = %crate::Redacted("hunter2"), "own error");
            tracing::info!(target: "hyper", "library info");
            tracing::warn!(target: "hyper", "library warning");
            tracing::error!(target: "hyper", "library error");
        })
    }

    #[test]
    fn levels_count_for_libraries_from_warning_on() {
        for (level, lines) in
            [(Level::Debug, 7), (Level::Info, 5), (Level::Warning, 4), (Level::Error, 2), (Level::Fatal, 2)]
        {
            let text = log(level, Format::Text);
            assert_eq!(text.lines().count(), lines, "{level:?}: {text}");
            assert_eq!(text.contains("library info"), level == Level::Debug, "{text}");
        }
    }

    #[test]
    fn t54_a_redacted_value_is_not_logged() {
        for format in [Format::Text, Format::Json] {
            let text = log(Level::Info, format);
            assert!(text.contains("[redacted]") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn acts_are_in_the_log_unless_they_are_beside_it() {
        for (audit, count) in [(None, 1), (Some(AuditLog::Stderr), 0), (Some(AuditLog::File("x".into())), 1)]
        {
            let text = logged(Level::Info, Format::Text, audit.clone(), || {
                tracing::info!(target: audit::TARGET, action = "sign-in");
            });
            assert_eq!(text.matches("sign-in").count(), count, "{audit:?}");
        }
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = log(Level::Info, Format::Json);
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                value["message"].is_string() && value["level"].is_string() && value["timestamp"].is_string(),
                "{line}"
            );
        }
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["port"], 3000);
    }

    #[test]
    fn an_event_cannot_forge_a_second_line_or_colours() {
        let text = logged(Level::Info, Format::Text, None, || {
            tracing::warn!(target: "nocrd_proxy", path = "/a\n2026-01-01 ERROR forged \u{1b}[31m", "refused");
        });
        assert!(text.lines().count() == 1 && !text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn lines_are_appended_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        std::fs::write(&path, "earlier\n").unwrap();
        let destination = Destination::File(path.clone());
        let config = LogConfig {
            level: Level::Info,
            format: Format::Text,
            destination: destination.clone(),
            audit: None,
        };
        let subscriber = subscriber(&config, destination.open().unwrap(), false);
        tracing::subscriber::with_default(subscriber, || tracing::info!(target: "nocrd", "later"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("earlier\n") && text.ends_with("later\n"), "{text}");
    }
}
