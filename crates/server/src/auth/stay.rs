//! How long what somebody opened stays open: a WebSocket, a stream of events. Requests are looked at one by one; these
//! outlive the look.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use ::http::{HeaderValue, header};
use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http_body::{Frame, SizeHint};
use nocrd_authz::{clock::UnixTime, session::Session};
use nocrd_proxy_core::{Ended, Stay};

use super::Door;

impl Door {
    /// How long what they open now stays open: until the sign-in is ended, here or on another replica; at latest until the
    /// session can't be extended any more as it is now, though the browser's may be carried on by then, which an open
    /// connection does not learn of; or, for who came with a token and has no session, as long after the token's end as a
    /// session would last. Whoever is still let in connects again.
    pub(super) fn stay(&self, session: Option<Session>, token_expires: Option<UnixTime>) -> Stay {
        let last = match &session {
            Some(session) => Some((session.latest, Duration::ZERO)),
            None => token_expires.map(|end| (end, self.session_ttl)),
        };
        let until = last.and_then(|(end, more)| {
            // A time before 1970 is over.
            let end = Duration::from_secs(u64::try_from(end.as_secs()).unwrap_or_default());
            SystemTime::UNIX_EPOCH.checked_add(end)?.checked_add(more)
        });
        let ended = session.map(|session| {
            let endings = self.endings.clone();
            Ended::new(move || endings.clone().of(session.clone()))
        });
        Stay { until, ended }
    }
}

/// Lets a stream of events end with its caller's stay. Other answers end by themselves.
pub(super) fn bound(answer: Response, stay: Stay) -> Response {
    let kind = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
        return answer;
    }
    answer.map(|body| Body::new(Bounded { body, end: Some(Box::pin(stay.over())) }))
}

/// A body that ends early.
struct Bounded {
    body: Body,
    /// `None` once it has come.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        if end.as_mut().poll(context).is_ready() {
            self.end = None;
            // What makes the stream learns of it now, and not when the client goes.
            self.body = Body::empty();
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
