//! The routes that are not the proxy's. All live below the path prefix, but for the metadata that OAuth clients look for at
//! the root.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodFilter, MethodRouter, get, on_service, post},
};
use nocrd_authz::policy::Action;
use nocrd_cluster::Cluster;
use nocrd_mcp_surface::HttpService;

use super::{guard, pause};
use crate::{
    auth::{
        Door,
        admit::{Admission, admit},
        metadata::{self, About},
        routes,
    },
    context_form::{self, Pages},
    cors::{self, Cors},
    endpoints::{self, Endpoint},
    health::{self, Health},
    landing::{self, Page},
    limits::Pace,
    rate::{self, Rates},
    respond,
    site::Site,
};

/// Largest body of a request that is not MCP's.
const MAX_BODY: usize = 64 * 1024;

/// What the routes are made of.
pub(crate) struct Parts {
    /// Path prefix: empty, or `/a/b`.
    pub(crate) base: String,
    pub(crate) site: Arc<Site>,
    pub(crate) cors: Arc<Cors>,
    pub(crate) health: Arc<Health>,
    pub(crate) mcp: Option<HttpService>,
    pub(crate) landing: Option<Page>,
    /// The pages on which users give what their MCP clients must not see.
    pub(crate) context_pages: Option<Pages>,
    /// How fast the body of a request must come.
    pub(crate) pace: Pace,
    pub(crate) cluster: Cluster,
    /// Asks who comes; `None` on a server without authentication.
    pub(crate) door: Option<Arc<Door>>,
    pub(crate) rates: Rates,
}

/// A group of routes with what they share.
struct Group<S> {
    base: String,
    router: Router<S>,
}

impl<S: Clone + Send + Sync + 'static> Group<S> {
    fn new(base: &str) -> Self {
        Self { base: base.to_owned(), router: Router::new() }
    }

    /// Serves an endpoint. It is the only way to make a route, so that each is in the table.
    fn on(self, endpoint: &Endpoint, methods: MethodRouter<S>) -> Self {
        let path = format!("{}{}", self.base, endpoint.path());
        Self { router: self.router.route(&path, methods), ..self }
    }

    /// Serves an endpoint at the root of the host, before the path prefix, with `suffix`.
    fn at_root(self, endpoint: &Endpoint, suffix: &str, methods: MethodRouter<S>) -> Self {
        Self { router: self.router.route(&format!("{}{suffix}", endpoint.path()), methods), ..self }
    }

    /// Serves what is at the root of the path prefix, which is also reached without a slash.
    fn home(self, endpoint: &Endpoint, methods: MethodRouter<S>) -> Self {
        let base = self.base.clone();
        let group = self.on(endpoint, methods.clone());
        if base.is_empty() {
            return group;
        }
        Self { router: group.router.route(&base, methods), base }
    }

    /// The routes. Layers that are added to it see requests with other methods too: a preflight is one.
    fn with_state(self, state: S) -> Router {
        self.router.method_not_allowed_fallback(respond::method_not_allowed).with_state(state)
    }
}

/// Builds the router.
pub(crate) fn build(parts: Parts) -> Router {
    let Parts { base, site, cors, health, mcp, landing, context_pages, pace, cluster, door, rates } = parts;
    let cors = from_fn_with_state(cors, cors::apply);
    let host = from_fn_with_state(Arc::clone(&site), guard::host);
    let host_and_origin = from_fn_with_state(site, guard::host_and_origin);
    let sign_in_rate = from_fn_with_state(rates.sign_in, rate::limit);
    let paused = from_fn(move |request, next| pause::limit(pace, request, next));
    let admission = |action, endpoint| Admission { door: door.clone(), action, endpoint, page: false };
    let admitting = |action, endpoint| from_fn_with_state(admission(action, endpoint), admit);

    let mut probes = Group::new(&base)
        .on(endpoints::HEALTHZ, get(health::healthz))
        .on(endpoints::LIVEZ, get(health::livez))
        .on(endpoints::READYZ, get(health::readyz));
    let mut router = Router::new();
    if let Some(service) = mcp {
        probes = probes.on(endpoints::MCP_HEALTHZ, get(health::healthz));
        let methods = MethodFilter::GET.or(MethodFilter::POST).or(MethodFilter::DELETE);
        let mcp = [endpoints::MCP, endpoints::MCP_SLASH, endpoints::MCP_MCP]
            .into_iter()
            .fold(Group::new(&base), |group, endpoint| {
                group.on(endpoint, on_service(methods, service.clone()))
            })
            .with_state(());
        let mcp = match rates.mcp {
            Some(limited) => mcp.layer(from_fn_with_state(limited, rate::limit)),
            None => mcp,
        };
        let mcp = mcp
            .layer(admitting(Some(Action::Read), "/mcp"))
            .layer(paused.clone())
            .layer(host_and_origin.clone())
            .layer(cors.clone());
        let permissions = Group::new(&base)
            .on(endpoints::PERMISSIONS, get(routes::permissions))
            .on(endpoints::MCP_PERMISSIONS, get(routes::permissions))
            .with_state(Arc::new(routes::Permissions { cluster }))
            .layer(admitting(Some(Action::Read), ""))
            .layer(host_and_origin.clone())
            .layer(cors.clone());
        router = router.merge(mcp).merge(permissions);
    }
    router = router.merge(probes.with_state(health).layer(cors.clone()));
    if let Some(page) = landing {
        let home = Group::new(&base).home(endpoints::HOME, get(landing::page)).with_state(Arc::new(page));
        router = router.merge(home.layer(host.clone()));
    }
    if let Some(pages) = context_pages {
        let visited = Admission { page: true, ..admission(None, "") };
        let pages = Group::new(&base)
            .on(endpoints::CONTEXT, get(context_form::show).post(context_form::receive))
            .with_state(Arc::new(pages))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(from_fn_with_state(visited, admit))
            .layer(from_fn_with_state(rates.pages, rate::limit))
            .layer(paused.clone())
            // People come here by a link in a client, which may be a page of another site.
            .layer(host.clone());
        router = router.merge(pages);
    }
    if let Some(door) = &door {
        let sign_in = Group::new(&base)
            .on(endpoints::LOGIN, get(routes::login))
            .on(endpoints::CALLBACK, get(routes::callback))
            .on(endpoints::LINK, get(routes::link).post(routes::link))
            .with_state(Arc::clone(door))
            .layer(sign_in_rate.clone())
            .layer(host.clone());
        let own = Group::new(&base)
            .on(endpoints::SESSION, get(routes::session))
            .on(endpoints::SET_REFRESH, post(routes::set_refresh))
            .on(endpoints::MCP_SET_REFRESH, post(routes::set_refresh))
            .with_state(Arc::clone(door))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(sign_in_rate.clone())
            .layer(admitting(None, ""))
            .layer(paused)
            .layer(host_and_origin)
            .layer(cors);
        let metadata = metadata_routes(&base, door).layer(host.clone());
        router = router.merge(sign_in).merge(own).merge(metadata);
    }
    // Signing out of a server that asks nobody is no mistake.
    let sign_out = Group::new(&base)
        .on(endpoints::LOGOUT, get(routes::logout).post(routes::logout))
        .on(endpoints::MCP_LOGOUT, get(routes::logout).post(routes::logout))
        .with_state(door.clone())
        .layer(sign_in_rate)
        .layer(host);
    router.merge(sign_out).fallback(respond::not_found)
}

/// The metadata of the server, and of the MCP endpoint: below the prefix, where challenges point to, and at the root, where
/// RFC 9728 puts it.
fn metadata_routes(base: &str, door: &Arc<Door>) -> Router {
    let about = |endpoint| About { door: Arc::clone(door), endpoint };
    let methods = || get(metadata::document).options(metadata::preflight);
    let (whole, mcp) = (Group::new(base), Group::new(base));
    let mut whole = whole.on(endpoints::METADATA, methods());
    let mut mcp = mcp.on(endpoints::MCP_METADATA, methods());
    if !base.is_empty() {
        whole =
            whole.at_root(endpoints::METADATA, "", methods()).at_root(endpoints::METADATA, base, methods());
        mcp = mcp.at_root(endpoints::METADATA, &format!("{base}/mcp"), methods());
    }
    whole.with_state(about("")).merge(mcp.with_state(about("/mcp")))
}
