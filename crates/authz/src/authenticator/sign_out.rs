//! Ending sign-ins.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use nocrd_model::Subject;
use url::Url;

use super::{Authenticator, Context};
use crate::{
    clock::UnixTime,
    cookies::{self, LOGIN_PREFIX},
    refresh::RefreshTicket,
    return_to::Site,
    revocation::Ending,
    session::{Session, Sid},
};

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

impl Authenticator {
    /// Ends the sign-ins of a request's cookies: for this browser, for copies of its cookies, on all replicas, and at
    /// the identity provider where that can be told. It never refreshes anything, and what has ended already is not
    /// recorded again, however often its cookies are sent.
    pub async fn logout(&self, headers: &HeaderMap, context: Context) -> SignedOut {
        let now = self.clock.now();
        let mut ended: BTreeMap<Sid, Ending> = BTreeMap::new();
        let mut end = |sid: Sid, subject: &Subject, until: UnixTime| {
            let ending =
                ended.entry(sid).or_insert_with(|| Ending { sid, subject: subject.clone(), at: now, until });
            ending.until = ending.until.max(until);
        };
        let mut subject = None;
        let longest = self.mint.lifetimes.sign_in;
        for value in cookies::values(headers, cookies::SESSION) {
            if let Ok(session) = Session::verify(value, &self.mint.keys)
                && self.is_good(&session, now)
            {
                let until = session.auth_time.plus(longest).max(session.latest);
                end(session.sid, &session.identity.subject, until);
                subject = Some(session.identity.subject);
            }
        }
        let mut tokens = Vec::new();
        for value in cookies::values(headers, cookies::REFRESH) {
            if let Ok(ticket) = RefreshTicket::open(value, &self.mint.keys)
                && self.is_usable(&ticket, now)
            {
                end(ticket.sid, &ticket.subject, ticket.latest);
                tokens.push(ticket.token);
                subject = subject.or(Some(ticket.subject));
            }
        }
        let endings: Vec<Ending> = ended.into_values().collect();
        for ending in &endings {
            self.tokens.forget(ending.sid).await;
        }
        let mut recorded = true;
        if !endings.is_empty()
            && let Err(error) = self.revocations.revoke(&endings).await
        {
            tracing::error!(%error, "a sign-out is not known to other replicas");
            recorded = false;
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
