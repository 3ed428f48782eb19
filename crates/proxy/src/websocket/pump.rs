//! One direction of a tunnel.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;

thread_local! {
    /// Where bytes stay between a read and the write that follows at once. One per thread, not per tunnel, so that a
    /// tunnel at rest holds no buffer; what could not be written moves to [`Pump::unwritten`].
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Moves bytes from a sender to a receiver. At most [`CHUNK`] bytes are in its hands, and no more are read before those
/// are written: a slow receiver slows the sender down.
///
/// A sender that fails counts as one that has ended. To a receiver that fails nothing more is written; the bytes that
/// still come are thrown away.
#[derive(Debug)]
pub(super) struct Pump {
    state: State,
    frames: Frames,
    unwritten: Vec<u8>,
    written: usize,
    moved: bool,
    broken: bool,
}

#[derive(Debug)]
enum State {
    /// Moving bytes.
    Open,
    /// Moving bytes to the end of the frame in flight; then this farewell follows.
    Ending(Vec<u8>),
    /// Writing what is left, then telling the receiver that it was all. `sender_ended`: nothing is to be discarded after.
    Finishing { sender_ended: bool },
    /// Reading on and throwing away: a sender whose connection we closed now would lose our farewell.
    Discarding,
    /// Both have ended.
    Done,
}

impl Pump {
    pub(super) fn new() -> Self {
        Self {
            state: State::Open,
            frames: Frames::new(),
            unwritten: Vec::new(),
            written: 0,
            moved: false,
            broken: false,
        }
    }

    /// Lets the frame in flight through, then sends `farewell`, then nothing more. After a Close frame of the sender's
    /// own no other follows.
    pub(super) fn end_with(&mut self, farewell: Vec<u8>) {
        if matches!(self.state, State::Open) {
            self.state = State::Ending(farewell);
        }
    }

    /// Tells whether bytes were moved since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Tells whether the sender has ended, and the receiver knows.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Tells whether the sender has sent a Close frame, after which nothing may follow (RFC 6455, 5.5.1), and the
    /// receiver has it.
    pub(super) fn has_said_last(&self) -> bool {
        self.frames.is_closed() && self.frames.is_between() && self.unwritten.is_empty()
    }

    /// Tells whether the receiver has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Moves what can be moved. Ready when both sides have ended.
    pub(super) fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                match self.step(cx, from, to, scratch) {
                    Poll::Ready(Ok(())) if self.is_done() => return Poll::Ready(()),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => self.break_off(),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }

    /// The receiver has failed.
    fn break_off(&mut self) {
        self.broken = true;
        self.unwritten = Vec::new();
        self.written = 0;
        let ended = matches!(self.state, State::Finishing { sender_ended: true } | State::Done);
        self.state = if ended { State::Done } else { State::Discarding };
    }

    /// One step; an error is the receiver's.
    fn step<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        scratch: &mut [u8],
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        match &mut self.state {
            State::Done => Poll::Ready(Ok(())),
            State::Discarding => {
                let read = ready!(poll_read(cx, from, scratch));
                self.frames.follow(scratch.get(..read).unwrap_or_default());
                if read == 0 || self.has_said_last() {
                    self.state = State::Done;
                }
                Poll::Ready(Ok(()))
            }
            State::Finishing { sender_ended } => {
                let sender_ended = *sender_ended;
                ready!(self.poll_write_rest(cx, to))?;
                ready!(Pin::new(to).poll_shutdown(cx))?;
                let done = sender_ended || self.has_said_last();
                self.state = if done { State::Done } else { State::Discarding };
                Poll::Ready(Ok(()))
            }
            State::Ending(farewell) if self.frames.is_between() => {
                let farewell = std::mem::take(farewell);
                self.finish_with(farewell);
                Poll::Ready(Ok(()))
            }
            State::Open | State::Ending(_) => self.move_some(cx, from, to, scratch),
        }
    }

    fn move_some<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        scratch: &mut [u8],
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        ready!(self.poll_write_rest(cx, to))?;
        let Poll::Ready(read) = poll_read(cx, from, scratch) else {
            // TLS holds back what it was given until it is told that no more comes for now.
            ready!(Pin::new(to).poll_flush(cx))?;
            return Poll::Pending;
        };
        if read == 0 {
            self.state = State::Finishing { sender_ended: true };
            return Poll::Ready(Ok(()));
        }
        self.moved = true;
        let bytes = scratch.get(..read).unwrap_or_default();
        let State::Ending(farewell) = &mut self.state else {
            self.frames.follow(bytes);
            return Poll::Ready(self.write_or_keep(cx, to, bytes));
        };
        let farewell = std::mem::take(farewell);
        let (in_flight, late) = bytes.split_at(self.frames.follow_to_end(bytes));
        self.write_or_keep(cx, to, in_flight)?;
        if self.frames.is_between() {
            self.finish_with(farewell);
            self.frames.follow(late);
        } else {
            self.state = State::Ending(farewell);
        }
        Poll::Ready(Ok(()))
    }

    /// Lets `farewell` be the last that the receiver gets, unless the sender has said its own.
    fn finish_with(&mut self, mut farewell: Vec<u8>) {
        if !self.frames.is_closed() {
            self.unwritten.append(&mut farewell);
        }
        self.state = State::Finishing { sender_ended: false };
    }

    /// Writes `bytes` as far as the receiver takes them, and keeps the rest.
    fn write_or_keep<W>(&mut self, cx: &mut Context<'_>, to: &mut W, mut bytes: &[u8]) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        while !bytes.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, bytes)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Poll::Pending => {
                    self.unwritten.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    fn poll_write_rest<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.unwritten.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.moved = true;
            self.written += written;
        }
        if self.written > 0 {
            self.unwritten = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads some bytes; none when the sender has ended or failed.
fn poll_read<R: AsyncRead + Unpin>(cx: &mut Context<'_>, from: &mut R, into: &mut [u8]) -> Poll<usize> {
    let mut buffer = ReadBuf::new(into);
    match ready!(Pin::new(from).poll_read(cx, &mut buffer)) {
        Ok(()) => Poll::Ready(buffer.filled().len()),
        Err(_) => Poll::Ready(0),
    }
}
