//! The front door: who sends a request, by bearer token, session or refresh token.
//!
//! A request is taken for what its bearer token says, if that is good; else for its session; else for what its refresh
//! token yields. A session in its first half needs neither the network nor a lock, which is the common case by far.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use nocrd_model::{Caller, Code, error};
use secrecy::SecretString;

use crate::{
    claims::{ClaimPaths, Identity},
    clock::{Clock, UnixTime},
    cookies::{self, CookiePath},
    grants::{GrantStore, Grants},
    keys::{KeyId, KeyRing, SealError},
    login::Login,
    mint::{Lifetimes, Mint, Minted, SignIn},
    policy::Policy,
    provider::Provider,
    revocation::Revocations,
    session::{Age, Session},
    verify::{TokenError, Verifier},
};

mod found;
mod handover;
mod recent;
mod renew;
mod sign_out;
mod tokens;

pub use handover::{Asking, HandedOver, NotHandedOver, PATIENCE as LINK_PATIENCE, Pending};
pub use sign_out::SignedOut;

use found::Found;
use handover::Used;
use recent::{Known, Recent};
use renew::RefreshFailed;
pub(crate) use tokens::Tokens;

/// How long a sign-in is a moment ago.
const JUST_NOW: Duration = Duration::from_secs(60);
/// How far the clocks of replicas may be apart.
const SKEW: Duration = Duration::from_secs(10);

/// What the front door consists of.
pub struct Parts {
    /// Checks tokens.
    pub verifier: Arc<Verifier>,
    /// Finds identities in them.
    pub paths: Arc<ClaimPaths>,
    /// Turns identities into callers.
    pub policy: Arc<Policy>,
    /// Signs and seals cookies.
    pub keys: Arc<KeyRing>,
    /// Exchanges codes and refresh tokens; `None` when no identity provider is configured.
    pub provider: Option<Arc<Provider>>,
    /// What replicas share about refreshes.
    pub grants: Arc<dyn GrantStore>,
    /// The sign-ins that were ended.
    pub revocations: Arc<dyn Revocations>,
    /// Where cookies are good.
    pub cookies: CookiePath,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// What time it is.
    pub clock: Clock,
}

/// Whether a request comes from a page of this site, as the server that knows its origin has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameOrigin {
    /// A page of this site sent it: `Sec-Fetch-Site: same-origin`, or this site's `Origin`.
    Proven,
    /// Nothing tells, and the request needs no proof: it changes nothing and asks for no upgrade.
    NotNeeded,
    /// It needs the proof and has none: cookies do not count.
    Missing,
}

/// What the server knows about a request besides its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Whether the browser reached the server by https.
    pub secure: bool,
    /// Whether it comes from a page of this site.
    pub same_origin: SameOrigin,
}

/// How a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By the token of the `Authorization` header.
    Bearer,
    /// By the cookie `nocr_sess`.
    Session,
    /// By the cookie `nocr_refresh`, just exchanged.
    Refresh,
}

/// Somebody.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who, and with which rights.
    pub caller: Caller,
    /// How that is known.
    pub via: Via,
    /// The access token, when the request brought or yielded one.
    pub token: Option<SecretString>,
    /// The session: the request's own, or the one made for it.
    pub session: Option<Arc<Session>>,
    /// When the access token ends that told this, if one did.
    pub token_expires: Option<UnixTime>,
    /// `Set-Cookie` headers; [`Self::cookies_for`] tells when to send them.
    pub cookies: Vec<HeaderValue>,
}

impl Authenticated {
    /// The `Set-Cookie` headers for an answer that grants the request, or refuses it. A session that a bearer token
    /// would yield is for requests that were granted; a renewed one is sent in any case, because the old refresh token
    /// is used up.
    #[must_use]
    pub fn cookies_for(&self, granted: bool) -> &[HeaderValue] {
        if granted || self.via != Via::Bearer { &self.cookies } else { &[] }
    }
}

/// Nobody, so far.
#[derive(Debug)]
pub struct Unauthenticated {
    /// Why.
    pub reason: Reason,
    /// `Set-Cookie` headers to send with the answer.
    pub cookies: Vec<HeaderValue>,
}

/// Why nobody was recognised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The request brought nothing that could tell.
    #[error("the request carries no credentials")]
    NoCredentials,
    /// Its bearer token is not good.
    #[error("the bearer token is not accepted")]
    Token(#[source] TokenError),
    /// Its cookies are not good: expired, changed, revoked, or of several people.
    #[error("the session is over")]
    SignedOut,
    /// There is no refresh token that could yield an access token.
    #[error("there is no refresh token for this session: sign in again")]
    NoRefreshToken,
    /// Its cookies do not count, because it does not come from a page of this site.
    #[error("a request with cookies that changes something must come from a page of this site")]
    CrossSite,
    /// Its cookies can't be read yet: the server does not know its session key.
    #[error("the server does not know its session key yet")]
    NotReady,
    /// The identity provider does not answer, and nothing else tells.
    #[error("the identity provider does not answer at the moment")]
    Unavailable,
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NoCredentials | Self::SignedOut | Self::NoRefreshToken => error::UNAUTHENTICATED,
            Self::Token(error) => error.code(),
            Self::CrossSite => error::HOST_NOT_ALLOWED,
            Self::NotReady => error::NOT_SYNCED,
            Self::Unavailable => error::IDENTITY_PROVIDER_UNAVAILABLE,
        }
    }
}

impl From<Reason> for Unauthenticated {
    fn from(reason: Reason) -> Self {
        Self { reason, cookies: Vec::new() }
    }
}

/// Recognises callers.
pub struct Authenticator {
    verifier: Arc<Verifier>,
    paths: Arc<ClaimPaths>,
    policy: Arc<Policy>,
    provider: Option<Arc<Provider>>,
    grants: Arc<Grants>,
    revocations: Arc<dyn Revocations>,
    mint: Mint,
    tokens: Arc<Tokens>,
    recent: Recent,
    /// Links that were answered.
    used: Used,
    clock: Clock,
    /// Until when sessions that are still good are not refreshed.
    idp_rests_until: AtomicI64,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Authenticator {
    /// The front door made of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { verifier, paths, policy, keys, provider, grants, revocations, cookies, lifetimes, clock } =
            parts;
        Self {
            verifier,
            paths,
            policy,
            provider,
            grants: Grants::new(grants, keys.clone()),
            revocations,
            mint: Mint { keys, path: cookies, lifetimes },
            tokens: Arc::default(),
            recent: Recent::default(),
            used: Used::default(),
            clock,
            idp_rests_until: AtomicI64::new(i64::MIN),
        }
    }

    /// Signs browsers in with the same keys and the same policy; `None` when no identity provider is configured.
    #[must_use]
    pub fn login(&self) -> Option<Login> {
        Some(Login {
            provider: self.provider.clone()?,
            verifier: self.verifier.clone(),
            paths: self.paths.clone(),
            policy: self.policy.clone(),
            mint: self.mint.clone(),
            tokens: self.tokens.clone(),
            clock: self.clock.clone(),
        })
    }

    /// The caller of a request that has no bearer token and whose session is in its first half. It waits for nothing,
    /// and is what most requests need; for all others [`Self::authenticate`] decides.
    #[must_use]
    pub fn recognise(&self, headers: &HeaderMap, context: Context) -> Option<Authenticated> {
        if context.same_origin == SameOrigin::Missing || headers.contains_key(AUTHORIZATION) {
            return None;
        }
        let now = self.clock.now();
        match self.session(headers, now) {
            Found::One(known) if known.session.age(now) == Age::Fresh => {
                Some(self.by_session(known, Vec::new()))
            }
            _ => None,
        }
    }

    /// The key of a session that was made within the last minute, where that key is not known here. Whoever signs in again
    /// will get another like it: the replicas that sign people in have another key than this one.
    #[must_use]
    pub fn made_elsewhere(&self, headers: &HeaderMap) -> Option<KeyId> {
        let now = self.clock.now().as_secs();
        // Anybody can write that one was made tomorrow.
        let recent = now - JUST_NOW.as_secs().cast_signed()..=now + SKEW.as_secs().cast_signed();
        cookies::values(headers, cookies::SESSION)
            .filter_map(|value| Session::made_elsewhere(value, &self.mint.keys))
            .find_map(|(key, made)| recent.contains(&made.as_secs()).then_some(key))
    }

    /// Who sends a request with these headers.
    ///
    /// # Errors
    /// [`Unauthenticated`], when nobody can be recognised.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        context: Context,
    ) -> Result<Authenticated, Unauthenticated> {
        let refused = match bearer(headers) {
            Bearer::None => None,
            Bearer::Ambiguous => Some(TokenError::Malformed),
            Bearer::Token(token) => match self.by_bearer(token, headers, context).await {
                Ok(authenticated) => return Ok(authenticated),
                Err(error) => Some(error),
            },
        };
        match self.by_cookies(headers, context).await {
            Ok(authenticated) => Ok(authenticated),
            Err(Unauthenticated { cookies, reason }) => {
                // What the client tried on purpose is what it is told about, unless the other way may yet be open.
                let reason = match (refused, reason) {
                    (_, reason @ (Reason::NotReady | Reason::Unavailable)) => reason,
                    (Some(error), _) => Reason::Token(error),
                    (None, reason) => reason,
                };
                Err(Unauthenticated { reason, cookies })
            }
        }
    }

    /// A request with a bearer token.
    async fn by_bearer(
        &self,
        token: &str,
        headers: &HeaderMap,
        context: Context,
    ) -> Result<Authenticated, TokenError> {
        let verified = self.verifier.verify(token).await?;
        let identity = self.paths.identity(verified.claims()).map_err(|error| {
            tracing::debug!(%error, "a token names nobody");
            TokenError::MissingClaim("sub")
        })?;
        let caller = self.policy.caller(&identity);
        let (session, cookies) = if context.same_origin == SameOrigin::Proven {
            self.session_for_bearer(identity, verified.expires(), headers, context)
        } else {
            (None, Vec::new())
        };
        if let Some(session) = &session {
            // For requests of the same page that can't carry it.
            self.tokens.keep(session.sid, token.to_owned().into(), verified.expires()).await;
        }
        Ok(Authenticated {
            caller,
            via: Via::Bearer,
            token: Some(token.to_owned().into()),
            session,
            token_expires: Some(verified.expires()),
            cookies,
        })
    }

    /// The session that a page's bearer token is worth, for the requests of that page that can't carry it. The one it
    /// has already is kept while it says the same.
    fn session_for_bearer(
        &self,
        identity: Identity,
        token_expires: UnixTime,
        headers: &HeaderMap,
        context: Context,
    ) -> (Option<Arc<Session>>, Vec<HeaderValue>) {
        let now = self.clock.now();
        let present = match self.session(headers, now) {
            Found::One(known) => Some(known.session).filter(|s| s.identity.subject == identity.subject),
            Found::Nothing => None,
            // One more would be as doubtful as the others, and which to remove nobody can tell.
            Found::Conflict => return (None, Vec::new()),
        };
        if let Some(session) = &present
            && session.identity == identity
            && session.age(now) == Age::Fresh
        {
            return (present, Vec::new());
        }
        let sign_in = present.as_ref().map(|session| self.mint.sign_in_of(session)).filter(|s| s.end > now);
        let fresh = sign_in.is_none();
        match self.session_of_token(identity, token_expires, sign_in, now, context.secure) {
            Ok(Some(minted)) => {
                let mut cookies = minted.cookies;
                // The refresh token of another sign-in must not carry this one on.
                if fresh && cookies::values(headers, cookies::REFRESH).next().is_some() {
                    cookies.extend(self.mint.clear_refresh(context.secure));
                }
                (Some(minted.session.into()), cookies)
            }
            Ok(None) | Err(SealError::NotReady) => (None, Vec::new()),
            Err(error) => {
                tracing::warn!(%error, "no session for a bearer token");
                (None, Vec::new())
            }
        }
    }

    /// The session that a token alone is worth, in a sign-in that has begun or in one that begins now.
    fn session_of_token(
        &self,
        identity: Identity,
        token_expires: UnixTime,
        sign_in: Option<SignIn>,
        now: UnixTime,
        secure: bool,
    ) -> Result<Option<Minted>, SealError> {
        let sign_in = sign_in.unwrap_or_else(|| self.mint.new_sign_in(now));
        // Who asked the identity provider about the token may get another answer soon, which a session does not ask for: it
        // must not be carried on without the token.
        let said_until = if self.verifier.asks() { now.min(token_expires) } else { token_expires };
        self.mint.mint(sign_in, identity, Some(said_until), None, now, secure)
    }

    /// A request with cookies, if they count.
    async fn by_cookies(
        &self,
        headers: &HeaderMap,
        context: Context,
    ) -> Result<Authenticated, Unauthenticated> {
        if !cookies::has_credentials(headers) {
            return Err(Reason::NoCredentials.into());
        }
        if context.same_origin == SameOrigin::Missing {
            return Err(Reason::CrossSite.into());
        }
        if !self.mint.keys.is_known() {
            return Err(Reason::NotReady.into());
        }
        let now = self.clock.now();
        match self.session(headers, now) {
            Found::One(known) => Ok(self.by_waning_session(known, headers, context, now).await),
            Found::Nothing => self.by_refresh(headers, context, now).await,
            // Refresh tokens don't settle it, and the cookies stay: most of them are somebody's own.
            Found::Conflict => Err(Reason::SignedOut.into()),
        }
    }

    /// A session that is good, and may be in its second half.
    async fn by_waning_session(
        &self,
        known: Known,
        headers: &HeaderMap,
        context: Context,
        now: UnixTime,
    ) -> Authenticated {
        let session = &known.session;
        if session.age(now) == Age::Fresh {
            return self.by_session(known, Vec::new());
        }
        // The session says who it is: the refresh token of another sign-in is not looked at.
        let Found::One(ticket) = self.ticket(headers, now, Some(session)) else {
            let extended = session.extended(now, self.mint.lifetimes.session);
            return self.with_cookie(extended, known, Vec::new(), context, now);
        };
        if self.idp_rests(now) {
            return self.by_session(known, Vec::new());
        }
        match self.refresh(&ticket, context).await {
            Ok(authenticated) => authenticated,
            Err(RefreshFailed::Unavailable(cookies)) => self.by_session(known, cookies),
            Err(RefreshFailed::Refused) => {
                // The identity provider has ended the sign-in: what is left of the session is not extended.
                let clear = self.mint.clear_refresh(context.secure).into_iter().collect();
                self.with_cookie(Some(session.ending()), known, clear, context, now)
            }
        }
    }

    /// A request whose session, if it has one, is over.
    async fn by_refresh(
        &self,
        headers: &HeaderMap,
        context: Context,
        now: UnixTime,
    ) -> Result<Authenticated, Unauthenticated> {
        let signed_out =
            || Unauthenticated { reason: Reason::SignedOut, cookies: self.mint.clear(context.secure) };
        let Found::One(ticket) = self.ticket(headers, now, None) else {
            // Neither a key this replica does not know (yet) nor a planted cookie is a reason to sign anybody out.
            return Err(Reason::SignedOut.into());
        };
        match self.refresh(&ticket, context).await {
            Ok(authenticated) => Ok(authenticated),
            Err(RefreshFailed::Refused) => Err(signed_out()),
            Err(RefreshFailed::Unavailable(cookies)) => {
                Err(Unauthenticated { reason: Reason::Unavailable, cookies })
            }
        }
    }

    fn by_session(&self, known: Known, cookies: Vec<HeaderValue>) -> Authenticated {
        Authenticated {
            caller: known.caller,
            via: Via::Session,
            token: None,
            session: Some(known.session),
            token_expires: None,
            cookies,
        }
    }

    /// A caller by a session whose cookie is replaced by `next`.
    fn with_cookie(
        &self,
        next: Option<Session>,
        known: Known,
        mut cookies: Vec<HeaderValue>,
        context: Context,
        now: UnixTime,
    ) -> Authenticated {
        let Some(next) = next else { return self.by_session(known, cookies) };
        match self.mint.session_cookie(&next, now, context.secure) {
            Ok(cookie) => {
                cookies.push(cookie);
                self.by_session(Known { session: next.into(), ..known }, cookies)
            }
            Err(error) => {
                tracing::warn!(%error, "a session can't be renewed");
                self.by_session(known, cookies)
            }
        }
    }
}

enum Bearer<'h> {
    None,
    Token(&'h str),
    /// Several `Authorization` headers, or bytes that no token has.
    Ambiguous,
}

/// The token of a request (RFC 6750 section 2.1). Other schemes are none of ours.
fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = all.next() else { return Bearer::None };
    if all.next().is_some() {
        return Bearer::Ambiguous;
    }
    let Ok(text) = first.to_str() else { return Bearer::Ambiguous };
    match text.trim_start().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => match token.trim() {
            "" => Bearer::None,
            token => Bearer::Token(token),
        },
        _ => Bearer::None,
    }
}

#[cfg(test)]
mod tests;
