//! Objects on disk: an append-only file of changes, rewritten when it has grown too long.
//!
//! One change a line: eight hexadecimal digits of the SHA-256 of the rest, a space, a JSON object. A line is handed to
//! the operating system before the write it belongs to is answered, so that a crash of this process loses nothing;
//! the disk itself is asked to keep up by [`Journal::flush`].
//!
//! A last line that is incomplete was never acknowledged and is dropped. Any other line that can't be read is an
//! error: a damaged file is reported, never repaired by forgetting.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::watch::Change;
use crate::{kind::Kind, object};

const FILE: &str = "objects.jsonl";
const LOCK: &str = "lock";
/// Below this size the file is never worth rewriting.
const COMPACT_FROM_BYTES: u64 = 4 << 20;

/// Why objects can't be kept on disk, or read from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory or a file in it can't be used.
    #[error("can't {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("{} is used by another running cluster", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file holds something that can't be read.
    #[error("{}:{line} is damaged ({problem}); nothing was changed. Restore the file, or move it away to start anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// What was found on disk.
pub(super) struct Restored {
    pub(super) revision: u64,
    pub(super) objects: Vec<(Kind, Arc<Value>)>,
}

pub(super) struct Journal {
    dir: PathBuf,
    file: File,
    /// Bytes in the file, and how many of them were there after the last compaction.
    length: u64,
    compacted_length: u64,
    dirty: bool,
    /// Held for as long as the journal lives.
    _lock: File,
}

impl Journal {
    pub(super) fn open(dir: &Path) -> Result<(Self, Restored), Error> {
        fs::create_dir_all(dir).map_err(|source| Error::Io { what: "create", path: dir.into(), source })?;
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(Error::Io { what: "read", path, source }),
        };
        let restored = restore(&path, &text)?;
        let file = private(OpenOptions::new().append(true).create(true))
            .open(&path)
            .map_err(|source| Error::Io { what: "open", path, source })?;
        let journal =
            Self { dir: dir.into(), file, length: 0, compacted_length: 0, dirty: false, _lock: lock };
        Ok((journal, restored))
    }

    pub(super) fn append(
        &mut self,
        revision: u64,
        kind: Kind,
        change: Change,
        object: &Value,
    ) -> Result<(), Error> {
        let line = match change {
            Change::Added | Change::Modified => {
                encode(&json!({ "r": revision, "k": kind.name(), "o": object }))
            }
            Change::Deleted => encode(&json!({
                "r": revision, "k": kind.name(), "d": [object::namespace(object), object::name(object)],
            })),
        };
        if let Err(source) = self.file.write_all(line.as_bytes()) {
            // Half a line in the middle of the file would damage it for good.
            let undone = self.file.set_len(self.length);
            tracing::error!(?undone, "writing to the data directory failed");
            return Err(self.failed("write to", source));
        }
        self.length += line.len() as u64;
        self.dirty = true;
        Ok(())
    }

    pub(super) fn wants_compaction(&self) -> bool {
        self.length > COMPACT_FROM_BYTES && self.length > self.compacted_length.saturating_mul(4)
    }

    /// Writes a new file with nothing but what is there now, then puts it in the old one's place.
    pub(super) fn compact<'a>(
        &mut self,
        revision: u64,
        objects: impl Iterator<Item = (Kind, &'a Arc<Value>)>,
    ) -> Result<(), Error> {
        let path = self.dir.join(FILE);
        let temporary = self.dir.join(format!("{FILE}.new"));
        let length = write_all(&temporary, revision, objects).map_err(|source| Error::Io {
            what: "write",
            path: temporary.clone(),
            source,
        })?;
        fs::rename(&temporary, &path)
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .and_then(|()| private(OpenOptions::new().append(true)).open(&path))
            .map(|file| self.file = file)
            .map_err(|source| Error::Io { what: "replace", path, source })?;
        (self.length, self.compacted_length, self.dirty) = (length, length, false);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.dirty {
            self.file.sync_data().map_err(|source| self.failed("flush", source))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, source: io::Error) -> Error {
        Error::Io { what, path: self.dir.join(FILE), source }
    }
}

/// Secrets are in there: for the owner's eyes only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let file = private(OpenOptions::new().write(true).create(true).truncate(false))
        .open(&path)
        .map_err(|source| Error::Io { what: "open", path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Locked { path: dir.into() }),
        Err(fs::TryLockError::Error(source)) => Err(Error::Io { what: "lock", path, source }),
    }
}

fn write_all<'a>(
    path: &Path,
    revision: u64,
    objects: impl Iterator<Item = (Kind, &'a Arc<Value>)>,
) -> io::Result<u64> {
    let file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(path)?;
    let mut out = BufWriter::new(file);
    let mut length = 0;
    let mut put = |line: String| {
        length += line.len() as u64;
        out.write_all(line.as_bytes())
    };
    put(encode(&json!({ "format": 1, "r": revision })))?;
    for (kind, object) in objects {
        put(encode(&json!({ "r": revision, "k": kind.name(), "o": **object })))?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(length)
}

fn checksum(text: &[u8]) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn encode(record: &Value) -> String {
    let text = record.to_string();
    format!("{} {text}\n", checksum(text.as_bytes()))
}

fn decode(line: &[u8]) -> Result<Value, String> {
    let (sum, text) = line.split_at_checked(9).ok_or("a line is too short")?;
    if sum != format!("{} ", checksum(text)).as_bytes() {
        return Err("its checksum does not fit".into());
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

pub(super) fn restore(path: &Path, text: &[u8]) -> Result<Restored, Error> {
    let mut revision = 0;
    let mut objects: BTreeMap<(Kind, String, String), Arc<Value>> = BTreeMap::new();
    for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let damaged = |problem: String| Error::Damaged { path: path.into(), line: index + 1, problem };
        let Some(line) = line.strip_suffix(b"\n") else {
            tracing::warn!(path = %path.display(), "dropped an incomplete last write");
            break;
        };
        let record = decode(line).map_err(damaged)?;
        if index == 0 && record.get("format").and_then(Value::as_u64) != Some(1) {
            return Err(damaged("not a file of this version".into()));
        }
        let written = record.get("r").and_then(Value::as_u64);
        revision = revision.max(written.ok_or_else(|| damaged("no revision".into()))?);
        let Some(kind) = record.get("k").and_then(Value::as_str) else { continue };
        let kind = Kind::from_name(kind).ok_or_else(|| damaged(format!("unknown kind {kind}")))?;
        if let Some(object) = record.get("o") {
            let key = (kind, object::namespace(object).to_owned(), object::name(object).to_owned());
            objects.insert(key, Arc::new(object.clone()));
        } else if let Some([namespace, name]) = record.get("d").and_then(Value::as_array).map(Vec::as_slice) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            objects.remove(&(kind, text(namespace), text(name)));
        } else {
            return Err(damaged("neither an object nor a deletion".into()));
        }
    }
    let objects = objects.into_iter().map(|((kind, ..), object)| (kind, object)).collect();
    Ok(Restored { revision, objects })
}
