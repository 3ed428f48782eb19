//! Reading logs: the last lines, from an instant on, and on as they are written.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use jiff::Timestamp;
use tokio::{fs::File, io::AsyncReadExt};

use super::{Log, Progress, record, segment_path};

const CHUNK: usize = 64 << 10;

/// Which part of a log, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Selection {
    /// Go on until the log ends.
    pub(in super::super) follow: bool,
    /// Begin each line with the time it was written.
    pub(in super::super) timestamps: bool,
    /// Only the last so many lines.
    pub(in super::super) tail: Option<u64>,
    /// Only what was written at or after this instant.
    pub(in super::super) since: Option<Timestamp>,
    /// At most so many bytes.
    pub(in super::super) limit: Option<u64>,
}

/// A log as it is read.
pub(in super::super) fn read(
    log: Arc<Log>,
    selection: Selection,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    // The log's directory may be removed while we read: what we have open stays readable.
    let (dir, progress) = (log.dir.clone(), log.progress.subscribe());
    // Held so that the sender of the progress lives as long as somebody waits for it.
    stream(Cursor::new(dir, progress, selection), Some(log))
}

/// The same for a log that is only read to its present end.
pub(super) fn read_log(
    log: &Log,
    selection: Selection,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    stream(Cursor::new(log.dir.clone(), log.progress.subscribe(), selection), None)
}

fn stream(cursor: Cursor, log: Option<Arc<Log>>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::try_unfold((cursor, log), |(mut cursor, log)| async move {
        Ok(cursor.next().await?.map(|bytes| (bytes, (cursor, log))))
    })
}

struct Cursor {
    dir: PathBuf,
    progress: tokio::sync::watch::Receiver<Progress>,
    render: Render,
    follow: bool,
    tail: Option<u64>,
    /// Number of the segment that is open.
    segment: u64,
    file: Option<File>,
    /// The beginning of a record whose end has not been read.
    rest: BytesMut,
}

impl Cursor {
    fn new(dir: PathBuf, progress: tokio::sync::watch::Receiver<Progress>, selection: Selection) -> Self {
        let Selection { follow, timestamps, tail, since, limit } = selection;
        let render = Render { timestamps, since, left: limit.unwrap_or(u64::MAX), line_begins: true };
        Self { dir, progress, render, follow, tail, segment: 0, file: None, rest: BytesMut::new() }
    }

    /// The next bytes, or `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.render.left == 0 {
                return Ok(None);
            }
            // Before reading: what is written up to here will have been read at the end of the file.
            let progress = *self.progress.borrow_and_update();
            if self.file.is_none() {
                self.open(progress).await?;
            }
            let Some(file) = &mut self.file else { return Ok(None) };
            self.rest.reserve(CHUNK);
            if file.read_buf(&mut self.rest).await? > 0 {
                let out = self.render.take(&mut self.rest);
                if !out.is_empty() {
                    return Ok(Some(out));
                }
            } else if progress.segment > self.segment {
                // If this is a slow reader the next one may be gone by now.
                self.segment = (self.segment + 1).max(progress.oldest());
                self.file = unless_gone(File::open(segment_path(&self.dir, self.segment)).await)?;
                self.rest.clear();
                if self.file.is_none() {
                    return Ok(None);
                }
            } else if progress.ended || !self.follow || self.progress.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Opens the segment where the selection begins.
    async fn open(&mut self, progress: Progress) -> io::Result<()> {
        let (dir, tail) = (self.dir.clone(), self.tail);
        let find = move || match tail {
            None => Ok((progress.oldest(), 0)),
            Some(lines) => {
                let segments = (progress.oldest()..=progress.segment).rev();
                begin_of_tail(segments.map(|segment| (segment, segment_path(&dir, segment))), lines)
            }
        };
        let found = tokio::task::spawn_blocking(find).await.map_err(io::Error::other)?;
        let Some((segment, offset)) = unless_gone(found)? else { return Ok(()) };
        let Some(mut file) = unless_gone(File::open(segment_path(&self.dir, segment)).await)? else {
            return Ok(());
        };
        tokio::io::AsyncSeekExt::seek(&mut file, SeekFrom::Start(offset)).await?;
        (self.segment, self.file) = (segment, Some(file));
        Ok(())
    }
}

/// A log whose pod is gone just ends.
fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Segment and offset where the last `lines` lines begin. `segments` are from the last to the first.
fn begin_of_tail(segments: impl Iterator<Item = (u64, PathBuf)>, lines: u64) -> io::Result<(u64, u64)> {
    let mut begin = (0, 0);
    let mut seen = 0;
    for (segment, path) in segments {
        let mut file = fs::File::open(path)?;
        let mut end = file.metadata()?.len();
        if begin == (0, 0) {
            begin = (segment, end);
        }
        if lines == 0 {
            break;
        }
        let mut block = vec![0; CHUNK];
        while end > 0 {
            let start = end.saturating_sub(CHUNK as u64);
            let size = usize::try_from(end - start).unwrap_or(CHUNK);
            let Some(block) = block.get_mut(..size) else { break };
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(block)?;
            for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                // The end of a line before the last one wanted; the file's own last byte ends the last line.
                if seen == lines {
                    return Ok((segment, start + index as u64 + 1));
                }
                seen += 1;
            }
            end = start;
        }
        begin = (segment, 0);
    }
    Ok(begin)
}

/// Turns records into what the reader asked for.
struct Render {
    timestamps: bool,
    since: Option<Timestamp>,
    left: u64,
    line_begins: bool,
}

impl Render {
    /// Takes the whole records off `input`.
    fn take(&mut self, input: &mut BytesMut) -> Bytes {
        let Some(end) = input.iter().rposition(|byte| *byte == b'\n') else { return Bytes::new() };
        let records = input.split_to(end + 1);
        let mut out = BytesMut::with_capacity(records.len());
        for line in records.as_ref().split(|byte| *byte == b'\n') {
            let Some(record) = record::parse(line) else { continue };
            let is_early = |since: Timestamp| record.time.parse::<Timestamp>().is_ok_and(|time| time < since);
            if self.since.is_some_and(is_early) {
                continue;
            }
            // Lines are in order of time: from here on nothing is too early.
            self.since = None;
            if self.timestamps && self.line_begins {
                out.extend_from_slice(record.time.as_bytes());
                out.extend_from_slice(b" ");
            }
            out.extend_from_slice(record.content);
            if record.whole {
                out.extend_from_slice(b"\n");
            }
            self.line_begins = record.whole;
        }
        out.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= out.len() as u64;
        out.freeze()
    }
}
