//! The cookie `nocr_refresh`: the refresh token, encrypted, together with whose it is and how long it may be used.

use std::fmt;

use nocrd_model::Subject;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    clock::UnixTime,
    cookies::MAX_VALUE,
    keys::{KeyRing, Purpose, SealError},
    revocation::SignInId,
    session::Sid,
};

/// A refresh token in the keeping of a browser that can't read it.
#[derive(Clone)]
pub struct RefreshTicket {
    /// The token itself.
    pub token: SecretString,
    /// Who signed in with it: what it yields must be the same subject.
    pub subject: Subject,
    /// The sign-in it belongs to.
    pub sid: Sid,
    /// When the user signed in here.
    pub auth_time: UnixTime,
    /// From when on the identity provider will not take it.
    pub expires: UnixTime,
    /// The absolute end of the sign-in, which no refresh moves.
    pub latest: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    token: std::borrow::Cow<'a, str>,
    sub: Subject,
    sid: Sid,
    auth_time: UnixTime,
    exp: UnixTime,
    latest: UnixTime,
}

impl RefreshTicket {
    /// The sign-in it belongs to, for those who ask whether that was ended.
    #[must_use]
    pub fn sign_in(&self) -> SignInId<'_> {
        SignInId { sid: self.sid, subject: &self.subject, auth_time: self.auth_time }
    }

    /// From when on it is of no use.
    #[must_use]
    pub fn end(&self) -> UnixTime {
        self.expires.min(self.latest)
    }

    /// The cookie's value.
    ///
    /// # Errors
    /// [`SealError::NotReady`], [`SealError::TooLarge`].
    pub fn seal(&self, keys: &KeyRing) -> Result<String, SealError> {
        let wire = Wire {
            token: self.token.expose_secret().into(),
            sub: self.subject.clone(),
            sid: self.sid,
            auth_time: self.auth_time,
            exp: self.expires,
            latest: self.latest,
        };
        let json = serde_json::to_vec(&wire).map_err(|_| SealError::Malformed)?;
        let value = keys.seal(Purpose::Refresh, b"", &json)?;
        if value.len() > MAX_VALUE {
            return Err(SealError::TooLarge {
                what: "the refresh token",
                bytes: value.len(),
                max: MAX_VALUE,
            });
        }
        Ok(value)
    }

    /// What a cookie's value holds, whatever its age.
    ///
    /// # Errors
    /// As [`KeyRing::open`].
    pub fn open(value: &str, keys: &KeyRing) -> Result<Self, SealError> {
        let json = keys.open(Purpose::Refresh, b"", value)?;
        let wire: Wire<'_> = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        Ok(Self {
            token: wire.token.into_owned().into(),
            subject: wire.sub,
            sid: wire.sid,
            auth_time: wire.auth_time,
            expires: wire.exp,
            latest: wire.latest,
        })
    }
}

impl fmt::Debug for RefreshTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTicket")
            .field("sid", &self.sid)
            .field("expires", &self.expires)
            .field("latest", &self.latest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn ticket(token: &str) -> RefreshTicket {
        RefreshTicket {
            token: token.to_owned().into(),
            subject: "alice".into(),
            sid: Sid::random(),
            auth_time: UnixTime::new(1),
            expires: UnixTime::new(500),
            latest: UnixTime::new(400),
        }
    }

    #[test]
    fn round_trip() {
        let keys = testing::keys();
        let ticket = ticket("a \"refresh\" token");
        let value = ticket.seal(&keys).unwrap();
        let opened = RefreshTicket::open(&value, &keys).unwrap();
        assert_eq!(opened.token.expose_secret(), "a \"refresh\" token");
        assert_eq!((opened.subject, opened.sid), (ticket.subject, ticket.sid));
        assert_eq!(
            (opened.auth_time, opened.expires, opened.latest),
            (ticket.auth_time, ticket.expires, ticket.latest)
        );
    }

    #[test]
    fn t54_neither_cookie_nor_debug_text_shows_the_token() {
        let keys = testing::keys();
        let ticket = ticket("very-secret-refresh-token");
        assert!(!format!("{ticket:?}").contains("very-secret"));
        let value = ticket.seal(&keys).unwrap();
        assert_ne!(value, ticket.seal(&keys).unwrap(), "a nonce of its own each time");
        let body = value.rsplit('.').next().unwrap();
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).unwrap();
        assert!(!bytes.windows(11).any(|w| w == b"very-secret"));
    }

    #[test]
    fn a_token_that_fits_no_cookie_is_refused_by_name() {
        let error = ticket(&"x".repeat(3000)).seal(&testing::keys()).unwrap_err();
        assert!(matches!(error, SealError::TooLarge { what: "the refresh token", .. }), "{error}");
    }

    #[test]
    fn it_ends_at_the_earlier_of_both_ends() {
        assert_eq!(ticket("t").end(), UnixTime::new(400));
    }
}
