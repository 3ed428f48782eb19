//! Probes. None of them asks the cluster anything: they tell what the watches know.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ::http::StatusCode;
use axum::{extract::State, response::Response};
use nocrd_authz::keys::KeyRing;
use nocrd_cluster::{Cluster, Health as ClusterHealth};
use nocrd_config::Settings;
use serde::Serialize;

use crate::{
    auth::{Upstream, UpstreamState},
    keys::Endings,
    respond::fresh,
};

/// What the probes need.
pub(crate) struct Health {
    cluster: Cluster,
    /// The keys of sessions, where there are any.
    keys: Option<Arc<KeyRing>>,
    /// Whether the key was made up by this replica alone.
    lonely: Arc<AtomicBool>,
    /// The sign-ins that were ended, where there are any.
    endings: Option<Endings>,
    /// The identity provider, where there is one.
    upstream: Option<Arc<Upstream>>,
    branding: Branding,
    draining: AtomicBool,
}

/// How the product calls itself here; dashboards of earlier versions read it.
#[derive(Debug, Clone, Serialize)]
struct Branding {
    title: String,
    subtitle: String,
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
    version: &'static str,
    branding: Branding,
}

#[derive(Serialize)]
struct Trouble {
    status: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    index: Index,
    kubernetes: Kubernetes,
    /// Whether the key of sessions is known; only where there are sessions.
    #[serde(skip_serializing_if = "Option::is_none", rename = "sessionKey")]
    session_key: Option<bool>,
    /// Which key that is: all replicas must tell the same.
    #[serde(skip_serializing_if = "Option::is_none", rename = "sessionKeyId")]
    session_key_id: Option<String>,
    /// Whether other replicas can have the same key.
    #[serde(skip_serializing_if = "Option::is_none", rename = "sessionKeyShared")]
    session_key_shared: Option<bool>,
    /// Whether it is known which sign-ins were ended; only where there are sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocations: Option<bool>,
    /// Whether the identity provider gives what is needed of it. That it does not is no reason to get no requests.
    #[serde(skip_serializing_if = "Option::is_none", rename = "identityProvider")]
    identity_provider: Option<UpstreamState>,
    draining: bool,
}

#[derive(Serialize)]
struct Index {
    synced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspaces: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watched: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kubernetes {
    reachable: bool,
    /// Seconds since the API server was last heard of; only while it can't be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_for: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl Health {
    pub(crate) fn new(
        cluster: Cluster,
        keys: Option<Arc<KeyRing>>,
        lonely: Arc<AtomicBool>,
        endings: Option<Endings>,
        upstream: Option<Arc<Upstream>>,
        settings: &Settings,
    ) -> Self {
        let branding = Branding { title: settings.ui_title.clone(), subtitle: settings.ui_subtitle.clone() };
        Self { cluster, keys, lonely, endings, upstream, branding, draining: AtomicBool::new(false) }
    }

    /// From now on the server is about to end, and wants no new work.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why there should be no traffic for this server now. What went wrong is in the log: it may name addresses.
    ///
    /// That the API server is out of reach is no reason: workspaces that run are served as before.
    fn trouble(&self, health: &ClusterHealth) -> Option<&'static str> {
        if self.is_draining() {
            return Some("the server is shutting down");
        }
        if self.keys.as_ref().is_some_and(|keys| !keys.is_known()) {
            return Some("the key of sessions is not known yet");
        }
        if self.endings.as_ref().is_some_and(|endings| !endings.are_known()) {
            return Some("it is not known yet which sign-ins were ended");
        }
        (!health.synced).then_some(match &health.last_error {
            None => "the server is reading the cluster's state",
            Some(_) => "the server can't read the cluster's state",
        })
    }

    /// What `/readyz` answers: to strangers what holds and what does not, `in_full` also what that is.
    fn readiness(&self, in_full: bool) -> Response {
        let cluster = self.cluster.health();
        let message = self.trouble(&cluster);
        let (status, word) = match message {
            None => (StatusCode::OK, "ok"),
            Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "error"),
        };
        let key = self.keys.as_ref().map(|keys| keys.current_id());
        let checks = Checks {
            index: Index {
                synced: cluster.synced,
                workspaces: in_full.then(|| self.cluster.workspaces().len()),
                watched: in_full.then(|| cluster.watched.to_string()),
            },
            kubernetes: Kubernetes {
                reachable: cluster.stale_for.is_none(),
                stale_for: cluster.stale_for.map(|time| time.as_secs()).filter(|_| in_full),
                last_error: cluster.last_error.filter(|_| in_full),
            },
            session_key: key.map(|key| key.is_some()),
            // A hash of the key: who has it can try out words that somebody may have chosen.
            session_key_id: key.flatten().filter(|_| in_full).map(|key| key.to_string()),
            session_key_shared: key.flatten().map(|_| !self.lonely.load(Ordering::Relaxed)),
            revocations: self.endings.as_ref().map(Endings::are_known),
            identity_provider: self
                .upstream
                .as_ref()
                .and_then(|upstream| upstream.state())
                .map(|state| if in_full { state } else { state.outline() }),
            draining: self.is_draining(),
        };
        fresh(status, Ready { status: word, message, checks })
    }
}

/// `/healthz`: whether the server does its work. Probes of earlier versions' manifests ask this.
pub(crate) async fn healthz(State(health): State<Arc<Health>>) -> Response {
    match health.trouble(&health.cluster.health()) {
        None => {
            let branding = health.branding.clone();
            fresh(StatusCode::OK, Live { status: "ok", version: env!("CARGO_PKG_VERSION"), branding })
        }
        Some(message) => fresh(StatusCode::SERVICE_UNAVAILABLE, Trouble { status: "error", message }),
    }
}

/// `/livez`: whether the process should go on. It answers, so it should.
pub(crate) async fn livez() -> Response {
    fresh(StatusCode::OK, serde_json::json!({ "status": "ok" }))
}

/// `/readyz`: whether the server should get requests, and what that depends on. Anybody can ask.
pub(crate) async fn readyz(State(health): State<Arc<Health>>) -> Response {
    health.readiness(false)
}

/// The same for operators, at the port of the metrics.
pub(crate) async fn readyz_in_full(State(health): State<Arc<Health>>) -> Response {
    health.readiness(true)
}
