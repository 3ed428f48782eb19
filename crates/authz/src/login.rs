//! Signing in a browser: the authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core), run by the
//! server, so that no token ever reaches a page's scripts.
//!
//! What the way there and the way back have in common lies encrypted in a cookie of the browser that began, named by
//! the `state` it was given: an answer that another browser began, or nobody, is refused.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue};
use nocrd_model::{Caller, Code, error};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::{Url, form_urlencoded};

use crate::{
    authenticator::Tokens,
    claims::{ClaimPaths, Claims, Identity},
    clock::{Clock, UnixTime},
    cookies::{self, LOGIN_PREFIX},
    discovery::same_issuer,
    error::shortened,
    keys::{Purpose, SealError},
    mint::{Mint, Refreshable},
    policy::Policy,
    provider::{Provider, ProviderError, TokenSet, brought, is_refusal_code},
    return_to::Site,
    session::Session,
    verify::{TokenError, VerifiedToken, Verifier},
};

/// How long a sign-in may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How many sign-ins a browser may have under way before the older ones are dropped.
const MAX_UNDER_WAY: usize = 4;

/// Why a sign-in failed. The texts are safe to show: none holds what the identity provider or a client wrote, but for
/// the error codes of RFC 6749.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The answer is not one of an authorization server.
    #[error("the answer of the identity provider is incomplete or ambiguous")]
    Malformed,
    /// This browser has not begun this sign-in, or too long ago.
    #[error("this sign-in was not begun in this browser, or more than ten minutes ago")]
    NotBegun,
    /// The user, or the identity provider, said no.
    #[error("the identity provider refused: {0}")]
    Denied(String),
    /// The answer comes from another authorization server than the one that was asked (RFC 9207).
    #[error("the answer comes from another identity provider")]
    WrongIssuer,
    /// The identity provider could not do its part, or not for this server.
    #[error("the identity provider did not complete the sign-in")]
    Exchange(#[source] ProviderError),
    /// The access token is not good here.
    #[error("the identity provider's token is not accepted here")]
    Token(#[source] TokenError),
    /// The ID token is not good (OpenID Connect Core 3.1.3.7).
    #[error("the identity provider's ID token is not accepted: {0}")]
    IdToken(&'static str),
    /// No session could be made.
    #[error("no session could be made")]
    Session(#[source] SealError),
}

impl LoginError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed | Self::NotBegun => error::INVALID_ARGUMENT,
            Self::Denied(_) => error::FORBIDDEN,
            Self::WrongIssuer | Self::IdToken(_) => error::UNAUTHENTICATED,
            Self::Exchange(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::Session(error) => error.code(),
        }
    }
}

/// A sign-in under way: send the browser to `location`, with the cookies.
#[derive(Debug)]
pub struct Begun {
    /// The identity provider's page.
    pub location: Url,
    /// `Set-Cookie` headers.
    pub cookies: Vec<HeaderValue>,
}

/// A sign-in that succeeded.
#[derive(Debug)]
pub struct SignedIn {
    /// Who, and with which rights.
    pub caller: Caller,
    /// The new session.
    pub session: Session,
    /// `Set-Cookie` headers.
    pub cookies: Vec<HeaderValue>,
    /// The page of this site to go to: a path.
    pub return_to: String,
}

/// A sign-in that failed.
#[derive(Debug)]
pub struct FailedLogin {
    /// Why.
    pub error: LoginError,
    /// `Set-Cookie` headers that tidy up.
    pub cookies: Vec<HeaderValue>,
    /// The page of this site that the browser wanted: to offer another try.
    pub return_to: Option<String>,
    /// What the identity provider says about it: for the log only.
    pub description: Option<String>,
}

/// What the browser keeps while it is away.
#[derive(Serialize, Deserialize)]
struct Transaction {
    state: String,
    nonce: String,
    /// The PKCE code verifier.
    verifier: String,
    redirect_uri: String,
    return_to: String,
    expires: UnixTime,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Signs browsers in.
#[derive(Debug)]
pub struct Login {
    pub(crate) provider: Arc<Provider>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) paths: Arc<ClaimPaths>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) mint: Mint,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) clock: Clock,
}

impl Login {
    /// The scopes that a sign-in asks for.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        self.provider.scopes()
    }

    /// Begins a sign-in for the page `return_to`, or for the first page when that is none of this site's.
    ///
    /// # Errors
    /// When the identity provider's address can't be learned, or the session key is not known yet.
    pub async fn begin(
        &self,
        headers: &HeaderMap,
        site: &Site,
        return_to: Option<&str>,
    ) -> Result<Begun, LoginError> {
        let mut location = self.provider.authorization_endpoint().await.map_err(LoginError::Exchange)?;
        let transaction = Transaction {
            state: random_text(),
            nonce: random_text(),
            verifier: random_text(),
            redirect_uri: site.callback(),
            return_to: return_to.and_then(|target| site.page(target)).unwrap_or_else(|| site.home()),
            expires: self.clock.now().plus(PATIENCE),
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&transaction.verifier));
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.provider.client_id())
            .append_pair("redirect_uri", &transaction.redirect_uri)
            .append_pair("scope", &self.provider.scopes().join(" "))
            .append_pair("state", &transaction.state)
            .append_pair("nonce", &transaction.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");

        let name = cookie_name(&transaction.state);
        let json = serde_json::to_vec(&transaction).map_err(|_| LoginError::Malformed)?;
        let value =
            self.mint.keys.seal(Purpose::Login, name.as_bytes(), &json).map_err(LoginError::Session)?;
        let secure = site.is_secure();
        let mut cookies = Vec::new();
        let under_way: Vec<&str> = cookies::names(headers, LOGIN_PREFIX).collect();
        if under_way.len() >= MAX_UNDER_WAY {
            cookies
                .extend(under_way.iter().filter_map(|old| self.mint.path.clear_for_login(old, secure).ok()));
        }
        let set = self.mint.path.set_for_login(&name, &value, PATIENCE.as_secs(), secure);
        cookies.push(set.map_err(LoginError::Session)?);
        Ok(Begun { location, cookies })
    }

    /// Completes the sign-in that the callback's `query` answers.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn finish(
        &self,
        query: &str,
        headers: &HeaderMap,
        site: &Site,
    ) -> Result<SignedIn, FailedLogin> {
        let fail = |error| FailedLogin { error, cookies: Vec::new(), return_to: None, description: None };
        let answer = Answer::parse(query).ok_or_else(|| fail(LoginError::Malformed))?;
        let name = cookie_name(&answer.state);
        let transaction = self
            .transaction(headers, &name, &answer.state, site)
            .ok_or_else(|| fail(LoginError::NotBegun))?;
        let secure = site.is_secure();
        // The cookie is used up, whatever comes of it.
        let mut cookies: Vec<HeaderValue> =
            self.mint.path.clear_for_login(&name, secure).into_iter().collect();
        match self.complete(&answer, &transaction, secure).await {
            Ok((session, set)) => {
                cookies.extend(set);
                let caller = self.policy.caller(&session.identity);
                Ok(SignedIn { caller, session, cookies, return_to: transaction.return_to })
            }
            Err(error) => Err(FailedLogin {
                error,
                cookies,
                return_to: Some(transaction.return_to),
                description: answer.description.as_deref().map(shortened),
            }),
        }
    }

    /// The transaction of this browser with that state, if it is not too old.
    fn transaction(&self, headers: &HeaderMap, name: &str, state: &str, site: &Site) -> Option<Transaction> {
        let now = self.clock.now();
        cookies::values(headers, name)
            .filter_map(|value| self.mint.keys.open(Purpose::Login, name.as_bytes(), value).ok())
            .filter_map(|json| serde_json::from_slice::<Transaction>(&json).ok())
            .find(|transaction| {
                bool::from(transaction.state.as_bytes().ct_eq(state.as_bytes()))
                    && now < transaction.expires
                    && transaction.redirect_uri == site.callback()
            })
    }

    async fn complete(
        &self,
        answer: &Answer,
        transaction: &Transaction,
        secure: bool,
    ) -> Result<(Session, Vec<HeaderValue>), LoginError> {
        let known = self.provider.answering_issuer().await;
        match (&answer.issuer, &known.issuer) {
            (Some(told), Some(known)) if !same_issuer(told, known) => return Err(LoginError::WrongIssuer),
            (None, _) if known.always_told => return Err(LoginError::WrongIssuer),
            _ => {}
        }
        let code = match (&answer.code, &answer.error) {
            (Some(code), None) => code,
            (None, Some(code)) => {
                return Err(
                    brought(code).map_or_else(|| LoginError::Denied(code.clone()), LoginError::Exchange)
                );
            }
            _ => return Err(LoginError::Malformed),
        };
        let tokens = self
            .provider
            .exchange(code, &transaction.verifier, &transaction.redirect_uri)
            .await
            .map_err(LoginError::Exchange)?;
        let (identity, token_expires) =
            identify(&self.verifier, &self.paths, &self.provider, &tokens, Nonce::Is(&transaction.nonce))
                .await?;

        let is_ours = self.verifier.verify(tokens.access_token.expose_secret()).await.is_ok();
        let now = self.clock.now();
        let refresh = tokens.refresh_token.map(|token| Refreshable {
            token,
            expires: self.mint.refresh_end(tokens.refresh_expires_in, now),
        });
        // Without a refresh token nothing could carry the session beyond its token, so it is our own policy's to end.
        let carried = refresh.is_some().then_some(token_expires);
        let minted = self
            .mint
            .mint(self.mint.new_sign_in(now), identity, carried, refresh, now, secure)
            .map_err(LoginError::Session)?
            .ok_or(LoginError::IdToken("it has expired"))?;
        if is_ours {
            self.tokens.keep(minted.session.sid, tokens.access_token, token_expires).await;
        }
        let mut cookies = minted.cookies;
        if !minted.refreshable {
            // A refresh token of whoever used this browser before is not the new user's.
            cookies.extend(self.mint.clear_refresh(secure));
        }
        Ok((minted.session, cookies))
    }
}

/// What is asked of an ID token's nonce.
#[derive(Clone, Copy)]
pub(crate) enum Nonce<'a> {
    /// It is this one.
    Is(&'a str),
    /// Nothing: the token comes from a refresh grant (OpenID Connect Core 12.2).
    Any,
}

/// Who a token response says signed in, and until when its tokens are good.
///
/// The access token says it, when it is one for this server. When it is opaque and nobody can be asked about it, or a token
/// for others, the ID token does: access tokens are no concern of the client's (RFC 6749 section 1.4), and of many
/// providers none is for the client. The ID token of a sign-in is checked in any case; that of a refresh, only when it is
/// needed.
pub(crate) async fn identify(
    verifier: &Verifier,
    paths: &ClaimPaths,
    provider: &Provider,
    tokens: &TokenSet,
    nonce: Nonce<'_>,
) -> Result<(Identity, UnixTime), LoginError> {
    let access = verifier.verify(tokens.access_token.expose_secret()).await;
    let needs_id_token = matches!(nonce, Nonce::Is(_)) || access.is_err();
    let id_token = match &tokens.id_token {
        Some(token) if needs_id_token => {
            Some(checked_id_token(verifier, provider, token, tokens, nonce).await?)
        }
        _ => None,
    };
    let by_id_token = access.is_err();
    let token = match (access, id_token) {
        (Ok(access), Some(id_token)) => {
            let (one, other) = (claim(access.claims(), "sub"), claim(id_token.claims(), "sub"));
            if one.is_some() && other.is_some() && one != other {
                return Err(LoginError::IdToken("it is somebody else's than the access token"));
            }
            access
        }
        (Ok(access), None) => access,
        (Err(TokenError::Malformed), Some(id_token)) => id_token,
        (Err(error), Some(id_token))
            if error.may_be_for_others() && verifier.accepts_audience(provider.client_id()) =>
        {
            tracing::debug!(%error, "the access token is none for this server: the ID token tells who signed in");
            id_token
        }
        (Err(error), _) => {
            let found = verifier.found_in(tokens.access_token.expose_secret());
            tracing::warn!(reason = %error, %found, expected = %verifier.expected(), "the provider's token is not accepted");
            return Err(LoginError::Token(error));
        }
    };
    let mut identity = paths.identity(token.claims()).map_err(|error| {
        tracing::warn!(%error, "a token names nobody");
        LoginError::Token(TokenError::MissingClaim("sub"))
    })?;
    // An ID token has no scopes; the answer it came with says which were granted.
    if by_id_token && identity.scopes.is_none() {
        let granted =
            tokens.scope.as_deref().map(|text| text.split_whitespace().map(str::to_owned).collect());
        identity.scopes = granted;
    }
    Ok((identity, token.expires()))
}

async fn checked_id_token(
    verifier: &Verifier,
    provider: &Provider,
    id_token: &SecretString,
    tokens: &TokenSet,
    nonce: Nonce<'_>,
) -> Result<Arc<VerifiedToken>, LoginError> {
    let (text, client_id) = (id_token.expose_secret(), provider.client_id());
    let issuer = provider.answering_issuer().await.issuer;
    let checked =
        verifier.verify_id_token(text, client_id, issuer.as_deref()).await.map_err(LoginError::Token)?;
    check_id_token(checked.claims(), text, client_id, nonce, tokens.access_token.expose_secret())?;
    Ok(checked)
}

fn claim<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name)?.as_str()
}

/// The checks of OpenID Connect Core 3.1.3.7 that come after signature, issuer, audience and times.
fn check_id_token(
    claims: &Claims,
    token: &str,
    client_id: &str,
    nonce: Nonce<'_>,
    access_token: &str,
) -> Result<(), LoginError> {
    match nonce {
        Nonce::Is(nonce) => {
            let told = claim(claims, "nonce").unwrap_or_default();
            if !bool::from(told.as_bytes().ct_eq(nonce.as_bytes())) {
                return Err(LoginError::IdToken("its nonce is another sign-in's"));
            }
        }
        Nonce::Any => {}
    }
    let many = claims.get("aud").and_then(|aud| aud.as_array()).is_some_and(|aud| aud.len() > 1);
    match claims.get("azp") {
        Some(azp) if azp.as_str() != Some(client_id) => {
            return Err(LoginError::IdToken("it was issued to another client"));
        }
        None if many => return Err(LoginError::IdToken("it has several audiences and names no client")),
        _ => {}
    }
    if let Some(told) = claims.get("at_hash") {
        let matches = told
            .as_str()
            .zip(access_token_hash(token, access_token))
            .is_some_and(|(told, hash)| told == hash);
        if !matches {
            return Err(LoginError::IdToken("it belongs to another access token"));
        }
    }
    Ok(())
}

/// `at_hash`: the left half of the access token's digest, by the hash of the ID token's own algorithm.
fn access_token_hash(id_token: &str, access_token: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(id_token.split('.').next()?).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    let alg = header.get("alg")?.as_str()?;
    let digest = match alg.get(alg.len().checked_sub(3)?..)? {
        "256" => Sha256::digest(access_token).to_vec(),
        "384" => sha2::Sha384::digest(access_token).to_vec(),
        // EdDSA means Ed25519 here, whose hash is SHA-512.
        "512" | "DSA" => sha2::Sha512::digest(access_token).to_vec(),
        _ => return None,
    };
    digest.get(..digest.len() / 2).map(|half| URL_SAFE_NO_PAD.encode(half))
}

/// An authorization response (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    state: String,
    code: Option<String>,
    error: Option<String>,
    description: Option<String>,
    issuer: Option<String>,
}

impl Answer {
    /// Parameters must not come twice (RFC 6749 section 3.1).
    fn parse(query: &str) -> Option<Self> {
        let (mut state, mut code, mut error, mut description, mut issuer) = (None, None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "error_description" => &mut description,
                "iss" => &mut issuer,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        let error = error.map(|error| if is_refusal_code(&error) { error } else { "error".to_owned() });
        Some(Self { state: state.filter(|state| !state.is_empty())?, code, error, description, issuer })
    }
}

/// The cookie of the sign-in with that state.
fn cookie_name(state: &str) -> String {
    let short = state.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(8);
    LOGIN_PREFIX.chars().chain(short).collect()
}

/// 256 random bits as text: a state, a nonce, or a PKCE code verifier (RFC 7636 section 4.1).
pub(crate) fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests;
