//! Links with a token: what lies between following one and being signed in.
//!
//! A link may be anybody's, and whoever is signed in by somebody else's link acts as somebody else without knowing. So a
//! browser that follows one from elsewhere is asked first. What it is asked about lies sealed in a cookie of that browser,
//! named by a code in the address of the question: another browser's code, or one that was used, is good for nothing.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use moka::future::Cache;
use nocrd_model::{Caller, Code, error};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{Authenticator, Context, Found, SameOrigin};
use crate::{
    clock::UnixTime,
    cookies,
    keys::{Purpose, SealError},
    login::random_text,
    session::Session,
    verify::TokenError,
};

/// How long a link waits for its answer.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Most codes that are remembered as used. The cookie that each needs is gone by then, too.
const MOST_USED: u64 = 100_000;

/// Why a link signs nobody in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotHandedOver {
    /// Its token is not good.
    #[error("the link's token is not accepted")]
    Token(#[source] TokenError),
    /// Its token yields no session.
    #[error("the link's token yields no session")]
    NoSession,
    /// Nothing can be written down.
    #[error("the link can't be followed at the moment")]
    Seal(#[source] SealError),
    /// This browser has followed no such link, or too long ago, or it was answered.
    #[error("this link was used before, or not opened in this browser within the last minute")]
    NotBegun,
}

impl NotHandedOver {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Token(error) => error.code(),
            Self::Seal(error) => error.code(),
            Self::NoSession | Self::NotBegun => error::INVALID_ARGUMENT,
        }
    }
}

/// A question to a browser.
#[derive(Debug)]
pub struct Asking {
    /// What names it in its address.
    pub code: String,
    /// `Set-Cookie` headers.
    pub cookies: Vec<HeaderValue>,
}

/// What a browser is asked about.
#[derive(Debug)]
pub struct Pending {
    /// Who it would be signed in as.
    pub caller: Caller,
    /// Where it would go: a page of this site.
    pub page: String,
}

/// A browser that said yes.
#[derive(Debug)]
pub struct HandedOver {
    /// Who it is signed in as.
    pub caller: Caller,
    /// Where it goes.
    pub page: String,
    /// `Set-Cookie` headers.
    pub cookies: Vec<HeaderValue>,
}

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct Ticket {
    code: String,
    /// The session, signed.
    session: String,
    page: String,
    expires: UnixTime,
}

/// The codes that were used.
#[derive(Debug)]
pub(super) struct Used(Cache<String, ()>);

impl Default for Used {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_USED).time_to_live(PATIENCE).build())
    }
}

impl Used {
    /// Whether it was not used before. Of several at the same time one gets yes.
    async fn is_first(&self, code: &str) -> bool {
        self.0.entry_by_ref(code).or_insert(()).await.is_fresh()
    }
}

impl Authenticator {
    /// Prepares the question whether a browser is to be signed in by the token of a link to `page`, which is one of this
    /// site's.
    ///
    /// # Errors
    /// See [`NotHandedOver`].
    pub async fn ask_about_link(
        &self,
        token: &str,
        page: &str,
        secure: bool,
    ) -> Result<Asking, NotHandedOver> {
        let verified = self.verifier.verify(token).await.map_err(NotHandedOver::Token)?;
        let identity = self.paths.identity(verified.claims());
        let identity = identity.map_err(|_| NotHandedOver::Token(TokenError::MissingClaim("sub")))?;
        let now = self.clock.now();
        let minted = self.session_of_token(identity, verified.expires(), None, now, secure);
        let session = minted.map_err(NotHandedOver::Seal)?.ok_or(NotHandedOver::NoSession)?.session;
        self.tokens.keep(session.sid, token.to_owned().into(), verified.expires()).await;

        let code = random_text();
        let ticket = Ticket {
            session: session.sign(&self.mint.keys).map_err(NotHandedOver::Seal)?,
            page: page.to_owned(),
            expires: now.plus(PATIENCE),
            code: code.clone(),
        };
        let json = serde_json::to_vec(&ticket).map_err(|_| NotHandedOver::Seal(SealError::Malformed))?;
        let cookie = self.mint.keys.seal(Purpose::Link, cookies::LINK.as_bytes(), &json).and_then(|value| {
            if value.len() > cookies::MAX_VALUE {
                let what = "a link's question";
                return Err(SealError::TooLarge { what, bytes: value.len(), max: cookies::MAX_VALUE });
            }
            self.mint.path.set_for_login(cookies::LINK, &value, PATIENCE.as_secs(), secure)
        });
        Ok(Asking { code, cookies: vec![cookie.map_err(NotHandedOver::Seal)?] })
    }

    /// What this browser is asked about; `None` when there is no such question.
    #[must_use]
    pub fn asked_about(&self, headers: &HeaderMap, code: &str) -> Option<Pending> {
        let (ticket, session) = self.ticket_of_link(headers, code)?;
        Some(Pending { caller: self.policy.caller(&session.identity), page: ticket.page })
    }

    /// Signs in a browser that says yes. Who is signed in meanwhile stays so: no link changes a session.
    ///
    /// # Errors
    /// [`NotHandedOver::NotBegun`], or when cookies can't be made.
    pub async fn hand_over(
        &self,
        headers: &HeaderMap,
        code: &str,
        context: Context,
    ) -> Result<HandedOver, NotHandedOver> {
        if context.same_origin != SameOrigin::Proven {
            return Err(NotHandedOver::NotBegun);
        }
        let (ticket, session) = self.ticket_of_link(headers, code).ok_or(NotHandedOver::NotBegun)?;
        if !self.used.is_first(code).await {
            return Err(NotHandedOver::NotBegun);
        }
        let now = self.clock.now();
        let mut cookies: Vec<HeaderValue> =
            self.mint.path.clear_for_login(cookies::LINK, context.secure).into_iter().collect();
        let caller = match self.session(headers, now) {
            Found::Nothing => {
                let cookie = self.mint.session_cookie(&session, now, context.secure);
                cookies.push(cookie.map_err(NotHandedOver::Seal)?);
                if cookies::values(headers, cookies::REFRESH).next().is_some() {
                    // It must not carry this sign-in on.
                    cookies.extend(self.mint.clear_refresh(context.secure));
                }
                self.policy.caller(&session.identity)
            }
            Found::One(present) => present.caller,
            Found::Conflict => return Err(NotHandedOver::NoSession),
        };
        Ok(HandedOver { caller, page: ticket.page, cookies })
    }

    /// The ticket of this browser with that code, and its session, if both are good.
    fn ticket_of_link(&self, headers: &HeaderMap, code: &str) -> Option<(Ticket, Session)> {
        let now = self.clock.now();
        let ticket = cookies::values(headers, cookies::LINK)
            .filter_map(|value| self.mint.keys.open(Purpose::Link, cookies::LINK.as_bytes(), value).ok())
            .filter_map(|json| serde_json::from_slice::<Ticket>(&json).ok())
            .find(|ticket| {
                bool::from(ticket.code.as_bytes().ct_eq(code.as_bytes())) && now < ticket.expires
            })?;
        let session = Session::verify(&ticket.session, &self.mint.keys).ok()?;
        self.is_good(&session, now).then_some((ticket, session))
    }
}
