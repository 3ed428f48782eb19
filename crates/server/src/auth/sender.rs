//! What a handler knows of where its request comes from.

use std::sync::Arc;

use ::http::{HeaderMap, Method, Uri, request::Parts};
use axum::extract::FromRequestParts;
use nocrd_proxy_core::{Peer, Wants};

use super::Refusal;
use crate::{respond, site::seen, visit::Visit};

/// The authority that was asked for, after it was checked; an extension of each request whose `Host` is.
#[derive(Debug, Clone)]
pub(crate) struct Asked(pub(crate) Option<String>);

/// The sender of a request, for handlers.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    host: Option<String>,
    peer: Peer,
    visit: Arc<Visit>,
}

impl Sender {
    /// The request, for the logs.
    pub(crate) fn visit(&self) -> &Visit {
        &self.visit
    }

    /// What decides about cookies.
    pub(crate) fn request(&self) -> seen::Request<'_> {
        seen::Request {
            method: &self.method,
            headers: &self.headers,
            host: self.host.as_deref(),
            peer: &self.peer,
            upgrade: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn test(method: Method, headers: HeaderMap) -> Self {
        use crate::http::RequestId;

        let peer = Peer::new(([127, 0, 0, 1], 1).into(), false);
        let visit = Arc::new(Visit::new(RequestId::new(), peer.client()));
        Self { method, uri: Uri::from_static("/"), headers, host: Some("localhost".to_owned()), peer, visit }
    }

    /// Whether a person looks at the answer.
    pub(crate) fn is_browser(&self) -> bool {
        wants_page(&self.headers)
    }

    /// A parameter of the query, the first one of that name.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = url::form_urlencoded::parse(self.uri.query()?.as_bytes());
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Whether the request with these headers is for a page.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    respond::wanted(headers) == Wants::Html
}

/// What decides about cookies, as the layers before noted it; `None` when they did not run, which is a mistake of ours.
pub(super) fn noted(parts: &Parts) -> Option<seen::Request<'_>> {
    let Asked(host) = parts.extensions.get::<Asked>()?;
    Some(seen::Request {
        method: &parts.method,
        headers: &parts.headers,
        host: host.as_deref(),
        peer: parts.extensions.get::<Peer>()?,
        upgrade: false,
    })
}

impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = axum::response::Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let (Some(request), Some(visit)) = (noted(parts), Visit::of(&parts.extensions)) else {
            return Err(Refusal::broken().response(&parts.headers));
        };
        Ok(Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            host: request.host.map(str::to_owned),
            peer: request.peer.clone(),
            visit: Arc::clone(visit),
        })
    }
}
