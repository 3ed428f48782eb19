//! What the tests of this crate share.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use nocrd_model::Subject;

use crate::{
    claims::Identity,
    clock::{Clock, UnixTime},
    keys::{KeyRing, SessionKeys},
};

pub(crate) mod idp;

pub(crate) use idp::{ISSUER, Idp, paths, policy};

/// A ring with a fixed key.
pub(crate) fn keys() -> KeyRing {
    KeyRing::known(SessionKeys::new(b"a secret for tests, of 32 bytes.", []).unwrap())
}

/// Somebody with one role and one scope.
pub(crate) fn identity(subject: &str) -> Identity {
    Identity {
        subject: Subject::new(subject),
        roles: ["user".to_owned()].into(),
        scopes: Some(["nogoo9:read".to_owned()].into()),
    }
}

/// A clock that stands still until it is set.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let seconds = self.0.clone();
        Clock::new(move || UnixTime::new(seconds.load(Ordering::SeqCst)))
    }
}
