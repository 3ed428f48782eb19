//! From a verified identity to the cookies of a session.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use secrecy::SecretString;

use crate::{
    claims::Identity,
    clock::UnixTime,
    cookies::{self, CookiePath},
    keys::{KeyRing, SealError},
    refresh::RefreshTicket,
    session::{Session, Sid},
};

/// How long things live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// A session cookie, from when it was made (`PROXY_SESSION_TTL`).
    pub session: Duration,
    /// A sign-in altogether, whatever is refreshed (`SESSION_MAX_AGE`).
    pub sign_in: Duration,
    /// A refresh token whose life the identity provider does not tell (`PROXY_REFRESH_COOKIE_TTL`).
    pub refresh: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            session: Duration::from_secs(30 * 60),
            sign_in: Duration::from_secs(12 * 60 * 60),
            refresh: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// The sign-in a session belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignIn {
    pub(crate) sid: Sid,
    pub(crate) auth_time: UnixTime,
    /// The absolute end.
    pub(crate) end: UnixTime,
}

/// A refresh token and when it ends.
#[derive(Clone)]
pub(crate) struct Refreshable {
    pub(crate) token: SecretString,
    pub(crate) expires: UnixTime,
}

/// What became of it.
pub(crate) struct Minted {
    pub(crate) session: Session,
    pub(crate) cookies: Vec<HeaderValue>,
    /// Whether the refresh token is in the cookies.
    pub(crate) refreshable: bool,
}

/// Makes the cookies.
#[derive(Debug, Clone)]
pub(crate) struct Mint {
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) path: CookiePath,
    pub(crate) lifetimes: Lifetimes,
}

impl Mint {
    /// A sign-in that begins now. It always has a name of its own: a session that the browser sent along is never
    /// taken over.
    pub(crate) fn new_sign_in(&self, now: UnixTime) -> SignIn {
        SignIn { sid: Sid::random(), auth_time: now, end: now.plus(self.lifetimes.sign_in) }
    }

    /// The sign-in that a session of ours belongs to.
    pub(crate) fn sign_in_of(&self, session: &Session) -> SignIn {
        let end = session.auth_time.plus(self.lifetimes.sign_in);
        SignIn { sid: session.sid, auth_time: session.auth_time, end }
    }

    /// The session of a sign-in and its cookies; `None` when the sign-in is over.
    ///
    /// `token_expires`, the end of the access token that says all this, bounds the session: it outlives the token by
    /// one session's life at most. A new token has to carry it further. Nor does it outlive a refresh token.
    pub(crate) fn mint(
        &self,
        sign_in: SignIn,
        identity: Identity,
        token_expires: Option<UnixTime>,
        refresh: Option<Refreshable>,
        now: UnixTime,
        secure: bool,
    ) -> Result<Option<Minted>, SealError> {
        let refresh_ends = refresh.as_ref().map(|refresh| refresh.expires);
        let refresh_cookie = match refresh {
            Some(refresh) => self.refresh_cookie(sign_in, &identity, refresh, now, secure)?,
            None => None,
        };
        let refresh_ends = refresh_ends.filter(|_| refresh_cookie.is_some());
        let carried = token_expires.map(|expires| expires.plus(self.lifetimes.session));
        let latest = [carried, refresh_ends].into_iter().flatten().fold(sign_in.end, UnixTime::min);
        let life = self.lifetimes.session;
        let begun = Session::begin(sign_in.sid, identity, sign_in.auth_time, now, life, latest);
        let Some(session) = begun else { return Ok(None) };
        let mut cookies = vec![self.session_cookie(&session, now, secure)?];
        let refreshable = refresh_cookie.is_some();
        cookies.extend(refresh_cookie);
        Ok(Some(Minted { session, cookies, refreshable }))
    }

    /// The `Set-Cookie` of a session.
    pub(crate) fn session_cookie(
        &self,
        session: &Session,
        now: UnixTime,
        secure: bool,
    ) -> Result<HeaderValue, SealError> {
        self.path.set(cookies::SESSION, &session.sign(&self.keys)?, now, session.expires, secure)
    }

    /// The `Set-Cookie` of a refresh token; `None` when it is over, or does not fit into a cookie: then the session
    /// does without.
    pub(crate) fn refresh_cookie(
        &self,
        sign_in: SignIn,
        identity: &Identity,
        refresh: Refreshable,
        now: UnixTime,
        secure: bool,
    ) -> Result<Option<HeaderValue>, SealError> {
        let ticket = RefreshTicket {
            token: refresh.token,
            subject: identity.subject.clone(),
            sid: sign_in.sid,
            auth_time: sign_in.auth_time,
            expires: refresh.expires,
            latest: sign_in.end,
        };
        if ticket.end() <= now {
            return Ok(None);
        }
        match ticket.seal(&self.keys) {
            Ok(value) => self.path.set(cookies::REFRESH, &value, now, ticket.end(), secure).map(Some),
            Err(error @ SealError::TooLarge { .. }) => {
                tracing::warn!(%error, "the session can't be refreshed");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// When a refresh token ends that the identity provider gave this life, if it told one.
    pub(crate) fn refresh_end(&self, told: Option<Duration>, now: UnixTime) -> UnixTime {
        now.plus(told.unwrap_or(self.lifetimes.refresh))
    }

    /// `Set-Cookie`s that remove a session and its refresh token.
    pub(crate) fn clear(&self, secure: bool) -> Vec<HeaderValue> {
        [cookies::SESSION, cookies::REFRESH]
            .into_iter()
            .filter_map(|name| self.path.clear(name, secure).ok())
            .collect()
    }

    /// The `Set-Cookie` that removes the refresh token alone.
    pub(crate) fn clear_refresh(&self, secure: bool) -> Option<HeaderValue> {
        self.path.clear(cookies::REFRESH, secure).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::new(seconds)
    }

    fn mint() -> Mint {
        Mint {
            keys: Arc::new(testing::keys()),
            path: CookiePath::new("").unwrap(),
            lifetimes: Lifetimes::default(),
        }
    }

    fn refreshable(token: &str, expires: i64) -> Option<Refreshable> {
        Some(Refreshable { token: token.to_owned().into(), expires: at(expires) })
    }

    #[test]
    fn t19_a_session_outlives_its_token_by_one_life_at_most() {
        let mint = mint();
        let sign_in = mint.new_sign_in(at(0));
        let minted =
            mint.mint(sign_in, testing::identity("a"), Some(at(300)), None, at(0), false).unwrap().unwrap();
        assert_eq!((minted.session.expires, minted.session.latest), (at(1800), at(2100)));
        assert_eq!(minted.cookies.len(), 1);
        let without = mint.mint(sign_in, testing::identity("a"), None, None, at(0), false).unwrap().unwrap();
        assert_eq!(without.session.latest, at(43_200));
        let long = mint
            .mint(sign_in, testing::identity("a"), Some(at(90_000)), None, at(0), false)
            .unwrap()
            .unwrap();
        assert_eq!(long.session.latest, at(43_200));
    }

    #[test]
    fn t19_no_cookie_outlives_the_sign_in_or_the_refresh_token() {
        let mint = mint();
        let sign_in = SignIn { end: at(1000), ..mint.new_sign_in(at(0)) };
        let of = |cookie: &HeaderValue| cookie.to_str().unwrap().to_owned();
        let minted = |expires, now| {
            mint.mint(sign_in, testing::identity("a"), None, refreshable("t", expires), at(now), true)
                .unwrap()
        };
        let both = minted(800, 100).unwrap().cookies;
        assert!(both.iter().all(|cookie| of(cookie).contains("Max-Age=700")), "{both:?}");
        assert!(of(&minted(5000, 100).unwrap().cookies[0]).contains("Max-Age=900"));
        assert!(of(&minted(5000, 100).unwrap().cookies[1]).contains("Max-Age=900"));
        assert!(!minted(90, 100).unwrap().refreshable);
        assert!(minted(5000, 1000).is_none());
    }

    #[test]
    fn a_refresh_token_too_large_for_a_cookie_leaves_a_session_without() {
        let mint = mint();
        let sign_in = mint.new_sign_in(at(0));
        let large = refreshable(&"x".repeat(5000), 5000);
        let minted = mint.mint(sign_in, testing::identity("a"), None, large, at(0), true).unwrap().unwrap();
        assert!(!minted.refreshable);
        assert_eq!(minted.cookies.len(), 1);
    }
}
