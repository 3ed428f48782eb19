//! A client's connection as HTTP/1.1 sees it: how its end is taken, and how it is ended.
//!
//! hyper takes the end of a client's side for the end of the client, and breaks off what is under way. But a client may
//! end its side once it has asked, and wait for the answer (RFC 9112, 9.6). Whether it does, or has gone away, shows when
//! something is sent to it: who has gone away answers with a reset.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use nocrd_proxy_core::Received;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::activity::Activity;

/// How long a client that has ended its side is taken to wait for its answer, without a byte of that.
const STILL_THERE: Duration = Duration::from_secs(10);
/// How often it is looked up meanwhile whether it had said everything: what it said last may not have been read yet.
const GLANCE: Duration = Duration::from_millis(200);
/// How long what a client still sends after its answer is taken from it. A connection closed with something unread is
/// reset, and a reset may cost the client the answer.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes read at a time then.
const CHUNK: usize = 8 * 1024;

/// The connection.
pub(super) struct Client<S> {
    stream: S,
    activity: Arc<Activity>,
    received: Received,
    /// The client has ended its side.
    ended: Option<Ended>,
    /// We have ended ours: until when we read on.
    lingering: Option<Pin<Box<Sleep>>>,
}

struct Ended {
    /// Until when it is believed to be there.
    until: Instant,
    glance: Pin<Box<Sleep>>,
}

impl<S> Client<S> {
    /// `received` tells of the request that `activity` has counted last.
    pub(super) fn new(stream: S, activity: Arc<Activity>, received: Received) -> Self {
        Self { stream, activity, received, ended: None, lingering: None }
    }

    /// Tells of the end of the client's side once that is the end of the client.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.activity.is_under_way() {
            let ended = self.ended.get_or_insert_with(|| Ended {
                until: Instant::now() + STILL_THERE,
                glance: Box::pin(sleep(GLANCE)),
            });
            ready!(ended.glance.as_mut().poll(cx));
            let now = Instant::now();
            if now >= ended.until || !self.received.may_be_whole() {
                break;
            }
            ended.glance.as_mut().reset(now + GLANCE);
        }
        Poll::Ready(Ok(()))
    }

    /// A byte was sent.
    fn sent(&mut self) {
        if let Some(ended) = &mut self.ended {
            ended.until = Instant::now() + STILL_THERE;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Client<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // A client that has gone away answers what it is sent with a reset, which shows above.
        self.poll_end(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Client<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.sent();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bytes));
        self.sent();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.received.is_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let lingering = this.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut chunk = [0; CHUNK];
        while lingering.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
