//! The audit log: one line of JSON for each thing somebody did that matters for security.
//!
//! Whoever knows of such a thing emits an event with the target [`TARGET`] and these fields, as far as they apply:
//! `action`, `outcome`, `code`, `subject`, `role`, `via`, `owner`, `workspace`, `pod`, `namespace`, `template`,
//! `client`, `request_id`. It goes to the log like any other event and, when an audit log is set, there too.

use std::{
    fmt::{self, Write as _},
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::Error;

/// The target of events that belong into the audit log.
pub const TARGET: &str = "audit";

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditLog {
    /// To standard error, in place of the lines that the log has of these events.
    Stderr,
    /// To a file, which is appended to. When it is renamed or removed, as log rotation does, a new one is begun.
    File(PathBuf),
}

impl AuditLog {
    /// The audit log at `path`; `-` is standard error.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stderr } else { Self::File(path) }
    }

    /// The layer that writes it. [`init`](crate::init) adds it to the log; programs with a log of their own add it there.
    ///
    /// # Errors
    /// [`Error::OpenFile`] when the file can't be opened.
    pub fn layer(&self) -> Result<AuditLayer, Error> {
        let sink = match self {
            Self::Stderr => Sink::Stderr,
            Self::File(path) => {
                let file = append(path).map_err(|source| Error::OpenFile {
                    setting: "AUDIT_LOG",
                    path: path.clone(),
                    source,
                })?;
                Sink::File { path: path.clone(), file: Some(file) }
            }
        };
        Ok(AuditLayer(Mutex::new(sink)))
    }
}

enum Sink {
    Stderr,
    File {
        path: PathBuf,
        /// `None` after it could not be opened again.
        file: Option<File>,
    },
}

impl Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::File { path, file } => {
                if !file.as_ref().is_some_and(|file| is_at(file, path)) {
                    *file = None;
                    *file = Some(append(path)?);
                }
                match file {
                    // One call for each line, so that lines of several processes don't mix.
                    Some(file) => file.write_all(line),
                    None => Ok(()),
                }
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // It names people and what they did.
        options.mode(0o640);
    }
    options.open(path)
}

/// Whether the file is still the one that its path names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let of = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(of), std::fs::metadata(path).map(of)), (Ok(open), Ok(named)) if open == named)
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Writes the events of [`TARGET`].
pub struct AuditLayer(Mutex<Sink>);

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLayer")
    }
}

impl<S: Subscriber> Layer<S> for AuditLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut fields = Fields(Map::new());
        fields.0.insert("time".to_owned(), jiff::Timestamp::now().to_string().into());
        event.record(&mut fields);
        let mut line = Value::Object(fields.0).to_string();
        line.push('\n');
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line.as_bytes());
        if let Err(error) = written {
            // Where else? An event about it would come back here.
            let mut note = String::new();
            let _ = writeln!(note, "the audit log can't be written: {error}");
            drop(io::stderr().lock().write_all(note.as_bytes()));
        }
    }
}

/// The fields of an event as JSON. What was meant to be read by people stays out.
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        if field.name() != "message" {
            self.0.insert(field.name().to_owned(), value.into());
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_act_is_one_line_of_json_whatever_its_fields_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        std::fs::write(&path, "{\"earlier\":true}\n").unwrap();
        let layer = AuditLog::at(path.clone()).layer().unwrap();
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            let (none, role) = (None::<&str>, "user");
            tracing::info!(
                target: TARGET,
                action = "workspace.spawn",
                subject = "evil\"\n{\"action\":\"forged\"}",
                role = %role,
                workspace = none,
                port = 3000_u64,
                "for people"
            );
            tracing::info!(target: "nocrd_server", action = "something else", "x");
        });
        let lines = lines(&path);
        assert_eq!(lines.len(), 2, "{lines:?}");
        let act = lines[1].as_object().unwrap();
        let names: Vec<_> = act.keys().map(String::as_str).collect();
        assert_eq!(names, ["time", "action", "subject", "role", "port"]);
        assert!(act["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!((&act["role"], &act["port"]), (&"user".into(), &3000.into()));
    }

    #[test]
    fn a_rotated_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("audit.log"), dir.path().join("audit.log.1"));
        let layer = AuditLog::at(path.clone()).layer().unwrap();
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            tracing::info!(target: TARGET, action = "first");
            std::fs::rename(&path, &old).unwrap();
            tracing::info!(target: TARGET, action = "second");
            std::fs::remove_file(&path).unwrap();
            tracing::info!(target: TARGET, action = "third");
        });
        assert_eq!(
            (lines(&old)[0]["action"].as_str(), lines(&path)[0]["action"].as_str()),
            (Some("first"), Some("third"))
        );
        assert_eq!(lines(&path).len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = AuditLog::at("/nonexistent/audit.log".into()).layer().err().unwrap();
        assert!(error.to_string().contains("/nonexistent/audit.log"), "{error}");
        assert_eq!(AuditLog::at("-".into()), AuditLog::Stderr);
    }
}
