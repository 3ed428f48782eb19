//! Carrying sessions on with refresh tokens.

use std::{sync::atomic::Ordering, time::Duration};

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Authenticated, Authenticator, Context, Via};
use crate::{
    claims::{ClaimPaths, Identity},
    clock::{Clock, UnixTime},
    cookies,
    grants::{Outcome, Renewed, Unavailable},
    keys::SealError,
    login::{LoginError, Nonce, identify},
    mint::{Refreshable, SignIn},
    provider::{Provider, ProviderError, TokenSet},
    refresh::RefreshTicket,
    verify::{TokenError, Verifier},
};

/// How long sessions that are still good are not refreshed after the identity provider did not answer.
const BACK_OFF: Duration = Duration::from_secs(10);

/// How a refresh ended.
pub(super) enum RefreshFailed {
    /// For good: the cookie is of no use.
    Refused,
    /// For now. The cookies, if any, replace a refresh token that was used up.
    Unavailable(Vec<HeaderValue>),
}

impl Authenticator {
    /// Exchanges a refresh token, once for all requests that carry it.
    pub(super) async fn refresh(
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
        if self.revocations.is_revoked(ticket.sign_in()) {
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
        // One for others, beside an ID token that told who it is, is nothing for workspaces.
        let is_ours = self.verifier.verify(renewed.token.expose_secret()).await.is_ok();
        let token = Some(renewed.token).filter(|_| is_ours);
        if let Some(token) = &token {
            self.tokens.keep(ticket.sid, token.clone(), token_expires).await;
        }
        match self.mint.mint(sign_in, identity, Some(token_expires), Some(refresh), now, context.secure) {
            Ok(Some(minted)) => Ok(Authenticated {
                caller: self.policy.caller(&minted.session.identity),
                via: Via::Refresh,
                token,
                session: Some(minted.session.into()),
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

    /// Whether the identity provider has not answered a moment ago.
    pub(super) fn idp_rests(&self, now: UnixTime) -> bool {
        now.as_secs() < self.idp_rests_until.load(Ordering::Relaxed)
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
