//! Links with a token: `/route/<id>/…?token=…`, and the same at the first page.
//!
//! Whoever follows one is led on to the same page without the token, before it is seen by a workspace or kept in a history.
//! It changes no session. Where there is none, the browser is asked first: the link may be somebody else's. That a page of
//! this site has it is no proof: pages that ask again by themselves count as such, whoever led there. What is no token of
//! ours may be one of the program's own, and passes.

use ::http::{HeaderMap, HeaderValue, Method, Response, header, uri::PathAndQuery};
use bytes::Bytes;
use nocrd_authz::authenticator::NotHandedOver;

use super::{Door, Refusal, door::without_token, refusal::see_other, sender::wants_page};
use crate::{endpoints, site::seen, visit::Visit};

/// Longest page that a cookie is trusted to hold beside a session; who follows a link to a longer one comes to the first page.
const MAX_PAGE: usize = 1024;

impl Door {
    /// The answer to a browser that follows such a link; `None` when it is none, and the request goes its usual way.
    pub(crate) async fn followed_link(
        &self,
        request: seen::Request<'_>,
        target: Option<&PathAndQuery>,
        visit: Option<&Visit>,
    ) -> Option<Response<Bytes>> {
        let target = target?;
        // Nearly no request has one.
        let token = only_token(target.query()?)?;
        let is_browser = request.method == Method::GET
            && !request.upgrade
            && wants_page(request.headers)
            // A script of any site can ask for a page, without being one that is opened.
            && request.headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
            && !request.headers.contains_key(header::AUTHORIZATION)
            // Where others check tokens, they have seen none of this one.
            && !self.unchecked;
        if !is_browser || !self.may_be_ours(&token) {
            return None;
        }
        Box::pin(self.follow(request, target, &token, visit)).await
    }

    async fn follow(
        &self,
        request: seen::Request<'_>,
        target: &PathAndQuery,
        token: &str,
        visit: Option<&Visit>,
    ) -> Option<Response<Bytes>> {
        // Looked at like one in a header, with the limits of those.
        let fields = with_bearer(request.headers, token)?;
        let as_header = seen::Request { headers: &fields, ..request };
        match self.who(as_header, None, "").await {
            Ok(_) => {}
            Err(refusal) if refusal.is_unauthenticated() => return None,
            // It may be good.
            Err(refusal) => return Some(refusal.answer(request.headers)),
        };
        // From here on the token goes nowhere.
        let site = self.seen(request);
        let page = site.page(&self.site.outward(&without_token(target.as_str())));
        let page = page.filter(|page| page.len() <= MAX_PAGE).unwrap_or_else(|| site.home());
        // Whoever is signed in stays so.
        let present = match self.who(request, None, "").await {
            Ok(somebody) => {
                if let Some(visit) = visit {
                    visit.note(&somebody.caller);
                }
                return Some(lead_to(&page, somebody.cookies_for(true)));
            }
            Err(refusal) => refusal.cookies().to_vec(),
        };
        let secure = self.site.context(request).secure;
        let asking = self.authenticator.ask_about_link(token, &page, secure).await;
        match asking {
            Ok(asking) => {
                let question =
                    format!("{}{}?code={}", self.site.outer_base(), endpoints::LINK.path(), asking.code);
                Some(lead_to(&question, &[present, asking.cookies].concat()))
            }
            Err(error) => Some(not_handed_over(&error).with_cookies(present).answer(request.headers)),
        }
    }

    /// Whether it looks like a token of the identity provider's. Opaque ones do only where it can be asked about them.
    fn may_be_ours(&self, token: &str) -> bool {
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let is_jwt =
            token.starts_with("eyJ") && token.split('.').count() == 3 && token.split('.').all(is_part);
        let is_opaque = || token.len() >= 16 && token.bytes().all(|b| b.is_ascii_graphic());
        is_jwt || self.counting.introspects() && is_opaque()
    }
}

/// Sends a browser to a page of ours.
fn lead_to(page: &str, cookies: &[HeaderValue]) -> Response<Bytes> {
    // It is a path of this site, which has no characters that a header can't hold.
    see_other(HeaderValue::from_str(page).unwrap_or(HeaderValue::from_static("/")), cookies)
}

/// What people are told whom a link does not sign in.
pub(super) fn not_handed_over(error: &NotHandedOver) -> Refusal {
    if matches!(error, NotHandedOver::Seal(_)) {
        tracing::warn!("a link with a token signs nobody in: {}", nocrd_authz::error::with_causes(error));
    }
    Refusal::new(error.code(), error.to_string())
}

/// The headers of a request, as if its token had come in one, and without what else tells who it is.
fn with_bearer(headers: &HeaderMap, token: &str) -> Option<HeaderMap> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    let mut headers = headers.clone();
    headers.remove(header::COOKIE);
    headers.insert(header::AUTHORIZATION, value);
    Some(headers)
}

/// The parameter `token`, where there is exactly one.
fn only_token(query: &str) -> Option<String> {
    let mut found = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "token");
    let (_, token) = found.next()?;
    found.next().is_none().then(|| token.into_owned())
}
