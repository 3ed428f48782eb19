//! The port on which the metrics are read.

use std::sync::Arc;

use ::http::{HeaderValue, StatusCode, header};
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use nocrd_config::Settings;
use tokio::net::TcpListener;

use super::Metrics;
use crate::{
    Error,
    health::{self, Health},
    http::App,
    limits::Limits,
    listener::{self, Listener, Workers},
    respond,
    site::Site,
};

/// OpenMetrics 1.0, which Prometheus has read since version 2.5.
const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// A few scrapers; more is a mistake, and must not use up the process's files.
const CONNECTIONS: usize = 64;

/// The bound port.
pub(crate) struct Endpoint(TcpListener);

impl Endpoint {
    /// Binds the port, if there is to be one.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub(crate) async fn bind(settings: &Settings) -> Result<Option<Self>, Error> {
        match settings.metrics_port {
            Some(port) => match listener::bind(&settings.metrics_host, port.get()).await {
                Ok(listener) => Ok(Some(Self(listener))),
                Err(error) => Err(error.of_port("METRICS_PORT")),
            },
            None => Ok(None),
        }
    }

    /// Serves the metrics, and the probes: for whoever can't ask at the other port, because that asks for client
    /// certificates. Whom it is for is decided by the address it is bound to; it asks nobody anything.
    pub(crate) fn serve(self, metrics: Arc<Metrics>, health: Arc<Health>, site: Arc<Site>) -> Listener {
        let address = self.0.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
        tracing::info!(address, "metrics are served at /metrics");
        let app = App::new(None, router(metrics, health), site).quiet();
        let limits = Limits { connections: CONNECTIONS, ..Limits::default() };
        Listener::start(self.0, &app, None, limits, Workers::none())
    }
}

fn router(metrics: Arc<Metrics>, health: Arc<Health>) -> Router {
    let probes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz_in_full))
        .with_state(health);
    Router::new().route("/metrics", get(read)).with_state(metrics).merge(probes).fallback(respond::not_found)
}

async fn read(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
