//! The cookie `nocr_sess`: who signed in, what their token said, and until when that is believed.
//!
//! It is signed, not encrypted: it holds nothing that its owner may not read. It carries roles *and* scopes exactly as
//! the token named them, so that a session can do what its token could, and nothing more.

use std::{collections::BTreeSet, fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nocrd_model::Subject;
use serde::{Deserialize, Serialize};

use crate::{
    claims::Identity,
    clock::UnixTime,
    cookies::MAX_VALUE,
    keys::{KeyId, KeyRing, Purpose, SealError},
    revocation::SignInId,
};

/// The random name of one sign-in; what logout revokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid([u8; 16]);

impl Sid {
    /// A new one, of 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl std::str::FromStr for Sid {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Self(bytes)),
            _ => Err(SealError::Malformed),
        }
    }
}

impl Serialize for Sid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How far a session is into its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// In its first half: nothing to do.
    Fresh,
    /// In its second half: time to renew it.
    Waning,
    /// Over.
    Over,
}

/// A signed-in user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The sign-in it belongs to.
    pub sid: Sid,
    /// Who, and what the token said.
    pub identity: Identity,
    /// When this cookie was made.
    pub issued: UnixTime,
    /// From when on it is not accepted.
    pub expires: UnixTime,
    /// Beyond which it can't be extended without the identity provider.
    pub latest: UnixTime,
    /// When the user signed in here.
    pub auth_time: UnixTime,
}

/// The session as the cookie holds it. Unknown members are skipped, so that replicas of neighbouring releases
/// understand each other.
#[derive(Serialize, Deserialize)]
struct Wire {
    sid: Sid,
    sub: Subject,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    roles: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<BTreeSet<String>>,
    iat: UnixTime,
    exp: UnixTime,
    latest: UnixTime,
    auth_time: UnixTime,
}

impl Session {
    /// A session of `life` from `now` on, or shorter where `latest` comes first; `None` when that has passed.
    #[must_use]
    pub fn begin(
        sid: Sid,
        identity: Identity,
        auth_time: UnixTime,
        now: UnixTime,
        life: Duration,
        latest: UnixTime,
    ) -> Option<Self> {
        let expires = now.plus(life).min(latest);
        (expires > now).then_some(Self { sid, identity, issued: now, expires, latest, auth_time })
    }

    /// The sign-in it belongs to, for those who ask whether that was ended.
    #[must_use]
    pub fn sign_in(&self) -> SignInId<'_> {
        SignInId { sid: self.sid, subject: &self.identity.subject, auth_time: self.auth_time }
    }

    /// How far it is into its life.
    #[must_use]
    pub fn age(&self, now: UnixTime) -> Age {
        if now >= self.expires {
            Age::Over
        } else if now >= self.issued.midway(self.expires) {
            Age::Waning
        } else {
            Age::Fresh
        }
    }

    /// The same session with a new life, if it is in its second half and can still grow.
    #[must_use]
    pub fn extended(&self, now: UnixTime, life: Duration) -> Option<Self> {
        let expires = now.plus(life).min(self.latest);
        (self.age(now) == Age::Waning && expires > self.expires).then(|| Self {
            issued: now,
            expires,
            ..self.clone()
        })
    }

    /// The same session, to end when it would and not to be extended.
    #[must_use]
    pub fn ending(&self) -> Self {
        Self { latest: self.expires, ..self.clone() }
    }

    /// The cookie's value.
    ///
    /// # Errors
    /// [`SealError::NotReady`], [`SealError::TooLarge`].
    pub fn sign(&self, keys: &KeyRing) -> Result<String, SealError> {
        let wire = Wire {
            sid: self.sid,
            sub: self.identity.subject.clone(),
            roles: self.identity.roles.clone(),
            scopes: self.identity.scopes.clone(),
            iat: self.issued,
            exp: self.expires,
            latest: self.latest,
            auth_time: self.auth_time,
        };
        let json = serde_json::to_vec(&wire).map_err(|_| SealError::Malformed)?;
        let value = keys.sign(Purpose::Session, &json)?;
        if value.len() > MAX_VALUE {
            return Err(SealError::TooLarge { what: "the session", bytes: value.len(), max: MAX_VALUE });
        }
        Ok(value)
    }

    /// The key that made a cookie's value, and when, where that key is not known here. Both are the cookie's own word, which
    /// nothing proves: good for an explanation, and for nothing else.
    #[must_use]
    pub fn made_elsewhere(value: &str, keys: &KeyRing) -> Option<(KeyId, UnixTime)> {
        #[derive(Deserialize)]
        struct Made {
            iat: UnixTime,
        }
        let Err(SealError::UnknownKey(key)) = keys.verify(Purpose::Session, value) else { return None };
        let payload = URL_SAFE_NO_PAD.decode(value.split('.').nth(2)?).ok()?;
        let Made { iat } = serde_json::from_slice(&payload).ok()?;
        Some((key, iat))
    }

    /// The session a cookie's value holds, whatever its age.
    ///
    /// # Errors
    /// As [`KeyRing::verify`].
    pub fn verify(value: &str, keys: &KeyRing) -> Result<Self, SealError> {
        let json = keys.verify(Purpose::Session, value)?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|_| SealError::Malformed)?;
        if wire.sub.as_str().is_empty() {
            return Err(SealError::Malformed);
        }
        Ok(Self {
            sid: wire.sid,
            identity: Identity { subject: wire.sub, roles: wire.roles, scopes: wire.scopes },
            issued: wire.iat,
            expires: wire.exp,
            latest: wire.latest,
            auth_time: wire.auth_time,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{keys::SessionKeys, testing};

    const LIFE: Duration = Duration::from_secs(1800);

    fn at(seconds: i64) -> UnixTime {
        UnixTime::new(seconds)
    }

    fn session(latest: i64) -> Session {
        Session::begin(Sid::random(), testing::identity("alice"), at(1000), at(1000), LIFE, at(latest))
            .unwrap()
    }

    #[test]
    fn what_a_key_that_is_not_known_has_made_tells_when() {
        let other = SessionKeys::new(&[7; 32], []).unwrap();
        let other_id = other.current_id();
        let value = session(4000).sign(&KeyRing::known(other)).unwrap();
        let ours = testing::keys();
        assert_eq!(Session::made_elsewhere(&value, &ours), Some((other_id, at(1000))));
        assert_eq!(Session::made_elsewhere(&session(4000).sign(&ours).unwrap(), &ours), None);
        let forged = value.replacen(other_id.as_str(), ours.current_id().unwrap().as_str(), 1);
        assert_eq!(Session::made_elsewhere(&forged, &ours), None);
        for text in ["", "2", "2.AAAAAAAA..", "2.AAAAAAAA.e30.x", "2.AAAAAAAA.!.x"] {
            assert_eq!(Session::made_elsewhere(text, &ours), None, "{text}");
        }
    }

    #[test]
    fn t19_expiry_half_life_and_absolute_end_are_exact() {
        let first = session(4000);
        assert_eq!((first.issued, first.expires), (at(1000), at(2800)));
        assert_eq!(first.age(at(1899)), Age::Fresh);
        assert_eq!(first.age(at(1900)), Age::Waning);
        assert_eq!(first.age(at(2799)), Age::Waning);
        assert_eq!(first.age(at(2800)), Age::Over);

        assert_eq!(first.extended(at(1899), LIFE), None);
        assert_eq!(first.extended(at(2800), LIFE), None);
        let second = first.extended(at(1900), LIFE).unwrap();
        assert_eq!((second.issued, second.expires), (at(1900), at(3700)));
        assert_eq!((second.sid, second.auth_time, second.latest), (first.sid, at(1000), at(4000)));

        let third = second.extended(at(3000), LIFE).unwrap();
        assert_eq!(third.expires, at(4000), "never beyond the absolute end");
        assert_eq!(third.extended(at(3999), LIFE), None);
        assert_eq!(third.age(at(4000)), Age::Over);
    }

    #[test]
    fn t19_no_session_begins_after_its_end() {
        let begin = |latest| {
            Session::begin(Sid::random(), testing::identity("alice"), at(0), at(1000), LIFE, at(latest))
        };
        assert_eq!(begin(1000), None);
        assert_eq!(begin(1001).unwrap().expires, at(1001));
    }

    #[test]
    fn an_ending_session_is_not_extended() {
        let ending = session(4000).ending();
        assert_eq!(ending.expires, at(2800));
        assert_eq!(ending.extended(at(2700), LIFE), None);
    }

    #[test]
    fn a_session_that_fits_no_cookie_is_refused_by_name() {
        let keys = testing::keys();
        let mut session = session(4000);
        session.identity.roles = (0..400).map(|n| format!("role-number-{n}")).collect();
        let error = session.sign(&keys).unwrap_err();
        assert!(matches!(error, SealError::TooLarge { what: "the session", .. }), "{error}");
        assert!(error.to_string().contains("fewer roles"), "{error}");
    }

    #[test]
    fn d51_an_empty_identity_is_none() {
        let keys = testing::keys();
        let mut session = session(4000);
        session.identity.subject = Subject::new("");
        assert_eq!(Session::verify(&session.sign(&keys).unwrap(), &keys), Err(SealError::Malformed));
    }

    proptest! {
        #[test]
        fn d06_a_session_carries_exactly_what_the_token_said(
            subject in "\\PC{1,40}",
            roles in prop::collection::btree_set("\\PC{0,12}", 0..5),
            scopes in prop::option::of(prop::collection::btree_set("[a-z:]{0,12}", 0..5)),
        ) {
            let keys = KeyRing::known(SessionKeys::new(&[3; 32], []).unwrap());
            let identity = Identity { subject: Subject::new(subject), roles, scopes };
            let session = Session::begin(Sid::random(), identity, at(1), at(1), LIFE, at(9000)).unwrap();
            prop_assert_eq!(&Session::verify(&session.sign(&keys).unwrap(), &keys).unwrap(), &session);
        }
    }
}
