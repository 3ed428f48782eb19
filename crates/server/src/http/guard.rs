//! Middleware that refuses requests from foreign sites.

use std::sync::Arc;

use ::http::{HeaderMap, Uri, Version};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use nocrd_model::error as codes;

use crate::{
    auth::Asked,
    respond,
    site::{Refused, Site},
};

/// The `Host` must be ours.
pub(super) async fn host(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    match asked(&site, &request) {
        Ok(host) => {
            let asked = Asked(host.map(str::to_owned));
            request.extensions_mut().insert(asked);
            next.run(request).await
        }
        Err(refused) => refuse(request.headers(), &refused),
    }
}

/// The `Host` must be ours, and so must the page that sent the request, if it was a page.
pub(super) async fn host_and_origin(
    State(site): State<Arc<Site>>,
    mut request: Request,
    next: Next,
) -> Response {
    let checked = asked(&site, &request).and_then(|host| {
        site.check_origin(request.headers(), host)?;
        Ok(host)
    });
    match checked {
        Ok(host) => {
            let asked = Asked(host.map(str::to_owned));
            request.extensions_mut().insert(asked);
            next.run(request).await
        }
        Err(refused) => refuse(request.headers(), &refused),
    }
}

/// Likewise for the requests that go to workspaces: where nobody signs in, a page elsewhere that could name us, or send a
/// form here, would act as the visitor.
pub(super) fn for_workspaces<B>(site: &Site, request: &::http::Request<B>) -> Result<(), Response> {
    let checked = asked(site, request).and_then(|host| match request.method().is_safe() {
        true => Ok(()),
        false => site.check_origin(request.headers(), host),
    });
    checked.map_err(|refused| refuse(request.headers(), &refused))
}

/// The authority that was asked for, checked.
fn asked<'r, B>(site: &Site, request: &'r ::http::Request<B>) -> Result<Option<&'r str>, Refused> {
    let host = requested(request.uri(), request.headers(), request.version())?;
    if let Some(host) = host {
        site.check_host(host)?;
    }
    Ok(host)
}

/// The authority that was asked for, of a request that was let in.
pub(crate) fn authority(parts: &::http::request::Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => parts.headers.get(::http::header::HOST)?.to_str().ok(),
    }
}

/// The authority of a request: that of an absolute target or of HTTP/2's `:authority`, else `Host`.
fn requested<'r>(uri: &'r Uri, headers: &'r HeaderMap, version: Version) -> Result<Option<&'r str>, Refused> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    let mut hosts = headers.get_all(::http::header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map(Some).map_err(|_| Refused::Unreadable),
        (None, _) if version < Version::HTTP_11 => Ok(None),
        _ => Err(Refused::Unreadable),
    }
}

fn refuse(headers: &HeaderMap, refused: &Refused) -> Response {
    let code = match refused {
        Refused::Unreadable => codes::REQUEST_MALFORMED,
        Refused::Host(_) | Refused::Origin(_) | Refused::CrossSite => codes::HOST_NOT_ALLOWED,
    };
    tracing::info!("refused: {refused}");
    respond::failure(headers, code, &refused.to_string())
}
