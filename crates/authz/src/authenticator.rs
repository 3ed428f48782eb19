//! The front door: who sends a request, by bearer token, session or refresh token.
//!
//! A request is taken for what its bearer token says, if that is good; else for its session; else for what its refresh
//! token yields. A session in its first half needs neither the network nor a lock, which is the common case by far.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use nocrd_model::{Caller, Code, Subject, error};
use secrecy::SecretString;
use url::Url;

use crate::{
    claims::{ClaimPaths, Identity},
    clock::{Clock, UnixTime},
    cookies::{self, CookiePath, LOGIN_PREFIX},
    grants::{GrantStore, Grants, Outcome, Renewed, Unavailable},
    keys::{KeyRing, SealError},
    login::{Login, LoginError, Nonce, identify},
    mint::{Lifetimes, Mint, Refreshable, SignIn},
    policy::Policy,
    provider::{Provider, ProviderError, TokenSet},
    refresh::RefreshTicket,
    return_to::Site,
    revocation::Revocations,
    session::{Age, Session, Sid},
    verify::{TokenError, Verifier},
};

mod found;

use found::Found;

/// How long sessions that are still good are not refreshed after the identity provider did not answer.
const BACK_OFF: Duration = Duration::from_secs(10);

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
    pub session: Option<Session>,
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
            Self::NoCredentials | Self::SignedOut => error::UNAUTHENTICATED,
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

/// What a sign-out did.
#[derive(Debug)]
pub struct SignedOut {
    /// Who signed out, if anybody was signed in.
    pub subject: Option<Subject>,
    /// `Set-Cookie` headers that remove the cookies.
    pub cookies: Vec<HeaderValue>,
    /// Whether the sign-out could be recorded for all replicas.
    pub recorded: bool,
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
    clock: Clock,
    /// Until when sessions that are still good are not refreshed.
    idp_rests_until: AtomicI64,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// How a refresh ended.
enum RefreshFailed {
    /// For good: the cookie is of no use.
    Refused,
    /// For now. The cookies, if any, replace a refresh token that was used up.
    Unavailable(Vec<HeaderValue>),
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
            Found::One(session) if session.age(now) == Age::Fresh => {
                Some(self.by_session(session, Vec::new()))
            }
            _ => None,
        }
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
    ) -> (Option<Session>, Vec<HeaderValue>) {
        let now = self.clock.now();
        let present = match self.session(headers, now) {
            Found::One(session) => Some(session).filter(|s| s.identity.subject == identity.subject),
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
        let sign_in = sign_in.unwrap_or_else(|| self.mint.new_sign_in(now));
        match self.mint.mint(sign_in, identity, Some(token_expires), None, now, context.secure) {
            Ok(Some(minted)) => {
                let mut cookies = minted.cookies;
                // The refresh token of another sign-in must not carry this one on.
                if fresh && cookies::values(headers, cookies::REFRESH).next().is_some() {
                    cookies.extend(self.mint.clear_refresh(context.secure));
                }
                (Some(minted.session), cookies)
            }
            Ok(None) | Err(SealError::NotReady) => (None, Vec::new()),
            Err(error) => {
                tracing::warn!(%error, "no session for a bearer token");
                (None, Vec::new())
            }
        }
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
            Found::One(session) => Ok(self.by_waning_session(session, headers, context, now).await),
            Found::Nothing => self.by_refresh(headers, context, now).await,
            // Refresh tokens don't settle it, and the cookies stay: most of them are somebody's own.
            Found::Conflict => Err(Reason::SignedOut.into()),
        }
    }

    /// A session that is good, and may be in its second half.
    async fn by_waning_session(
        &self,
        session: Session,
        headers: &HeaderMap,
        context: Context,
        now: UnixTime,
    ) -> Authenticated {
        if session.age(now) == Age::Fresh {
            return self.by_session(session, Vec::new());
        }
        // The session says who it is: the refresh token of another sign-in is not looked at.
        let Found::One(ticket) = self.ticket(headers, now, Some(&session)) else {
            let extended = session.extended(now, self.mint.lifetimes.session);
            return self.with_cookie(extended, session, Vec::new(), context, now);
        };
        if now.as_secs() < self.idp_rests_until.load(Ordering::Relaxed) {
            return self.by_session(session, Vec::new());
        }
        match self.refresh(&ticket, context).await {
            Ok(authenticated) => authenticated,
            Err(RefreshFailed::Unavailable(cookies)) => self.by_session(session, cookies),
            Err(RefreshFailed::Refused) => {
                // The identity provider has ended the sign-in: what is left of the session is not extended.
                let clear = self.mint.clear_refresh(context.secure).into_iter().collect();
                self.with_cookie(Some(session.ending()), session, clear, context, now)
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

    fn by_session(&self, session: Session, cookies: Vec<HeaderValue>) -> Authenticated {
        Authenticated {
            caller: self.policy.caller(&session.identity),
            via: Via::Session,
            token: None,
            session: Some(session),
            token_expires: None,
            cookies,
        }
    }

    /// A caller by `session`, whose cookie is replaced by `next`.
    fn with_cookie(
        &self,
        next: Option<Session>,
        session: Session,
        mut cookies: Vec<HeaderValue>,
        context: Context,
        now: UnixTime,
    ) -> Authenticated {
        let Some(next) = next else { return self.by_session(session, cookies) };
        match self.mint.session_cookie(&next, now, context.secure) {
            Ok(cookie) => {
                cookies.push(cookie);
                self.by_session(next, cookies)
            }
            Err(error) => {
                tracing::warn!(%error, "a session can't be renewed");
                self.by_session(session, cookies)
            }
        }
    }

    /// Exchanges a refresh token, once for all requests that carry it.
    async fn refresh(
        &self,
        ticket: &RefreshTicket,
        context: Context,
    ) -> Result<Authenticated, RefreshFailed> {
        let Some(provider) = &self.provider else { return Err(RefreshFailed::Refused) };
        let outcome = self
            .grants
            .once(&ticket.token, || {
                let (provider, verifier, paths) =
                    (provider.clone(), self.verifier.clone(), self.paths.clone());
                let (token, clock) = (ticket.token.clone(), self.clock.clone());
                async move { exchange(&provider, &verifier, &paths, &token, &clock).await }
            })
            .await;
        let now = self.clock.now();
        let renewed = match outcome {
            Ok(Outcome::Renewed(renewed)) => renewed,
            Ok(Outcome::Refused(reason)) => {
                tracing::info!(%reason, "a session was not refreshed");
                return Err(RefreshFailed::Refused);
            }
            Err(Unavailable(reason)) => {
                tracing::warn!(%reason, "the identity provider can't refresh sessions at the moment");
                self.let_idp_rest(now);
                return Err(RefreshFailed::Unavailable(Vec::new()));
            }
        };
        // The user may have signed out meanwhile.
        if self.revocations.is_revoked(&ticket.sid) {
            return Err(RefreshFailed::Refused);
        }
        let sign_in = SignIn { sid: ticket.sid, auth_time: ticket.auth_time, end: ticket.latest };
        let refresh = Refreshable {
            expires: renewed.refresh_expires.unwrap_or_else(|| self.mint.refresh_end(None, now)),
            token: renewed.refresh_token,
        };
        let Some((identity, token_expires)) = renewed.verified else {
            self.let_idp_rest(now);
            let known = Identity {
                subject: ticket.subject.clone(),
                roles: Default::default(),
                scopes: Some(Default::default()),
            };
            let cookie = self.mint.refresh_cookie(sign_in, &known, refresh, now, context.secure);
            return Err(RefreshFailed::Unavailable(cookie.ok().flatten().into_iter().collect()));
        };
        if identity.subject != ticket.subject {
            tracing::warn!("a refresh token yielded somebody else's access token");
            return Err(RefreshFailed::Refused);
        }
        match self.mint.mint(sign_in, identity, Some(token_expires), Some(refresh), now, context.secure) {
            Ok(Some(minted)) => Ok(Authenticated {
                caller: self.policy.caller(&minted.session.identity),
                via: Via::Refresh,
                token: Some(renewed.token),
                session: Some(minted.session),
                token_expires: Some(token_expires),
                cookies: minted.cookies,
            }),
            Ok(None) => Err(RefreshFailed::Refused),
            Err(error) => {
                tracing::error!(%error, "a refreshed session can't be kept");
                Err(RefreshFailed::Refused)
            }
        }
    }

    /// Notes that the identity provider did not answer: sessions that are still good don't wait for it for a while.
    fn let_idp_rest(&self, now: UnixTime) {
        self.idp_rests_until.store(now.plus(BACK_OFF).as_secs(), Ordering::Relaxed);
    }

    /// Takes a refresh token that a page obtained itself into the keeping of a cookie, for the user of `authenticated`
    /// and nobody else: when it is used it must yield the same subject. The page's word on its life counts only where
    /// it is shorter than ours.
    ///
    /// # Errors
    /// As [`SealError`]; nothing that could be refreshed when no identity provider is configured.
    pub fn keep_refresh_token(
        &self,
        authenticated: &Authenticated,
        token: SecretString,
        expires_in: Option<Duration>,
        context: Context,
    ) -> Result<Vec<HeaderValue>, SealError> {
        let now = self.clock.now();
        let Some(session) = &authenticated.session else { return Err(SealError::Malformed) };
        let refresh = Refreshable {
            token,
            expires: self
                .mint
                .refresh_end(expires_in.filter(|life| *life < self.mint.lifetimes.refresh), now),
        };
        let sign_in = self.mint.sign_in_of(session);
        let cookie = self.mint.refresh_cookie(sign_in, &session.identity, refresh, now, context.secure)?;
        // What minting wanted to remove is replaced.
        let replaced = format!("{}=", cookies::REFRESH);
        let others = authenticated.cookies.iter().filter(|c| !c.as_bytes().starts_with(replaced.as_bytes()));
        Ok(others.cloned().chain(cookie).collect())
    }

    /// Ends the sign-ins of a request's cookies: for this browser, for copies of its cookies, on all replicas, and at
    /// the identity provider where that can be told. It never refreshes anything, and what has ended already is not
    /// recorded again, however often its cookies are sent.
    pub async fn logout(&self, headers: &HeaderMap, context: Context) -> SignedOut {
        let now = self.clock.now();
        let mut ended: BTreeMap<Sid, UnixTime> = BTreeMap::new();
        let mut end = |sid: Sid, until: UnixTime| {
            let last = ended.entry(sid).or_insert(until);
            *last = until.max(*last);
        };
        let mut subject = None;
        let longest = self.mint.lifetimes.sign_in;
        for value in cookies::values(headers, cookies::SESSION) {
            if let Ok(session) = Session::verify(value, &self.mint.keys)
                && self.is_good(&session, now)
            {
                end(session.sid, session.auth_time.plus(longest).max(session.latest));
                subject = Some(session.identity.subject);
            }
        }
        let mut tokens = Vec::new();
        for value in cookies::values(headers, cookies::REFRESH) {
            if let Ok(ticket) = RefreshTicket::open(value, &self.mint.keys)
                && self.is_usable(&ticket, now)
            {
                end(ticket.sid, ticket.latest);
                tokens.push(ticket.token);
                subject = subject.or(Some(ticket.subject));
            }
        }
        let mut recorded = true;
        for (sid, until) in ended {
            if let Err(error) = self.revocations.revoke(sid, until).await {
                tracing::error!(%error, "a sign-out is not known to other replicas");
                recorded = false;
            }
        }
        if let Some(provider) = &self.provider {
            for token in tokens {
                if let Err(error) = provider.revoke(&token).await {
                    tracing::warn!(%error, "a refresh token was not revoked");
                }
            }
        }
        let mut cookies = self.mint.clear(context.secure);
        let under_way = cookies::names(headers, LOGIN_PREFIX);
        cookies
            .extend(under_way.filter_map(|name| self.mint.path.clear_for_login(name, context.secure).ok()));
        SignedOut { subject, cookies, recorded }
    }

    /// Where the browser is sent to end its session at the identity provider (OpenID Connect RP-Initiated Logout), from
    /// where it comes back to the first page; `None` when the provider has no such place.
    pub async fn end_session_url(&self, site: &Site) -> Option<Url> {
        let back = format!("{}{}", site.origin, site.home());
        self.provider.as_ref()?.end_session_url(&back).await
    }
}

/// The grant itself, and the check of what it gave.
async fn exchange(
    provider: &Provider,
    verifier: &Verifier,
    paths: &ClaimPaths,
    old: &SecretString,
    clock: &Clock,
) -> Result<Outcome, Unavailable> {
    let tokens: TokenSet = match provider.refresh(old).await {
        Ok(tokens) => tokens,
        Err(ProviderError::Refused(code)) => return Ok(Outcome::Refused(code)),
        Err(error) => return Err(Unavailable(error.to_string())),
    };
    let verified = match identify(verifier, paths, provider, &tokens, Nonce::Any).await {
        Ok(verified) => Some(verified),
        // The key set could not be loaded, or is older than the token's key and not due yet; or clocks differ.
        Err(LoginError::Token(
            TokenError::Unavailable | TokenError::UnknownKey | TokenError::NotYetValid,
        )) => None,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refreshed token is not accepted");
            return Ok(Outcome::Refused("the new token is not accepted".into()));
        }
    };
    Ok(Outcome::Renewed(Renewed {
        token: tokens.access_token,
        verified,
        refresh_token: tokens.refresh_token.unwrap_or_else(|| old.clone()),
        refresh_expires: tokens.refresh_expires_in.map(|life| clock.now().plus(life)),
    }))
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
