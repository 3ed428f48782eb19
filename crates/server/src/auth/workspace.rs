//! What workspaces ask of the gateway about their owner: `_auth/token`, `_auth/authorize` and `_auth/refresh`.
//!
//! Only a workspace that asks for them (`token-api`) has them, and only its owner gets an answer; the proxy sees to both. What
//! they hand out goes to pages of that workspace, and nowhere else.

use ::http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use nocrd_authz::authenticator::{Authenticated, Reason, Unauthenticated};
use nocrd_model::{Subject, WorkspaceId, error as codes};
use nocrd_proxy_core::{AuthEndpoint, Body};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    Door, Refusal,
    refusal::{see_other, set_cookies},
};
use crate::site::seen;

impl Door {
    /// Answers at one of them.
    pub(super) async fn workspace_endpoint(
        &self,
        endpoint: AuthEndpoint,
        id: &WorkspaceId,
        owner: &Subject,
        request: seen::Request<'_>,
        parts: &Parts,
    ) -> Response<Body> {
        let query = parts.uri.query();
        match endpoint {
            AuthEndpoint::Token => match self.with_token(owner, request, query).await {
                Ok(found) => {
                    let token = found.token.as_ref().map(|token| token.expose_secret());
                    told(&json!({ "token": token, "session": session(&found) }), &found.cookies)
                }
                Err(refusal) => refusal.answer(request.headers).map(Body::from),
            },
            AuthEndpoint::Authorize => match self.authorize(id, owner, request, query).await {
                Ok(answer) => answer,
                Err(refusal) => refusal.answer(request.headers).map(Body::from),
            },
            AuthEndpoint::Refresh => {
                match self.authenticator.renew(request.headers, self.site.context(request), owner).await {
                    Ok(renewed) => {
                        let token = renewed.token.as_ref().map(|token| token.expose_secret());
                        told(&json!({ "token": token }), &renewed.cookies)
                    }
                    Err(unauthenticated) => self.not_renewed(request, query, unauthenticated),
                }
            }
        }
    }

    fn not_renewed(
        &self,
        request: seen::Request<'_>,
        query: Option<&str>,
        unauthenticated: Unauthenticated,
    ) -> Response<Body> {
        // The session is as good as it was.
        if matches!(unauthenticated.reason, Reason::NoRefreshToken) {
            let refusal = Refusal::new(codes::UNAUTHENTICATED, "No refresh token cookie found");
            return refusal.answer(request.headers).map(Body::from);
        }
        self.refuse(request, query, "", unauthenticated).answer(request.headers).map(Body::from)
    }

    /// Whoever sent the request, with their access token where there is one to be had.
    async fn with_token(
        &self,
        owner: &Subject,
        request: seen::Request<'_>,
        query: Option<&str>,
    ) -> Result<Authenticated, Refusal> {
        let found = self.who(request, query, "").await?;
        // A request may carry several credentials, of which one is over meanwhile.
        if found.caller.subject != *owner {
            return Err(Refusal::new(codes::UNAUTHENTICATED, "the session is over"));
        }
        if found.token.is_some() {
            return Ok(found);
        }
        let context = self.site.context(request);
        Ok(self.authenticator.with_token(request.headers, context, owner).await.unwrap_or(found))
    }

    /// Back to a page of this workspace, with the token where no server sees it.
    async fn authorize(
        &self,
        id: &WorkspaceId,
        owner: &Subject,
        request: seen::Request<'_>,
        query: Option<&str>,
    ) -> Result<Response<Body>, Refusal> {
        let refuse = |message: &'static str| Refusal::new(codes::INVALID_ARGUMENT, message);
        // It begins at a page of the workspace, or the user's own hand; browsers don't tell that over plain http.
        let from = request.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if from.is_some_and(|from| from != b"same-origin" && from != b"none") {
            return Err(Refusal::new(codes::HOST_NOT_ALLOWED, "a page of another site sent this request"));
        }
        let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let mut target = None;
        for (name, value) in pairs.by_ref() {
            match name.as_ref() {
                "redirect_uri" if target.is_none() => target = Some(value.into_owned()),
                "redirect_uri" => return Err(refuse("redirect_uri is given twice")),
                "response_mode" if value == "query" => {
                    return Err(refuse(
                        "response_mode=query would put the token into logs and histories: it comes in the fragment",
                    ));
                }
                _ => {}
            }
        }
        let target = target.ok_or_else(|| refuse("Missing redirect_uri query parameter"))?;
        let page = self.site.seen(request).page(&target).filter(|page| self.is_page_of(id, page));
        let page = page.ok_or_else(|| refuse("redirect_uri must be a page of this workspace"))?;
        let found = self.with_token(owner, request, query).await?;
        let token = found.token.as_ref().map_or("", |token| token.expose_secret());
        let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let page = page.split('#').next().unwrap_or_default();
        let location = HeaderValue::from_str(&format!("{page}#token={token}"))
            .map_err(|_| refuse("redirect_uri must be a page of this workspace"))?;
        Ok(see_other(location, &found.cookies).map(Body::from))
    }

    /// Whether a page of this site is one of the workspace's.
    fn is_page_of(&self, id: &WorkspaceId, page: &str) -> bool {
        page.strip_prefix(self.site.outer_base())
            .and_then(|page| page.strip_prefix("/route/")?.strip_prefix(id.as_str()))
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

/// What is told of the session, or of who came with a token.
fn session(found: &Authenticated) -> Value {
    let caller = &found.caller;
    let mut told = json!({ "sub": caller.subject, "roles": caller.grants.named_roles });
    let times = match (&found.session, found.token_expires) {
        (Some(session), _) => Some((Some(session.issued.as_secs()), session.expires.as_secs())),
        (None, Some(expires)) => Some((None, expires.as_secs())),
        (None, None) => None,
    };
    if let (Some(object), Some((issued, expires))) = (told.as_object_mut(), times) {
        object.extend(issued.map(|issued| ("iat".to_owned(), issued.into())));
        object.insert("exp".to_owned(), expires.into());
    }
    told
}

/// An answer for the page that asked, and for no cache.
fn told(body: &Value, cookies: &[HeaderValue]) -> Response<Body> {
    let mut answer = Response::new(Body::from(bytes::Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::OK;
    let headers: &mut HeaderMap = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    set_cookies(headers, cookies);
    answer
}
