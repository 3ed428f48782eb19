//! Who visits, and what they may reach: what the embedding server decides for the proxy.

use std::{
    fmt,
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Response, header, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use nocrd_model::{Api, Caller, Subject, WorkspaceId, caller::Trust};
use secrecy::SecretString;

use crate::{AuthEndpoint, Body, Peer, Target};

/// What a [`Guard`] finds out, some time later.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The server's doorkeeper. A proxy without one lets everybody in.
///
/// What it keeps out is not told from what does not exist: a visitor gets the same 404 for a workspace of somebody else,
/// ready or not, as for none.
pub trait Guard: Send + Sync + 'static {
    /// Finds out who sent a request, before anything is looked up for it. `upgrade` tells that it asks for a WebSocket.
    ///
    /// A guard that goes by cookies sets [`Visitor::via_cookie`]. It should refuse such requests itself when they change
    /// something, or open a WebSocket, without coming from a page of this site; the proxy refuses what is left.
    ///
    /// # Errors
    /// [`Unknown`], with the answer to somebody whom it does not know.
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
        peer: &'a Peer,
        upgrade: bool,
    ) -> BoxFuture<'a, Result<Visitor, Unknown>>;

    /// Tells whether they may send a request there: to an API of the workspace, or to the workspace itself. `write` tells
    /// that it may change something. A WebSocket always may, whose handshake is a `GET`: a terminal is one.
    fn may_reach(&self, visitor: &Visitor, target: &Target, api: Option<&Api>, write: bool) -> bool;

    /// Fetches the visitor's access token, where they came without one and it can be had without their doing anything: a
    /// workspace asks for it. The visitor it gives replaces the one it was asked about, also without a token, since it may
    /// have got new cookies; `None` when nothing has changed.
    fn fetch_token<'a>(
        &'a self,
        visitor: &'a Visitor,
        request: &'a Parts,
        peer: &'a Peer,
    ) -> BoxFuture<'a, Option<Visitor>>;

    /// The answer to somebody who may reach a workspace that takes an access token, when there is none.
    fn wants_token(&self, request: &Parts, peer: &Peer) -> Response<Body>;

    /// Answers at one of the workspace's [`AuthEndpoint`]s: to its owner, and where the workspace has asked for them. What it
    /// hands out must be `owner`'s, whatever else the request carries.
    fn auth_endpoint<'a>(
        &'a self,
        endpoint: AuthEndpoint,
        id: &'a WorkspaceId,
        owner: &'a Subject,
        request: &'a Parts,
        peer: &'a Peer,
    ) -> BoxFuture<'a, Response<Body>>;

    /// Is told that somebody asked for a workspace that exists, and that they may not reach.
    fn turned_away(&self, _visitor: &Visitor, _id: &WorkspaceId, _request: &Parts) {}
}

/// Somebody whom a guard does not know, or does not let in.
#[derive(Debug)]
pub struct Unknown {
    /// What they are told, unless the workspace is for everybody.
    pub answer: Response<Body>,
    /// Whether it is certain that the `Authorization` header is not for the gateway, but for a program in the workspace.
    pub foreign_credentials: bool,
    /// Whether the answer is due in any case, also where everybody is let in.
    pub is_final: bool,
}

/// Somebody who was recognised.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who, and with which rights.
    pub caller: Caller,
    /// `Set-Cookie` headers. They are added to the answer once the request is authorised; those of a visitor who came
    /// with a cookie in any case, because they replace it.
    pub cookies: Vec<HeaderValue>,
    /// Whether a cookie told who it is. Otherwise the `Authorization` header did, which then ends here.
    pub via_cookie: bool,
    /// The access token, where one is known.
    pub token: Option<SecretString>,
    /// How long what they open stays open.
    pub stay: Stay,
}

/// How long what somebody opened stays open: a WebSocket, a stream of events. By default nothing ends it.
#[derive(Debug, Clone, Default)]
pub struct Stay {
    /// When it ends, whatever happens.
    pub until: Option<SystemTime>,
    /// What ends it before.
    pub ended: Option<Ended>,
}

/// Longest time that is waited for at a time; timers know no end of time.
const LONG: Duration = Duration::from_secs(365 * 86_400);

impl Stay {
    /// Whether anything ends it.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.until.is_some() || self.ended.is_some()
    }

    /// Waits for its end.
    pub async fn over(self) {
        let time = async {
            match self.until {
                Some(until) => {
                    let left = until.duration_since(SystemTime::now()).unwrap_or_default();
                    tokio::time::sleep(left.min(LONG)).await;
                }
                None => pending().await,
            }
        };
        let ended = async {
            match &self.ended {
                Some(ended) => ended.wait().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            () = ended => {}
        }
    }
}

impl Stay {
    /// The body with its end at that of the stay, if it has not ended before.
    #[must_use]
    pub fn bound<B>(self, body: B) -> Bounded<B> {
        Bounded { body: Some(body), end: Box::pin(self.over()) }
    }
}

/// A body that a [`Stay`] ends.
pub struct Bounded<B> {
    /// `None` once it is over: what makes the body learns of it then, and not when the client goes.
    body: Option<B>,
    end: BoxFuture<'static, ()>,
}

impl<B> Bounded<B> {
    /// Whether it was cut short.
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_none()
    }
}

impl<B: HttpBody + Unpin> HttpBody for Bounded<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if self.body.is_some() && self.end.as_mut().poll(cx).is_ready() {
            self.body = None;
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    /// It may be shorter than announced.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl<B> fmt::Debug for Bounded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("is_over", &self.body.is_none()).finish_non_exhaustive()
    }
}

/// The end of a visitor's sign-in, to be waited for: when they sign out, wherever they do it.
#[derive(Clone)]
pub struct Ended(Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl Ended {
    /// What `wait` makes is ready when the sign-in has ended, at once if it has ended before.
    #[must_use]
    pub fn new<F>(wait: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(wait())))
    }

    /// Waits for it.
    async fn wait(&self) {
        (self.0)().await;
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ended")
    }
}

impl Visitor {
    /// Everybody, where nobody is asked who they are.
    pub(crate) fn local() -> Self {
        Self {
            caller: Caller::local(),
            cookies: Vec::new(),
            via_cookie: false,
            token: None,
            stay: Stay::default(),
        }
    }

    /// Who it is, when that was verified.
    pub(crate) fn identity(&self) -> Option<&Caller> {
        (self.caller.trust == Trust::Verified).then_some(&self.caller)
    }

    /// Tells whether a workspace of `owner` is somebody else's.
    pub(crate) fn is_guest_of(&self, owner: &Subject) -> bool {
        self.identity().is_some_and(|caller| caller.subject != *owner)
    }

    /// Tells whether a workspace of `owner` must not see these headers' `Authorization`: it was for us; or it is a token
    /// that may have been, and the workspace is not the visitor's own.
    pub(crate) fn keeps_authorization(&self, owner: &Subject, headers: &HeaderMap) -> bool {
        if self.identity().is_none() {
            return false;
        }
        !self.via_cookie || (self.is_guest_of(owner) && has_bearer(headers))
    }
}

/// Whether one of a request's credentials is a bearer token.
pub(crate) fn has_bearer(headers: &HeaderMap) -> bool {
    headers.get_all(header::AUTHORIZATION).iter().any(is_bearer)
}

/// Whether credentials are a bearer token (RFC 6750).
fn is_bearer(credentials: &HeaderValue) -> bool {
    let scheme = credentials.as_bytes().trim_ascii_start().split(|b| b.is_ascii_whitespace()).next();
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
}

/// A visitor's `Set-Cookie` headers, kept aside until it is known whether the request is granted.
#[derive(Default)]
pub(crate) struct Cookies {
    values: Vec<HeaderValue>,
    due: bool,
}

impl Cookies {
    pub(crate) fn take_from(visitor: &mut Visitor) -> Self {
        Self { values: std::mem::take(&mut visitor.cookies), due: visitor.via_cookie }
    }

    /// What the visitor was sent before is replaced.
    pub(crate) fn replace(&mut self, visitor: &mut Visitor) {
        if !visitor.cookies.is_empty() {
            self.values = std::mem::take(&mut visitor.cookies);
        }
    }

    /// The request is authorised.
    pub(crate) fn grant(&mut self) {
        self.due = true;
    }

    /// Adds what is due to an answer, which then no cache may keep.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if !self.due || self.values.is_empty() {
            return;
        }
        for value in self.values {
            headers.append(header::SET_COOKIE, value);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

impl fmt::Debug for dyn Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

#[cfg(test)]
mod tests {
    use nocrd_model::Role;

    use super::*;

    fn visitor(via_cookie: bool) -> Visitor {
        Visitor { caller: Caller::verified("alice".into(), Role::User), via_cookie, ..Visitor::local() }
    }

    #[test]
    fn t32_what_was_for_the_gateway_ends_there() {
        let headers =
            |credentials: &str| HeaderMap::from_iter([(header::AUTHORIZATION, credentials.parse().unwrap())]);
        for (visitor, owner, credentials, kept) in [
            (visitor(false), "alice", "Bearer x", true),
            (visitor(false), "bob", "Bearer x", true),
            // A program's own, beside our session.
            (visitor(true), "alice", "Bearer x", false),
            (visitor(true), "alice", "Basic eA==", false),
            (visitor(true), "bob", "Basic eA==", false),
            // It may have been for us, and expired.
            (visitor(true), "bob", "Bearer x", true),
            (visitor(true), "bob", "bEARER\tx", true),
            (Visitor::local(), "bob", "Bearer x", false),
        ] {
            let owner = Subject::from(owner);
            assert_eq!(
                visitor.keeps_authorization(&owner, &headers(credentials)),
                kept,
                "{owner} {credentials}"
            );
        }
    }

    #[test]
    fn cookies_come_with_a_grant_or_replace_others() {
        for (via_cookie, granted, sent) in
            [(true, true, 1), (true, false, 1), (false, true, 1), (false, false, 0)]
        {
            let mut visitor =
                Visitor { cookies: vec![HeaderValue::from_static("a=1")], ..visitor(via_cookie) };
            let mut cookies = Cookies::take_from(&mut visitor);
            if granted {
                cookies.grant();
            }
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
            cookies.write(&mut headers);
            assert_eq!(headers.get_all(header::SET_COOKIE).iter().count(), sent);
            assert_eq!(headers[header::CACHE_CONTROL] == "no-store", sent == 1);
        }
    }
}
