//! The routes that are not the proxy's. All live below the path prefix.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodFilter, get, on_service},
};
use nocrd_mcp_surface::HttpService;
use nocrd_model::Caller;

use super::{guard, pause};
use crate::{
    cors::{self, Cors},
    health::{self, Health},
    landing::{self, Page},
    respond,
    site::Site,
};

/// What the routes are made of.
pub(crate) struct Parts {
    /// Path prefix: empty, or `/a/b`.
    pub(crate) base: String,
    pub(crate) site: Arc<Site>,
    pub(crate) cors: Arc<Cors>,
    pub(crate) health: Arc<Health>,
    pub(crate) mcp: Option<HttpService>,
    pub(crate) landing: Option<Page>,
    /// Longest pause within a request's body.
    pub(crate) body_pause: Duration,
}

/// Builds the router.
pub(crate) fn build(parts: Parts) -> Router {
    let at = |path: &str| format!("{}{path}", parts.base);
    let cors = from_fn_with_state(Arc::clone(&parts.cors), cors::apply);

    let mut probes = Router::new()
        .route(&at("/healthz"), get(health::healthz))
        .route(&at("/livez"), get(health::livez))
        .route(&at("/readyz"), get(health::readyz));
    let mut router = Router::new();
    if let Some(service) = parts.mcp {
        probes = probes.route(&at("/mcp/healthz"), get(health::healthz));
        let methods = MethodFilter::GET.or(MethodFilter::POST).or(MethodFilter::DELETE);
        let pause = parts.body_pause;
        let mcp = ["/mcp", "/mcp/", "/mcp/mcp"]
            .into_iter()
            .fold(Router::new(), |router, path| router.route(&at(path), on_service(methods, service.clone())))
            // Before the layers, or they would not see such requests: a preflight is one.
            .method_not_allowed_fallback(respond::method_not_allowed)
            // Who asks: a server without authentication knows one caller only.
            .layer(Extension(Caller::local()))
            .layer(from_fn(move |request, next| pause::limit(pause, request, next)))
            .layer(from_fn_with_state(Arc::clone(&parts.site), guard::host_and_origin))
            .layer(cors.clone());
        router = router.merge(mcp);
    }
    let probes = probes.method_not_allowed_fallback(respond::method_not_allowed).with_state(parts.health);
    router = router.merge(probes.layer(cors));
    if let Some(page) = parts.landing {
        let mut root = Router::new().route(&at("/"), get(landing::page));
        if !parts.base.is_empty() {
            root = root.route(&parts.base, get(landing::page));
        }
        let root = root.method_not_allowed_fallback(respond::method_not_allowed).with_state(Arc::new(page));
        router = router.merge(root.layer(from_fn_with_state(parts.site, guard::host)));
    }
    router.fallback(respond::not_found)
}
