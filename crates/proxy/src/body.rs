//! The body of an answer.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    Stay,
    directory::Place,
    guard::Bounded,
    headers,
    upstream::{IdleLimit, Lease},
};

/// Any error that ends a body before its time.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of an answer: none, one text of ours, or a workspace's own as it arrives.
#[derive(Debug)]
pub struct Body(Inner);

#[derive(Debug)]
enum Inner {
    Empty,
    Full(Bytes),
    Stream(Stream),
    Bounded {
        stream: Bounded<Box<Stream>>,
        /// Whether it breaks off when it is cut short, instead of ending.
        breaks: bool,
    },
}

/// A workspace's answer under way.
struct Stream {
    incoming: Incoming,
    /// The connection it comes over, until it is free for the next request.
    lease: Option<Lease>,
    idle: IdleLimit,
    /// It has broken off, which is told once what came before has been passed on.
    broken: Option<hyper::Error>,
    /// Its place among the requests of the workspace.
    _place: Place,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Inner::Empty)
    }

    /// What a pod sends. `lease` is given back once the body has ended; a body that is dropped before takes its
    /// connection with it.
    pub(crate) fn stream(incoming: Incoming, lease: Lease, idle: IdleLimit, place: Place) -> Self {
        let mut stream = Stream { incoming, lease: Some(lease), idle, broken: None, _place: place };
        stream.release_at_end();
        Self(Inner::Stream(stream))
    }

    /// The same, cut short when a stay is over. The pod learns of it by its connection, which goes with the rest.
    pub(crate) fn within(self, stay: Stay) -> Self {
        match self.0 {
            Inner::Stream(stream) => {
                Self(Inner::Bounded { stream: stay.bound(Box::new(stream)), breaks: false })
            }
            other => Self(other),
        }
    }

    /// The same, which then breaks off, so that the client's side of the exchange ends with it (RFC 9113, 8.1).
    pub(crate) fn breaking(self) -> Self {
        match self.0 {
            Inner::Bounded { stream, .. } => Self(Inner::Bounded { stream, breaks: true }),
            other => Self(other),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Inner::Empty } else { Inner::Full(bytes) })
    }
}

impl Stream {
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error.into())));
        }
        let Poll::Ready(next) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            ready!(self.idle.poll_expired(cx));
            self.lease = None;
            return Poll::Ready(Some(Err("the workspace sent nothing for too long".into())));
        };
        self.idle.moved();
        Poll::Ready(match next {
            None => {
                self.release();
                None
            }
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_response_trailers(trailers);
                }
                self.release_at_end();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                // A server that is told of an error throws away what it has not written yet.
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                self.0 = Inner::Empty;
                Poll::Ready(Some(Ok(frame)))
            }
            Inner::Stream(stream) => Pin::new(stream).poll_frame(cx),
            Inner::Bounded { stream, breaks } => {
                let next = ready!(Pin::new(&mut *stream).poll_frame(cx));
                if next.is_none() && *breaks && stream.is_over() {
                    return Poll::Ready(Some(Err("the visitor's sign-in is over".into())));
                }
                Poll::Ready(next)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Full(_) => false,
            Inner::Stream(stream) => stream.is_end_stream(),
            Inner::Bounded { stream, breaks } => stream.is_end_stream() && !(*breaks && stream.is_over()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(stream) => stream.size_hint(),
            Inner::Bounded { stream, .. } => stream.size_hint(),
        }
    }
}
