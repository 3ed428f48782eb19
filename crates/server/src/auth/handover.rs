//! Links with a token: `/route/<id>/…?token=…`, and the same at the first page.
//!
//! Whoever follows one is led on to the same page without the token, before it is seen by a workspace or kept in a history.
//! It changes no session. Where there is none, a page of this site signs in at once, and a browser that comes from elsewhere
//! is asked first: the link may be somebody else's. What is no token of ours may be one of the program's own, and passes.

use ::http::{HeaderMap, HeaderValue, Method, Response, header, uri::PathAndQuery};
use bytes::Bytes;
use nocrd_authz::authenticator::NotHandedOver;
use nocrd_model::error as codes;

use super::{
    Door, Refusal,
    door::{is_proven, without_token},
    refusal::see_other,
    sender::wants_page,
};
use crate::{endpoints, site::seen, visit::Visit};

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
            && !request.headers.contains_key(header::AUTHORIZATION);
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
        let found = match self.who(as_header, None, "").await {
            Ok(found) => found,
            Err(refusal) if refusal.code() == codes::RATE_LIMITED => {
                return Some(refusal.answer(request.headers));
            }
            Err(_) => return None,
        };
        let page = self.seen(request).page(&self.site.outward(&without_token(target.as_str())))?;
        let location = HeaderValue::from_str(&page).ok()?;
        // Whoever is signed in stays so, and a page of ours has said by its link that it means this one.
        let present = self.who(request, None, "").await;
        let signed_in = match &present {
            Ok(present) => Some(present),
            Err(_) if is_proven(&self.site, request) => Some(&found),
            Err(_) => None,
        };
        if let Some(somebody) = signed_in {
            if let Some(visit) = visit {
                visit.note(&somebody.caller);
            }
            return Some(see_other(location, somebody.cookies_for(true)));
        }
        let secure = self.site.context(request).secure;
        let asking = self.authenticator.ask_about_link(token, &page, request.headers, secure).await;
        match asking {
            Ok(asking) => {
                let question =
                    format!("{}{}?code={}", self.site.outer_base(), endpoints::LINK.path(), asking.code);
                Some(see_other(HeaderValue::from_str(&question).ok()?, &asking.cookies))
            }
            Err(error @ NotHandedOver::Seal(_)) => Some(not_handed_over(&error).answer(request.headers)),
            // It ends in this moment.
            Err(_) => None,
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
