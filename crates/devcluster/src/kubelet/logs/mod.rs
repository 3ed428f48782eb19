//! Logs of containers, one per run, in the format of the container runtime interface:
//!
//! ```text
//! 2026-01-02T03:04:05.678901234Z stdout F a whole line
//! 2026-01-02T03:04:05.678901234Z stderr P a piece of a line
//! ```
//!
//! A log is a few files of bounded size; the oldest are removed as it grows.

mod reader;
mod record;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::watch,
};

pub(super) use self::reader::{Selection, read};
use self::record::Stream;

/// When a segment is full. A real kubelet's default.
const SEGMENT_BYTES: u64 = 10 << 20;

/// How many segments are kept.
const SEGMENTS: u64 = 2;

/// Longer lines are written in pieces.
const MAX_PIECE: usize = 16 << 10;

/// The log of one run of a container.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    written: u64,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// Number of the segment being written.
    segment: u64,
    /// Counts up with every record.
    records: u64,
    ended: bool,
}

impl Progress {
    fn oldest(self) -> u64 {
        (self.segment + 1).saturating_sub(SEGMENTS)
    }
}

impl Log {
    /// A new log in a directory that does not exist yet.
    pub(super) fn create(dir: PathBuf) -> io::Result<Self> {
        Self::with_segments_of(dir, SEGMENT_BYTES)
    }

    fn with_segments_of(dir: PathBuf, segment_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let writer = Mutex::new(Writer { file: open_segment(&dir, 0)?, written: 0 });
        let progress = watch::Sender::new(Progress { segment: 0, records: 0, ended: false });
        Ok(Self { dir, segment_bytes, writer, progress })
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line without its end, or a piece of one.
    fn append(&self, stream: Stream, content: &[u8], whole: bool) -> io::Result<()> {
        let record = record::write(jiff::Timestamp::now(), stream, content, whole);
        let mut writer = self.writer();
        let mut segment = self.progress.borrow().segment;
        if writer.written >= self.segment_bytes {
            segment += 1;
            *writer = Writer { file: open_segment(&self.dir, segment)?, written: 0 };
            if let Some(old) = segment.checked_sub(SEGMENTS) {
                let _ = fs::remove_file(segment_path(&self.dir, old));
            }
        }
        writer.file.write_all(&record)?;
        writer.written += record.len() as u64;
        self.progress.send_modify(|progress| {
            progress.segment = segment;
            progress.records += 1;
        });
        Ok(())
    }

    /// Nothing more will be written: whoever follows the log comes to its end.
    pub(super) fn end(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }

    /// Writes what a container says, until it has closed both its outputs.
    pub(super) async fn record(&self, stdout: impl AsyncRead + Unpin, stderr: impl AsyncRead + Unpin) {
        tokio::join!(self.record_stream(Stream::Stdout, stdout), self.record_stream(Stream::Stderr, stderr));
    }

    async fn record_stream(&self, stream: Stream, source: impl AsyncRead + Unpin) {
        let mut source = BufReader::with_capacity(MAX_PIECE, source);
        let mut line: Vec<u8> = Vec::new();
        loop {
            let consumed = {
                let chunk = match source.fill_buf().await {
                    Ok([]) | Err(_) => break,
                    Ok(chunk) => chunk,
                };
                let room = MAX_PIECE.saturating_sub(line.len());
                match chunk.iter().take(room).position(|byte| *byte == b'\n') {
                    Some(end) => {
                        line.extend(chunk.iter().take(end));
                        self.append_or_warn(stream, &line, true);
                        line.clear();
                        end + 1
                    }
                    None => {
                        let taken = chunk.len().min(room);
                        line.extend(chunk.iter().take(taken));
                        if line.len() >= MAX_PIECE {
                            self.append_or_warn(stream, &line, false);
                            line.clear();
                        }
                        taken
                    }
                }
            };
            source.consume(consumed);
        }
        if !line.is_empty() {
            self.append_or_warn(stream, &line, false);
        }
    }

    fn append_or_warn(&self, stream: Stream, content: &[u8], whole: bool) {
        if let Err(error) = self.append(stream, content, whole) {
            tracing::warn!(%error, log = %self.dir.display(), "a line of a container's log was lost");
        }
    }

    /// The last lines as text, for a termination message: at most so many lines and bytes.
    pub(super) async fn tail_text(&self, lines: u64, bytes: usize) -> String {
        use futures::TryStreamExt;
        let selection = Selection { tail: Some(lines), ..Selection::default() };
        let pieces: Vec<bytes::Bytes> =
            reader::read_log(self, selection).try_collect().await.unwrap_or_default();
        let text = String::from_utf8_lossy(&pieces.concat()).into_owned();
        let mut start = text.len().saturating_sub(bytes);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text.get(start..).unwrap_or_default().to_owned()
    }
}

/// A log that nobody can read any more takes its files with it.
impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment}.log"))
}

fn open_segment(dir: &Path, segment: u64) -> io::Result<File> {
    OpenOptions::new().create_new(true).append(true).open(segment_path(dir, segment))
}

#[cfg(test)]
mod tests;
