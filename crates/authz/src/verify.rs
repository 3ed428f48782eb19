//! Whether a token is good: signature, time, issuer, audience; or the identity provider's word for it.

use std::{fmt, sync::Arc, time::Duration};

use moka::future::Cache;
use nocrd_model::{Code, error};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::{
    claims::Claims,
    clock::{Clock, UnixTime},
    error::Error,
    http::Http,
};

mod audience;
mod found;
mod introspection;
mod jwks;
mod jws;
mod key;
mod keys;
mod pem;
mod times;

pub use audience::Audience;
pub use introspection::IntrospectionConfig;
pub use jwks::{JwksSource, KeySetLoader};

use audience::Audiences;
use introspection::Introspection;
use jws::Jws;
use key::Fingerprint;
use keys::Keys;
use times::Times;

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Longest time for which a checked token is not checked again.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// Most that the tokens kept may weigh, in bytes of their texts.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;
/// Most that differences between clocks may be configured to count.
const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// How tokens are checked.
#[derive(Debug, Clone)]
pub struct VerifierConfig {
    /// The secret of tokens signed with HS256: at least 32 bytes.
    pub secret: Option<SecretString>,
    /// Public keys in PEM: SPKI, PKCS#1, or certificates. `\n` may be written as two characters.
    pub public_key_pem: Option<String>,
    /// Where public keys are, unless `public_key_pem` has them.
    pub jwks: Option<JwksSource>,
    /// Whom to ask about access tokens. If given, nothing else decides about them.
    pub introspection: Option<IntrospectionConfig>,
    /// Whom a token must be meant for.
    pub audience: Audience,
    /// Who must have issued a token, if given.
    pub issuer: Option<String>,
    /// Whether signatures are checked. Only behind a proxy that has done it already may they not be.
    pub verify_signatures: bool,
    /// How much clocks may differ, at most a minute.
    pub leeway: Duration,
}

impl Default for VerifierConfig {
    /// Nothing that could check a token, signatures checked, half a minute's difference between clocks.
    fn default() -> Self {
        Self {
            secret: None,
            public_key_pem: None,
            jwks: None,
            introspection: None,
            audience: Audience::These(Vec::new()),
            issuer: None,
            verify_signatures: true,
            leeway: Duration::from_secs(30),
        }
    }
}

/// Why a token is not good. The texts are stable, and hold nothing of the token's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no JSON Web Token, or one that asks for what is not supported.
    #[error("the token is malformed")]
    Malformed,
    /// Its algorithm is not one that the key, or any key, is used with.
    #[error("the token's algorithm is not accepted")]
    UnsupportedAlgorithm,
    /// No key of that id is known.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come, or it was issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Somebody else issued it.
    #[error("the token is another issuer's")]
    WrongIssuer,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// It is not for access: a refresh, logout or ID token, for example.
    #[error("the token is of another kind")]
    WrongKind,
    /// A claim is missing.
    #[error("the token's claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// A claim is not of its type.
    #[error("the token's claim `{0}` is malformed")]
    InvalidClaim(&'static str),
    /// The identity provider says that it is not good.
    #[error("the token is not active")]
    Inactive,
    /// Nobody can tell at the moment: the identity provider does not answer.
    #[error("the token can't be checked at the moment")]
    Unavailable,
}

impl TokenError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unavailable => error::IDENTITY_PROVIDER_UNAVAILABLE,
            _ => error::UNAUTHENTICATED,
        }
    }

    /// Whether it is certain that the token is none of the identity provider's for this server, or of no use any more.
    #[must_use]
    pub fn is_foreign(self) -> bool {
        matches!(
            self,
            Self::Malformed
                | Self::UnsupportedAlgorithm
                | Self::BadSignature
                | Self::WrongIssuer
                | Self::Inactive
        )
    }

    /// Whether a token that just came from the identity provider may be refused so because it is for another server, in a
    /// format that is between those two. Time, doubt and the provider's own word are no such reasons.
    pub(crate) fn may_be_for_others(self) -> bool {
        match self {
            Self::Malformed
            | Self::UnsupportedAlgorithm
            | Self::BadSignature
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::WrongKind
            | Self::MissingClaim(_)
            | Self::InvalidClaim(_) => true,
            Self::UnknownKey | Self::Expired | Self::NotYetValid | Self::Inactive | Self::Unavailable => {
                false
            }
        }
    }
}

/// A token that was found good. Only a [`Verifier`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    claims: Claims,
    expires: UnixTime,
}

impl VerifiedToken {
    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// From when on it is no longer good.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.expires
    }
}

/// A token that need not be checked again for a while.
#[derive(Clone)]
struct Kept {
    token: Arc<VerifiedToken>,
    /// The key that signed it: it must still be in use.
    key: Option<Fingerprint>,
    until: UnixTime,
    weight: u32,
}

/// Checks tokens.
pub struct Verifier {
    keys: Keys,
    introspection: Option<Introspection>,
    audiences: Audiences,
    issuer: Option<String>,
    verify_signatures: bool,
    times: Times,
    clock: Clock,
    kept: Cache<[u8; 32], Kept>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("introspection", &self.introspection.is_some())
            .field("verify_signatures", &self.verify_signatures)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// A verifier of that configuration. It asks nobody yet.
    ///
    /// # Errors
    /// When a key can't be used or is too weak, when there is none, or when the tokens of an identity provider would be
    /// accepted whomever they are meant for.
    pub fn new(config: VerifierConfig, http: Arc<Http>, clock: Clock) -> Result<Self, Error> {
        let VerifierConfig { secret, public_key_pem, jwks, introspection, audience, issuer, .. } = config;
        let keys = Keys::new(secret.as_ref(), public_key_pem.as_deref(), jwks, http.clone(), clock.clone())?;
        let audiences = Audiences::new(audience);
        let needs_audience = config.verify_signatures && (introspection.is_some() || keys.has_public());
        if config.verify_signatures && introspection.is_none() && keys.is_empty() {
            return Err(Error::NoKeySource);
        }
        if needs_audience && audiences.is_empty() {
            return Err(Error::AudienceRequired);
        }
        let kept = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_, kept: &Kept| kept.weight)
            .time_to_live(KEPT)
            .build();
        Ok(Self {
            keys,
            introspection: introspection.map(|config| Introspection::new(config, http, clock.clone())),
            audiences,
            issuer,
            verify_signatures: config.verify_signatures,
            times: Times { leeway: config.leeway.min(MAX_LEEWAY) },
            clock,
            kept,
        })
    }

    /// Gets ready what tokens are checked with, so that what is wrong with it shows before the first one comes.
    ///
    /// # Errors
    /// What can't be had.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.load_keys().await?;
        match &self.introspection {
            Some(introspection) => {
                introspection.try_out().await;
                introspection.failure().map_or(Ok(()), Err)
            }
            None => Ok(()),
        }
    }

    /// Loads the key set, if there is one.
    ///
    /// # Errors
    /// When it can't be had.
    pub async fn load_keys(&self) -> Result<(), Error> {
        match self.keys.set() {
            Some(keys) => keys.load().await,
            None => Ok(()),
        }
    }

    /// Whether tokens are checked with what comes from elsewhere.
    #[must_use]
    pub fn asks_others(&self) -> bool {
        self.introspection.is_some() || self.keys.set().is_some()
    }

    /// What could not be had of it when it was last needed, if so.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        let keys = || self.keys.set()?.failure();
        self.introspection.as_ref().and_then(Introspection::failure).or_else(keys)
    }

    /// Checks an access token.
    ///
    /// # Errors
    /// When it is not good, or when nobody can tell.
    pub async fn verify(&self, token: &str) -> Result<Arc<VerifiedToken>, TokenError> {
        self.check(token).await.inspect_err(|error| {
            tracing::debug!(
                reason = %error,
                found = %self.found_in(token),
                expected = %self.expected(),
                "a token is not accepted"
            );
        })
    }

    async fn check(&self, token: &str) -> Result<Arc<VerifiedToken>, TokenError> {
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(introspection) = &self.introspection {
            return introspection
                .ask(digest, token, |claims, now| self.check_introspected(claims, now))
                .await;
        }
        if let Some(kept) = self.kept.get(&digest).await
            && self.clock.now() < kept.until
            && kept.key.as_ref().is_none_or(|key| self.keys.is_in_use(key))
        {
            return Ok(kept.token);
        }
        let jws = Jws::parse(token)?;
        let key = if self.verify_signatures { Some(self.check_signature(&jws).await?) } else { None };
        let now = self.clock.now();
        let claims = jws.claims()?;
        let expires = self.times.check(&claims, now)?;
        check_kind(&jws, &claims)?;
        self.check_issuer(&claims, self.issuer.as_deref(), Presence::Required)?;
        self.audiences.check(claims.get("aud"), key.as_ref().is_none_or(|key| key.symmetric))?;
        let token = Arc::new(VerifiedToken { claims, expires });
        let until = now.plus(KEPT).min(expires);
        if now < until {
            let key = key.map(|key| key.fingerprint);
            let weight = u32::try_from(jws.len() + 256).unwrap_or(u32::MAX);
            self.kept.insert(digest, Kept { token: token.clone(), key, until, weight }).await;
        }
        Ok(token)
    }

    /// Checks an ID token: signature, time, issuer (`issuer`, or else the configured one), and that it is meant for
    /// the client `client_id`. What else OpenID Connect Core 3.1.3.7 asks for is the caller's to check.
    ///
    /// # Errors
    /// When it is not good, or when nobody can tell.
    pub(crate) async fn verify_id_token(
        &self,
        token: &str,
        client_id: &str,
        issuer: Option<&str>,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let jws = Jws::parse(token)?;
        if self.verify_signatures {
            self.check_signature(&jws).await?;
        }
        let claims = jws.claims()?;
        let expires = self.times.check(&claims, self.clock.now())?;
        self.check_issuer(&claims, issuer.or(self.issuer.as_deref()), Presence::Required)?;
        if audience::entries(claims.get("aud"))?.contains(&client_id) {
            Ok(Arc::new(VerifiedToken { claims, expires }))
        } else {
            Err(TokenError::WrongAudience)
        }
    }

    /// Whether the identity provider is asked about each access token.
    pub(crate) fn asks(&self) -> bool {
        self.introspection.is_some()
    }

    /// Whether a token that is meant for this one alone is accepted.
    pub(crate) fn accepts_audience(&self, name: &str) -> bool {
        self.audiences.check(Some(&name.into()), false).is_ok()
    }

    async fn check_signature(&self, jws: &Jws<'_>) -> Result<SignedBy, TokenError> {
        let candidates = self.keys.candidates(jws.algorithm, jws.key_id.as_deref()).await?;
        candidates
            .iter()
            .find(|key| key.verifies(jws))
            .map(|key| SignedBy { fingerprint: key.fingerprint, symmetric: key.is_symmetric() })
            .ok_or(TokenError::BadSignature)
    }

    fn check_issuer(
        &self,
        claims: &Claims,
        expected: Option<&str>,
        presence: Presence,
    ) -> Result<(), TokenError> {
        let Some(expected) = expected else { return Ok(()) };
        match claims.get("iss") {
            None if presence == Presence::Optional => Ok(()),
            None => Err(TokenError::MissingClaim("iss")),
            Some(issuer) => match issuer.as_str() {
                Some(issuer) if crate::discovery::same_issuer(expected, issuer) => Ok(()),
                _ => Err(TokenError::WrongIssuer),
            },
        }
    }

    /// Checks what an introspection answered. The identity provider says that the token is good; whom it is meant for
    /// is ours to check.
    fn check_introspected(&self, claims: &Claims, now: UnixTime) -> Result<Option<UnixTime>, TokenError> {
        let expires = self.times.check_present(claims, now)?;
        check_purpose(claims)?;
        self.check_issuer(claims, self.issuer.as_deref(), Presence::Optional)?;
        self.audiences.check(claims.get("aud"), false)?;
        Ok(expires)
    }
}

/// Who signed a token.
struct SignedBy {
    fingerprint: Fingerprint,
    symmetric: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    /// Introspection need not tell (RFC 7662 section 2.2): the endpoint itself is the issuer's.
    Optional,
}

/// Refuses tokens that say they are for something else than access (RFC 8725 section 3.11): by a header `typ` such as
/// `logout+jwt`, or by the claim `typ` that some identity providers set.
fn check_kind(jws: &Jws<'_>, claims: &Claims) -> Result<(), TokenError> {
    let header = jws.kind.as_deref().map(str::to_ascii_lowercase).unwrap_or_default();
    let header = header.strip_prefix("application/").unwrap_or(&header);
    if header.ends_with("+jwt") && header != "at+jwt" {
        return Err(TokenError::WrongKind);
    }
    check_purpose(claims)
}

/// The same by what its claims say, or what an introspection answered.
fn check_purpose(claims: &Claims) -> Result<(), TokenError> {
    let mut kinds = ["typ", "token_type"].into_iter().filter_map(|name| claims.get(name)?.as_str());
    if kinds.any(is_foreign_kind) || is_id_token(claims) { Err(TokenError::WrongKind) } else { Ok(()) }
}

/// An ID token tells a client who signed in, and is shown around for that; it is nobody's key. Most providers don't mark
/// it, but only it has these claims (OpenID Connect Core 2 and 3.1.3.6) and no scope.
fn is_id_token(claims: &Claims) -> bool {
    let has = |name: &str| claims.get(name).is_some_and(|claim| !claim.is_null());
    (has("nonce") || has("at_hash")) && !has("scope") && !has("scp")
}

fn is_foreign_kind(kind: &str) -> bool {
    matches!(
        kind.to_ascii_lowercase().as_str(),
        "refresh"
            | "refresh_token"
            | "offline"
            | "logout"
            | "id"
            | "id_token"
            | "registrationaccesstoken"
            | "initialaccesstoken"
    )
}

#[cfg(test)]
mod tests;
