//! How long what somebody opened stays open: a WebSocket, a stream of events. Requests are looked at one by one; these
//! outlive the look.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ::http::{HeaderValue, header};
use axum::{body::Body, response::Response};
use nocrd_authz::{clock::UnixTime, session::Session};
use nocrd_proxy_core::{Ended, Stay};

use super::Door;

impl Door {
    /// How long what they open now stays open: until the sign-in is ended, here or on another replica; at latest until the
    /// session can't be extended any more as it is now, though the browser's may be carried on by then, which an open
    /// connection does not learn of; or, for who came with a token and has no session, as long after the token's end as a
    /// session would last. Whoever is still let in connects again.
    pub(super) fn stay(&self, session: Option<Arc<Session>>, token_expires: Option<UnixTime>) -> Stay {
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
    answer.map(|body| Body::new(stay.bound(body)))
}
