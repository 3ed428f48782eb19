//! One line of a log file.

use jiff::Timestamp;

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// A line of a log file, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) time: &'a str,
    /// Whether a line ends here.
    pub(super) whole: bool,
    pub(super) content: &'a [u8],
}

pub(super) fn write(time: Timestamp, stream: Stream, content: &[u8], whole: bool) -> Vec<u8> {
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let tag = if whole { 'F' } else { 'P' };
    let mut record = format!("{} {stream} {tag} ", time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ")).into_bytes();
    record.extend_from_slice(content);
    record.push(b'\n');
    record
}

/// Takes a line, without its end, apart.
pub(super) fn parse(line: &[u8]) -> Option<Record<'_>> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?;
    let (_stream, tag, content) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Record { time, whole: tag == b"F", content })
}
