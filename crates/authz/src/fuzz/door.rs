//! A front door that knows one secret for tokens and one key for sessions, and asks nobody.

use std::{cell::LazyCell, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::runtime::Runtime;

use crate::{
    authenticator::{Authenticated, Authenticator, Context, Parts, SameOrigin, Unauthenticated},
    claims::ClaimPaths,
    clock::{Clock, UnixTime},
    cookies::CookiePath,
    grants::LocalGrants,
    http::{Http, HttpOptions},
    keys::{KeyRing, SessionKeys},
    mint::Lifetimes,
    policy::Policy,
    revocation::LocalRevocations,
    verify::{Verifier, VerifierConfig},
};

/// The secret that signs good tokens.
pub(super) const SECRET: &str = "a secret for fuzzing, of 32 bytes";
/// What time it is, in seconds since 1970.
pub(super) const NOW: i64 = 1_700_000_000;

/// The front door, and what runs it.
struct Door {
    authenticator: Authenticator,
    runtime: Runtime,
}

thread_local! {
    static DOOR: LazyCell<Door> = const { LazyCell::new(Door::new) };
}

impl Door {
    #[expect(clippy::unwrap_used, reason = "all of it is said here, and good")]
    fn new() -> Self {
        let clock = Clock::new(|| UnixTime::new(NOW));
        let config = VerifierConfig { secret: Some(SECRET.into()), ..VerifierConfig::default() };
        let http = Arc::new(Http::new(&HttpOptions::default()).unwrap());
        let keys = SessionKeys::new(b"another secret for fuzzing, 32 bytes", []).unwrap();
        let authenticator = Authenticator::new(Parts {
            verifier: Arc::new(Verifier::new(config, http, clock.clone()).unwrap()),
            paths: Arc::new(ClaimPaths::default()),
            policy: Arc::new(Policy::default()),
            keys: Arc::new(KeyRing::known(keys)),
            provider: None,
            grants: Arc::new(LocalGrants::default()),
            revocations: Arc::new(LocalRevocations::new(clock.clone(), Lifetimes::default().sign_in)),
            cookies: CookiePath::new("/nocr").unwrap(),
            lifetimes: Lifetimes::default(),
            clock,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { authenticator, runtime }
    }
}

/// Who sends a request with these values of a header; `None` when they can't be sent in one.
pub(super) fn ask<'v>(
    name: &HeaderName,
    values: impl IntoIterator<Item = &'v [u8]>,
) -> Option<Result<Authenticated, Unauthenticated>> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name.clone(), HeaderValue::from_bytes(value).ok()?);
    }
    let context = Context { secure: true, same_origin: SameOrigin::Proven };
    Some(DOOR.with(|door| door.runtime.block_on(door.authenticator.authenticate(&headers, context))))
}
