//! Access tokens of sessions, for workspaces that ask for their owner's. They are in this process's memory only, as long as
//! they are good; what another replica has, or what is no longer here, is fetched with the refresh token.

use std::time::Duration;

use http::HeaderMap;
use moka::future::Cache;
use nocrd_model::Subject;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Authenticated, Authenticator, Context, Found, Reason, SameOrigin, Unauthenticated, renew::RefreshFailed,
};
use crate::{clock::UnixTime, session::Sid};

/// Most that the tokens may weigh, in bytes of their texts.
const BYTES: u64 = 32 * 1024 * 1024;
/// Longest time that one is kept.
const KEPT: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a token must still be good to be handed to a workspace, which does something with it.
const AHEAD: Duration = Duration::from_secs(5);

/// The tokens of sign-ins.
#[derive(Debug)]
pub(crate) struct Tokens(Cache<Sid, Kept>);

#[derive(Debug, Clone)]
struct Kept {
    token: SecretString,
    expires: UnixTime,
}

impl Default for Tokens {
    fn default() -> Self {
        let weigh =
            |_: &Sid, kept: &Kept| u32::try_from(kept.token.expose_secret().len() + 64).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(BYTES).weigher(weigh).time_to_live(KEPT).build())
    }
}

impl Tokens {
    /// Keeps a token that was checked.
    pub(crate) async fn keep(&self, sid: Sid, token: SecretString, expires: UnixTime) {
        self.0.insert(sid, Kept { token, expires }).await;
    }

    pub(super) async fn forget(&self, sid: Sid) {
        self.0.invalidate(&sid).await;
    }

    async fn get(&self, sid: Sid, now: UnixTime) -> Option<Kept> {
        self.0.get(&sid).await.filter(|kept| now.plus(AHEAD) < kept.expires)
    }
}

impl Authenticator {
    /// The caller of a request with cookies, who must be `subject`, with their access token: the one that is known, or one
    /// that is fetched with the refresh token now. There may be none to be had, and new cookies all the same: they replace
    /// what has been used up. `None` when nothing was learnt.
    pub async fn with_token(
        &self,
        headers: &HeaderMap,
        context: Context,
        subject: &Subject,
    ) -> Option<Authenticated> {
        if context.same_origin == SameOrigin::Missing {
            return None;
        }
        let now = self.clock.now();
        let Found::One(known) = self.session(headers, now) else { return None };
        let session = &known.session;
        if session.identity.subject != *subject {
            return None;
        }
        if let Some(kept) = self.tokens.get(session.sid, now).await {
            let found = self.by_session(known, Vec::new());
            return Some(Authenticated {
                token: Some(kept.token),
                token_expires: Some(kept.expires),
                ..found
            });
        }
        if self.idp_rests(now) {
            return None;
        }
        let Found::One(ticket) = self.ticket(headers, now, Some(session)) else { return None };
        Some(match self.refresh(&ticket, context).await {
            Ok(renewed) => renewed,
            Err(RefreshFailed::Unavailable(cookies)) => self.by_session(known, cookies),
            Err(RefreshFailed::Refused) => {
                let cookies = self.mint.clear_refresh(context.secure).into_iter().collect();
                self.by_session(known, cookies)
            }
        })
    }

    /// A new access token of `subject`, for a request with cookies of theirs, whatever is known.
    ///
    /// # Errors
    /// [`Unauthenticated`]: the cookies don't count, are not theirs, have no refresh token, or it is refused; or the identity
    /// provider does not answer.
    pub async fn renew(
        &self,
        headers: &HeaderMap,
        context: Context,
        subject: &Subject,
    ) -> Result<Authenticated, Unauthenticated> {
        if context.same_origin == SameOrigin::Missing {
            return Err(Reason::CrossSite.into());
        }
        if !self.mint.keys.is_known() {
            return Err(Reason::NotReady.into());
        }
        let now = self.clock.now();
        let session = match self.session(headers, now) {
            Found::One(known) => Some(known.session),
            Found::Nothing => None,
            Found::Conflict => return Err(Reason::SignedOut.into()),
        };
        let ticket = match self.ticket(headers, now, session.as_deref()) {
            Found::One(ticket) if ticket.subject == *subject => ticket,
            _ => return Err(Reason::NoRefreshToken.into()),
        };
        self.refresh(&ticket, context).await.map_err(|failed| match failed {
            RefreshFailed::Refused => {
                let cookies = self.mint.clear_refresh(context.secure).into_iter().collect();
                Unauthenticated { reason: Reason::SignedOut, cookies }
            }
            RefreshFailed::Unavailable(cookies) => Unauthenticated { reason: Reason::Unavailable, cookies },
        })
    }
}
