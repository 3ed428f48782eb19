//! A server, from the bound port to its end.

use std::{sync::Arc, time::Duration};

use nocrd_authz::keys::KeyRing;
use nocrd_config::Settings;
use nocrd_mcp_surface::{Surface, extension::Extension};
use nocrd_proxy_core::BasePath;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Error, Shutdown, Urls, auth,
    compose::{self, Web},
    context_form::Forms,
    limits::{self, Limits},
    listener::{self, Listener, Workers},
    metrics::{self, Metered, Metrics},
    site::Site,
    stdio,
    tls::{PERIOD, Tls},
};

/// How long a server in a cluster goes on as before when it is told to stop: until then the cluster's load balancers have
/// heard that it is not ready any more.
const NOTICE: Duration = Duration::from_secs(3);

/// Which parts of the product a server is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Components {
    /// The MCP server.
    pub mcp: bool,
    /// The proxy to running workspaces.
    pub proxy: bool,
}

impl Components {
    /// Everything.
    pub const ALL: Self = Self { mcp: true, proxy: true };
    /// The MCP server alone.
    pub const MCP: Self = Self { mcp: true, proxy: false };
    /// The proxy alone.
    pub const PROXY: Self = Self { mcp: false, proxy: true };
}

/// A server that has its port, and does not serve yet.
pub struct Server {
    settings: Settings,
    components: Components,
    limits: Limits,
    port: Option<Port>,
    extension: Option<Arc<dyn Extension>>,
}

struct Port {
    listener: TcpListener,
    urls: Urls,
    tls: Option<Tls>,
    metrics: Option<metrics::Endpoint>,
}

impl Server {
    /// Looks at what is in the settings without starting anything: [`Self::bind`] does that too, but some have more to
    /// start before.
    ///
    /// # Errors
    /// [`Error::Authentication`].
    pub async fn check(settings: &Settings) -> Result<(), Error> {
        if settings.auth_enabled && settings.transport.serves_http() {
            auth::check(settings).await?;
        }
        Ok(())
    }

    /// Loads certificates and binds the port, unless the transport is `stdio`.
    ///
    /// # Errors
    /// [`Error::Listen`], or one of the errors about certificates or authentication.
    pub async fn bind(settings: Settings, components: Components) -> Result<Self, Error> {
        Self::check(&settings).await?;
        let port = if settings.transport.serves_http() { Some(Port::open(&settings).await?) } else { None };
        Ok(Self { settings, components, limits: Limits::default(), port, extension: None })
    }

    /// The same server, whose MCP half serves more.
    #[doc(hidden)]
    #[must_use]
    pub fn with_extension(self, extension: Arc<dyn Extension>) -> Self {
        Self { extension: Some(extension), ..self }
    }

    /// Where it is reached; `None` without HTTP.
    #[must_use]
    pub fn urls(&self) -> Option<&Urls> {
        self.port.as_ref().map(|port| &port.urls)
    }

    /// Serves until `shutdown` is requested or the client at standard input ends the session; then finishes what is under
    /// way, within `DRAIN_TIMEOUT`.
    ///
    /// # Errors
    /// When there is no cluster, or a part of the server breaks; [`Error::Interrupted`] when it was forced to end.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), Error> {
        let work = self.work(shutdown.clone());
        tokio::select! {
            result = work => result,
            () = shutdown.forced.cancelled() => Err(Error::Interrupted),
        }
    }

    async fn work(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self { settings, components, limits, port, extension } = self;
        limits::raise_open_files();
        let (cluster, connection) = compose::cluster(&settings).await?;
        let _report = compose::report(cluster.clone(), connection);
        let urls = port.as_ref().map(|port| port.urls.clone());
        let metrics: Metered =
            port.as_ref().filter(|port| port.metrics.is_some()).map(|_| Arc::new(Metrics::new()));
        let registry = if components.mcp { compose::registry(&settings)? } else { None };
        // The web half fills it. Standard input has no sessions, and needs no other replica's key.
        let keys = (settings.auth_enabled && port.is_some()).then(|| Arc::new(KeyRing::default()));
        let forms = urls.as_ref().filter(|_| components.mcp);
        let forms = forms.and_then(|urls| Forms::new(urls, cluster.clone(), keys.clone())).map(Arc::new);
        let surface = components.mcp.then(|| compose::spawner(&settings, cluster.clone())).map(|spawner| {
            let background = spawner.clone();
            let background = AbortOnDropHandle::new(tokio::spawn(async move {
                tokio::join!(background.janitor(), background.upgrader());
            }));
            let (urls, keys, metrics) = (urls.as_ref(), keys.clone(), metrics.clone());
            let forms = forms.clone();
            let footing = compose::Footing { spawner, registry, urls, keys, forms, metrics, extension };
            (compose::surface(&settings, footing), background)
        });
        let surface = surface.as_ref().map(|(surface, _background)| surface);
        let http = match port {
            None => None,
            Some(Port { listener, urls, tls, metrics: endpoint }) => {
                let cluster = &cluster;
                let ground =
                    compose::Ground { cluster, surface, urls: &urls, keys, forms, metrics: metrics.clone() };
                let web = compose::web(&settings, components, ground, &limits).await?;
                let linger = limits.linger;
                let metrics = endpoint.zip(metrics).map(|(endpoint, metrics)| {
                    endpoint.serve(metrics, Arc::clone(&web.health), Arc::new(Site::new(&settings)))
                });
                let workers = Workers::start().map_err(Error::Threads)?;
                let address =
                    listener.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
                let reload =
                    tls.clone().map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.keep_fresh(PERIOD))));
                let listener = Listener::start(listener, &web.app, tls, limits, workers);
                tracing::info!(
                    address,
                    mcp = components.mcp,
                    proxy = components.proxy,
                    "listening on {}",
                    urls.local()
                );
                Some(Http { listener, web, linger, _reload: reload, _metrics: metrics })
            }
        };
        let stdio = surface.filter(|_| settings.transport.uses_stdio());
        let outcome = until_told(&shutdown, stdio, http.is_some()).await;
        if let Some(http) = http {
            let notice =
                if settings.in_cluster { NOTICE.min(settings.drain_timeout) } else { Duration::ZERO };
            http.drain(notice, settings.drain_timeout).await;
        }
        tracing::info!("stopped");
        outcome
    }
}

impl Port {
    async fn open(settings: &Settings) -> Result<Self, Error> {
        // Every part of the server reads the prefix in its own way; what only one of them can read is refused.
        BasePath::parse(&settings.base_url).map_err(|error| Error::BaseUrl(error.to_string()))?;
        let tls = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => Some(Tls::load(cert.clone(), key.clone(), settings.tls_ca.clone())?),
            _ => None,
        };
        let listener = listener::bind(&settings.host, settings.port).await?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: settings.host.clone(),
            setting: "PORT",
            source,
        })?;
        let urls = Urls::new(settings, address, tls.is_some());
        let metrics = metrics::Endpoint::bind(settings).await?;
        Ok(Self { listener, urls, tls, metrics })
    }
}

/// Serves standard input and output, if that is asked for, until there is a reason to end.
async fn until_told(shutdown: &Shutdown, stdio: Option<&Surface>, http: bool) -> Result<(), Error> {
    if let Some(surface) = stdio {
        match stdio::serve(surface.clone(), shutdown.requested.clone()).await.map_err(Error::Stdio)? {
            stdio::Ended::WithoutClient if http => {
                tracing::info!("standard input is closed: serving HTTP only");
            }
            _ => return Ok(()),
        }
    }
    shutdown.requested.cancelled().await;
    Ok(())
}

/// The HTTP half of a running server.
struct Http {
    listener: Listener,
    web: Web,
    linger: Duration,
    _reload: Option<AbortOnDropHandle<()>>,
    _metrics: Option<Listener>,
}

impl Http {
    /// Says that it is not ready, then takes nothing new and finishes what is under way, then cuts off the rest.
    async fn drain(self, notice: Duration, limit: Duration) {
        self.web.health.drain();
        tokio::time::sleep(notice).await;
        tracing::info!(
            connections = self.listener.open(),
            tunnels = self.web.drain.open_tunnels(),
            "finishing open requests"
        );
        self.listener.finish();
        let finished = async {
            // Requests that were on their way are served like all before them.
            drop(timeout(self.linger, self.listener.finished()).await);
            self.web.drain.start();
            self.web.app.calls_finished().await;
            self.web.mcp_end.cancel();
            self.listener.finished().await;
            self.web.drain.tunnels_closed().await;
        };
        if timeout(limit.saturating_sub(notice), finished).await.is_err() {
            tracing::warn!(connections = self.listener.open(), "cutting off what has not finished");
            self.web.drain.start();
            self.web.mcp_end.cancel();
            self.listener.cut();
        }
    }
}
