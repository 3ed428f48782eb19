//! Whose the cookies of a request are. A neighbouring host, or a page under another path, can put cookies of its own
//! beside the user's: when they don't agree, nobody can tell which were there first.

use std::sync::Arc;

use http::HeaderMap;

use super::{Authenticator, recent::Known};
use crate::{
    clock::UnixTime,
    cookies,
    refresh::RefreshTicket,
    session::{Age, Session},
};

/// What the good cookies of one name say.
pub(super) enum Found<T> {
    /// There is none.
    Nothing,
    /// They are one person's.
    One(T),
    /// They are different people's, so that one of them was put there by somebody else. They count as nobody's, and
    /// nothing else that the request carries makes up for it.
    Conflict,
}

impl Authenticator {
    /// The session of a request. Several of one person count as the one that lasts longest.
    pub(super) fn session(&self, headers: &HeaderMap, now: UnixTime) -> Found<Known> {
        let mut found: Option<Known> = None;
        for value in cookies::values(headers, cookies::SESSION) {
            let Some(known) = self.verified(value) else { continue };
            let session = &known.session;
            if !self.is_good(session, now) {
                continue;
            }
            match &found {
                Some(other) if other.session.identity.subject != session.identity.subject => {
                    tracing::info!("a request carries sessions of different people");
                    return Found::Conflict;
                }
                Some(other) if other.session.expires >= session.expires => {}
                _ => found = Some(known),
            }
        }
        found.map_or(Found::Nothing, Found::One)
    }

    /// What a cookie says, if its signature is good.
    fn verified(&self, value: &str) -> Option<Known> {
        // Before it is verified: with keys that are exchanged meanwhile it would not count for long.
        let epoch = self.mint.keys.epoch();
        if let Some(known) = self.recent.get(value, epoch) {
            return Some(known);
        }
        let session = Session::verify(value, &self.mint.keys).ok()?;
        let known = Known { caller: self.policy.caller(&session.identity), session: Arc::new(session) };
        self.recent.put(value, epoch, &known);
        Some(known)
    }

    /// Besides the signature: not over, not revoked.
    pub(super) fn is_good(&self, session: &Session, now: UnixTime) -> bool {
        session.age(now) != Age::Over && !self.revocations.is_revoked(session.sign_in())
    }

    /// The refresh token of a request. If there is a session, only that of the same sign-in: the session has told who
    /// it is. Several of one person count as the newest: the older ones of a sign-in are used up.
    pub(super) fn ticket(
        &self,
        headers: &HeaderMap,
        now: UnixTime,
        session: Option<&Session>,
    ) -> Found<RefreshTicket> {
        if self.provider.is_none() {
            return Found::Nothing;
        }
        let mut found: Option<RefreshTicket> = None;
        for value in cookies::values(headers, cookies::REFRESH) {
            let Ok(ticket) = RefreshTicket::open(value, &self.mint.keys) else { continue };
            let fits = session.is_none_or(|s| s.identity.subject == ticket.subject && s.sid == ticket.sid);
            if !fits || !self.is_usable(&ticket, now) {
                continue;
            }
            match &found {
                Some(other) if other.subject != ticket.subject => {
                    tracing::info!("a request carries refresh tokens of different people");
                    return Found::Conflict;
                }
                Some(other) if (other.auth_time, other.expires) >= (ticket.auth_time, ticket.expires) => {}
                _ => found = Some(ticket),
            }
        }
        found.map_or(Found::Nothing, Found::One)
    }

    /// Besides the seal: not over, not revoked.
    pub(super) fn is_usable(&self, ticket: &RefreshTicket, now: UnixTime) -> bool {
        now < ticket.end() && !self.revocations.is_revoked(ticket.sign_in())
    }
}
