//! Which part of a log is read, and kept.

use std::{io, pin::Pin};

use futures::{AsyncRead, AsyncReadExt};

use super::LogOptions;

/// Lines that are read when a caller says nothing.
pub const DEFAULT_LOG_LINES: u32 = 2000;
/// Bytes that are kept when a caller says nothing.
pub const DEFAULT_LOG_BYTES: u32 = 64 * 1024;
/// Most bytes of a log that a caller gets at once.
pub const MAX_LOG_BYTES: u32 = 1024 * 1024;
/// Most bytes that are read to find the last ones. Where the lines that are asked for have more, fewer are asked for.
const MAX_READ: u32 = 4 * 1024 * 1024;
/// Bytes that are read at a time.
const CHUNK: usize = 16 * 1024;

/// A part of a container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLog {
    /// The lines, each with its end.
    pub text: String,
    /// Whether some of what was asked for was left out, at the end where [`LogOptions::limit_bytes`] was given, else at
    /// the beginning.
    pub truncated: bool,
}

/// What is read of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The first bytes of the last lines, or of all.
    First { bytes: u32, lines: Option<u32> },
    /// The last bytes of the last lines.
    Last { lines: u32 },
    /// As many lines as nobody has asked for.
    Default,
}

impl Part {
    pub(super) fn of(options: &LogOptions) -> Self {
        match (options.limit_bytes, options.tail_lines) {
            (Some(bytes), lines) => Self::First { bytes: bytes.min(MAX_LOG_BYTES), lines },
            (None, Some(lines)) => Self::Last { lines },
            (None, None) => Self::Default,
        }
    }

    /// How many lines to ask for: by one more is seen that there are more.
    pub(super) fn tail_lines(self) -> Option<u32> {
        match self {
            Self::First { lines, .. } => lines,
            Self::Last { lines } => Some(lines),
            Self::Default => Some(DEFAULT_LOG_LINES + 1),
        }
    }

    /// How many bytes to ask for.
    pub(super) fn limit_bytes(self) -> u32 {
        match self {
            Self::First { bytes, .. } => bytes,
            Self::Last { .. } | Self::Default => MAX_READ,
        }
    }

    /// Fewer lines.
    pub(super) fn fewer(self) -> Option<Self> {
        match self.tail_lines() {
            Some(lines) if lines > 1 => Some(Self::Last { lines: (lines / 16).max(1) }),
            _ => None,
        }
    }

    /// Reads what came, and tells whether it reaches to the end, if that is what is looked for.
    pub(super) async fn read(self, mut body: Pin<&mut impl AsyncRead>) -> io::Result<(PodLog, bool)> {
        let keep = match self {
            Self::First { bytes, .. } => bytes,
            Self::Last { .. } | Self::Default => DEFAULT_LOG_BYTES,
        } as usize;
        let (mut log, mut chunk, mut truncated, mut total) = (Vec::new(), vec![0; CHUNK], false, 0);
        loop {
            let read = body.read(&mut chunk).await?;
            total += read;
            log.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if log.len() > 2 * keep || (read == 0 && log.len() > keep) {
                log.drain(..log.len() - keep);
                truncated = true;
            }
            if read == 0 {
                break;
            }
        }
        if let Self::First { bytes, .. } = self {
            truncated = log.len() >= bytes as usize;
        } else if truncated {
            // The first line is there in part.
            let end = log.iter().position(|byte| *byte == b'\n').filter(|end| end + 1 < log.len());
            log.drain(..end.map_or(0, |end| end + 1));
        }
        if self == Self::Default {
            let lines = log.split_inclusive(|byte| *byte == b'\n');
            let lengths: Vec<usize> = lines.map(<[u8]>::len).collect();
            let extra = lengths.len().saturating_sub(DEFAULT_LOG_LINES as usize);
            log.drain(..lengths.iter().take(extra).sum::<usize>());
            truncated |= extra > 0;
        }
        let is_all = matches!(self, Self::First { .. }) || total < self.limit_bytes() as usize;
        Ok((PodLog { text: String::from_utf8_lossy(&log).into_owned(), truncated }, is_all))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    async fn read(options: LogOptions, log: &str) -> PodLog {
        Part::of(&options).read(pin!(log.as_bytes())).await.unwrap().0
    }

    fn lines(numbers: std::ops::Range<u32>, width: usize) -> String {
        numbers.map(|n| format!("{n:0>width$}\n")).collect()
    }

    #[tokio::test]
    async fn without_a_limit_it_is_the_newest_that_is_kept() {
        let short = lines(0..50, 5);
        assert_eq!(read(LogOptions::default(), &short).await, PodLog { text: short, truncated: false });
        let many = lines(0..DEFAULT_LOG_LINES + 1, 5);
        let kept = lines(1..DEFAULT_LOG_LINES + 1, 5);
        assert_eq!(read(LogOptions::default(), &many).await, PodLog { text: kept, truncated: true });
        for options in
            [LogOptions::default(), LogOptions { tail_lines: Some(5_000), ..LogOptions::default() }]
        {
            let log = read(options, &lines(0..2_000, 200)).await;
            let first = log.text.lines().next().unwrap().parse().unwrap();
            assert!(log.truncated && log.text == lines(first..2_000, 200), "{first}");
            assert!(log.text.len() > DEFAULT_LOG_BYTES as usize - 201);
        }
        // Lines that were asked for and fit are no fewer than they are.
        let all = LogOptions { tail_lines: Some(3_000), ..LogOptions::default() };
        let many = lines(0..3_000, 5);
        assert_eq!(read(all, &many).await, PodLog { text: many, truncated: false });
        let line = "x".repeat(100_000);
        assert_eq!(read(LogOptions::default(), &line).await.text.len(), DEFAULT_LOG_BYTES as usize);
        let line = line + "\n";
        assert_eq!(read(LogOptions::default(), &line).await.text.len(), DEFAULT_LOG_BYTES as usize);
        assert_eq!(read(LogOptions::default(), "").await, PodLog { text: String::new(), truncated: false });
    }

    #[tokio::test]
    async fn with_a_limit_it_is_the_beginning_of_what_was_chosen() {
        let first = |bytes| LogOptions { limit_bytes: Some(bytes), ..LogOptions::default() };
        assert_eq!(Part::of(&first(7)).tail_lines(), None);
        assert_eq!(Part::of(&first(u32::MAX)).limit_bytes(), MAX_LOG_BYTES);
        assert_eq!(read(first(7), "a\nb\n").await, PodLog { text: "a\nb\n".into(), truncated: false });
        assert!(read(first(4), "a\nb\n").await.truncated);
        let much = lines(0..5_000, 100);
        assert_eq!(read(first(u32::MAX), &much).await, PodLog { text: much, truncated: false });
    }
}
