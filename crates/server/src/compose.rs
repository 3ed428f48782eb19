//! From settings to the parts of a server.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use nocrd_authz::keys::KeyRing;
use nocrd_cluster::{Cluster, ConnectOptions, Connection, Scope, connect};
use nocrd_config::{Mode, PodSecurity, Settings};
use nocrd_mcp_surface::{HttpOptions, Options, Surface, extension::Extension, http_service};
use nocrd_model::keys::DEFAULT_WORKSPACE_PORT;
use nocrd_proxy_core::{AddressPolicy, BasePath, Drain, OriginPolicy, Proxy};
use nocrd_registry::{Credentials, Registry};
use nocrd_spawner::{Spawner, TemplateSources, templates::BuiltInOptions};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Components, Error, Urls,
    audit::Books,
    auth::{self, Counting, Door, Gate},
    context_form::{Forms, Pages},
    cors::Cors,
    directory::Directory,
    health::Health,
    http::{App, router},
    keys,
    landing::{self, Page},
    limits::Limits,
    metrics::{Metered, Observed},
    rate::Rates,
    site::Site,
};

/// Port of workspaces that name none, unless the operator says otherwise.
const DEFAULT_PORT: NonZeroU16 = match NonZeroU16::new(DEFAULT_WORKSPACE_PORT) {
    Some(port) => port,
    None => NonZeroU16::MIN,
};
/// How long the API server may take to answer before an operator is told that the server waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Finds the cluster and begins to watch it. That it can't be reached now is no error.
pub(crate) async fn cluster(settings: &Settings) -> Result<(Cluster, Connection), Error> {
    let connection = connect(&ConnectOptions {
        kubeconfig: settings.kubeconfig.clone(),
        home: settings.home.clone(),
        context: None,
        insecure_tls: !settings.node_tls_reject_unauthorized,
    })
    .await?;
    let scope = match settings.mode {
        Mode::Cluster => Scope::Cluster,
        Mode::Namespaced => Scope::Namespaced,
    };
    let mut config = nocrd_cluster::Config::new(scope, settings.namespace.clone());
    config.allowed_namespaces = settings.allowed_namespaces.clone();
    config.check_permissions = !settings.disable_permission_checks;
    config.server = Some(connection.server.clone());
    let cluster = Cluster::start(connection.client.clone(), config).await?;
    Ok((cluster, connection))
}

/// Tells in the log when the cluster's state is known, and what is wrong if that takes long.
pub(crate) fn report(cluster: Cluster, connection: Connection) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let (server, source) = (connection.server.as_str(), connection.source.as_str());
        if tokio::time::timeout(PATIENCE, cluster.synced()).await.is_err() {
            let cause = cluster.health().last_error.unwrap_or_else(|| "it does not answer".to_owned());
            tracing::error!(
                server,
                source,
                "the Kubernetes API can't be used yet, trying on; to work without a cluster, run `nocrd-all dev`: {cause}"
            );
            cluster.synced().await;
        }
        let watched = cluster.health().watched;
        tracing::info!(server, source, %watched, workspaces = cluster.workspaces().len(), "ready");
    }))
}

pub(crate) fn spawner(settings: &Settings, cluster: Cluster) -> Spawner {
    let templates = TemplateSources {
        directory: settings.templates_dir.clone(),
        built_in: settings.builtin_templates.then(BuiltInOptions::default),
    };
    let config = nocrd_spawner::Config {
        max_workspaces_per_user: settings.max_workspaces_per_user,
        pod_security: match settings.pod_security {
            PodSecurity::Baseline => nocrd_spawner::PodSecurity::Baseline,
            PodSecurity::Restricted => nocrd_spawner::PodSecurity::Restricted,
            PodSecurity::Privileged => nocrd_spawner::PodSecurity::Privileged,
        },
        allowed_service_accounts: settings.allowed_service_accounts.clone(),
        allowed_secrets: settings.allowed_secrets.clone(),
        allowed_config_maps: settings.allowed_configmaps.clone(),
        allowed_claims: settings.allowed_claims.clone(),
        allowed_metadata_prefixes: settings.allowed_metadata_prefixes.clone(),
        managed_only: settings.managed_only,
        upgrade: nocrd_spawner::UpgradeConfig {
            timeout: settings.upgrade_timeout,
            ..nocrd_spawner::UpgradeConfig::default()
        },
        ..nocrd_spawner::Config::default()
    };
    Spawner::new(cluster, templates, config)
}

/// The registry whose images are listed, if there is one.
pub(crate) fn registry(settings: &Settings) -> Result<Option<Registry>, Error> {
    let Some(url) = settings.registry_url.clone() else { return Ok(None) };
    let credentials = settings.registry_username.clone().zip(settings.registry_password.clone());
    let credentials = credentials.map(|(username, password)| Credentials { username, password });
    let config = nocrd_registry::Config { credentials, ..nocrd_registry::Config::new(url) };
    Registry::new(config).map(Some).map_err(Error::Registry)
}

/// What of a running server the MCP half needs.
pub(crate) struct Footing<'a> {
    pub(crate) spawner: Spawner,
    pub(crate) registry: Option<Registry>,
    /// Where the HTTP server is, if there is one.
    pub(crate) urls: Option<&'a Urls>,
    /// The keys that replicas share, with authentication.
    pub(crate) keys: Option<Arc<KeyRing>>,
    /// Where users give what their clients must not see.
    pub(crate) forms: Option<Arc<Forms>>,
    pub(crate) metrics: Metered,
    pub(crate) extension: Option<Arc<dyn Extension>>,
}

/// The MCP server.
pub(crate) fn surface(settings: &Settings, footing: Footing<'_>) -> Surface {
    let Footing { spawner, registry, urls, keys, forms, metrics, extension } = footing;
    Surface::new(
        spawner,
        Options {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base_url: urls.map_or_else(|| settings.base_url.clone(), |urls| urls.users().to_owned()),
            auth_enabled: settings.auth_enabled,
            policy: Arc::new(auth::policy(settings)),
            confirm_destructive: settings.confirm_destructive,
            forms: forms.map(|forms| forms as _),
            keys,
            spawn_timeout: settings.spawn_timeout,
            registry,
            ui_page: settings.ui_enabled.then(|| landing::app(settings).into()),
            observer: Some(Arc::new(Books::new(metrics))),
            extension,
        },
    )
}

/// What serves HTTP.
pub(crate) struct Web {
    pub(crate) app: Arc<App>,
    pub(crate) health: Arc<Health>,
    /// Ends tunnels.
    pub(crate) drain: Drain,
    /// Ends MCP sessions and streams.
    pub(crate) mcp_end: CancellationToken,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// What of a running server the web half needs.
pub(crate) struct Ground<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) surface: Option<&'a Surface>,
    pub(crate) urls: &'a Urls,
    /// Filled by the web half, with authentication.
    pub(crate) keys: Option<Arc<KeyRing>>,
    pub(crate) forms: Option<Arc<Forms>>,
    pub(crate) metrics: Metered,
}

pub(crate) async fn web(
    settings: &Settings,
    components: Components,
    ground: Ground<'_>,
    limits: &Limits,
) -> Result<Web, Error> {
    let Ground { cluster, surface, urls, keys: ring, forms, metrics } = ground;
    let (drain, mcp_end) = (Drain::new(), CancellationToken::new());
    let site = Arc::new(Site::new(settings));
    let rates = Rates::new(settings, metrics.as_ref());
    let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(rates.clone().tidy()))];
    let (door, endings, lonely) = if let Some(ring) = &ring {
        if auth::wants_public_url(settings) {
            tracing::warn!(
                "PUBLIC_URL is not set: what clients are told about where to sign in follows the Host header of their own requests; set PUBLIC_URL to the address that users know"
            );
        }
        let shared = keys::start(settings, cluster, Arc::clone(ring))
            .await
            .map_err(|error| error.of_port("PEER_PORT"))?;
        tasks.extend(shared.tasks);
        let introspects = settings.introspection_endpoint.is_some();
        let parts = auth::Shared {
            keys: Arc::clone(ring),
            grants: shared.grants,
            revocations: shared.revocations,
            endings: shared.endings.clone(),
            counting: Counting::new(Arc::clone(&rates.failures), metrics.clone(), introspects)
                .behind(&settings.trusted_proxies),
        };
        let door = Arc::new(auth::build(settings, &site, parts)?);
        auth::tell(settings, &site);
        tell_key(settings, ring);
        tasks.push(AbortOnDropHandle::new(tokio::spawn(Arc::clone(door.upstream()).try_out())));
        (Some(door), Some(shared.endings), shared.lonely)
    } else {
        (None, None, Arc::default())
    };
    let upstream = door.as_ref().map(|door| Arc::clone(door.upstream()));
    let health = Arc::new(Health::new(cluster.clone(), ring, lonely, endings, upstream, settings));
    let proxy = if components.proxy {
        let port = settings.default_workspace_port.unwrap_or(DEFAULT_PORT);
        let directory = Arc::new(Directory::new(cluster.clone(), port));
        tasks.push(AbortOnDropHandle::new(tokio::spawn(Arc::clone(&directory).forget_the_gone())));
        let proxy = Proxy::new(directory, proxy_config(settings)?, drain.clone());
        Some(guarded(proxy, door.as_ref()))
    } else {
        None
    };
    let mcp = surface.map(|surface| {
        let options = HttpOptions {
            stateless: settings.stateless,
            // Checked by the router, by the rules of the whole site.
            allowed_hosts: None,
            allowed_origins: None,
            shutdown: mcp_end.clone(),
            ..HttpOptions::default()
        };
        http_service(surface.clone(), options)
    });
    if let Some(metrics) = &metrics {
        let (cluster, drain) = (cluster.clone(), drain.clone());
        metrics.observe(Observed { cluster, drain, mcp: mcp.clone() });
    }
    if let Some(forms) = &forms {
        tasks.push(AbortOnDropHandle::new(tokio::spawn(Arc::clone(forms).tidy())));
    }
    let router = router::build(router::Parts {
        base: settings.base_url.clone(),
        site: Arc::clone(&site),
        cors: Arc::new(Cors::new(settings)),
        health: Arc::clone(&health),
        mcp,
        landing: (settings.ui_enabled && components.mcp).then(|| Page::new(settings, urls, door.clone())),
        context_pages: forms.map(|forms| Pages::new(forms, Arc::clone(&site), settings)),
        pace: limits.body,
        cluster: cluster.clone(),
        door,
        rates,
    });
    let app = App::new(proxy, router, site).metered(metrics, &settings.base_url);
    Ok(Web { app: Arc::new(app), health, drain, mcp_end, _tasks: tasks })
}

/// Tells which key of the settings sessions are made with: of one that comes from elsewhere, who finds it tells.
fn tell_key(settings: &Settings, ring: &KeyRing) {
    let source = match (&settings.proxy_session_secret, &settings.jwt_secret) {
        (Some(_), _) => "PROXY_SESSION_SECRET",
        (None, Some(_)) => "JWT_SECRET",
        (None, None) => return,
    };
    if let Some(id) = ring.current_id() {
        tracing::info!(key = %id, source, "the session key is known");
    }
}

/// The proxy, with somebody at its door where that is wanted.
fn guarded(proxy: Proxy, door: Option<&Arc<Door>>) -> Proxy {
    match door {
        Some(door) => proxy.with_guard(Arc::new(Gate::new(Arc::clone(door)))),
        None => proxy,
    }
}

fn proxy_config(settings: &Settings) -> Result<nocrd_proxy_core::Config, Error> {
    Ok(nocrd_proxy_core::Config {
        base_path: BasePath::parse(&settings.base_url).map_err(|error| Error::BaseUrl(error.to_string()))?,
        addresses: AddressPolicy::new(settings.pod_cidrs.clone()),
        response_timeout: settings.proxy_timeout,
        keep_alive: settings.proxy_keep_alive,
        inject_token: settings.auth_inject_workspace_jwt,
        origins: OriginPolicy { hosts: Site::authorities(settings), allow_missing: true },
        ..nocrd_proxy_core::Config::default()
    })
}
