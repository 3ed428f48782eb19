//! What Prometheus can know. Labels have few values, fixed by us: no names of workspaces, no subjects, no paths.

mod endpoint;
mod gauges;
mod route;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::http::{Method, StatusCode};
use nocrd_authz::authenticator::Via;
use nocrd_model::Code;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

pub(crate) use endpoint::Endpoint;
pub(crate) use gauges::Observed;
pub(crate) use route::Route;

use crate::audit::Outcome;

/// In front of every name.
const PREFIX: &str = "nocrd";

/// Upper ends of the buckets for requests, in seconds.
const REQUEST_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// The same for spawns, which may wait until a workspace is ready.
const SPAWN_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0];
/// The tool whose calls are timed.
const SPAWN: &str = "spawn_workspace";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Check {
    method: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    tool: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLimit {
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

type Timers<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_duration: Timers<OfRoute>,
    checks: Family<Check, Counter>,
    sign_ins: Family<WithOutcome, Counter>,
    calls: Family<Call, Counter>,
    spawn_duration: Timers<WithOutcome>,
    limited: Family<OfLimit, Counter>,
    observed: Arc<OnceLock<Observed>>,
}

/// How credentials were checked, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// They are good.
    Good(Via),
    /// There were none.
    None,
    /// They are not good; whether there was a bearer token among them.
    Bad(Code, bool),
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let metrics = Self {
            requests: Family::default(),
            request_duration: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            checks: Family::default(),
            sign_ins: Family::default(),
            calls: Family::default(),
            spawn_duration: Family::new_with_constructor(|| Histogram::new(SPAWN_BUCKETS)),
            limited: Family::default(),
            observed: Arc::default(),
            registry: Registry::default(),
        };
        registry.register("build", "The program", Info::new(Build { version: env!("CARGO_PKG_VERSION") }));
        registry.register(
            "http_requests",
            "Requests that were answered; the route `workspace` is the proxy",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time until the head of the answer was there",
            Unit::Seconds,
            metrics.request_duration.clone(),
        );
        registry.register("credential_checks", "Requests whose sender was asked for", metrics.checks.clone());
        registry.register(
            "sign_ins",
            "Sign-ins with a browser that came to an end",
            metrics.sign_ins.clone(),
        );
        registry.register("tool_calls", "Calls of MCP tools", metrics.calls.clone());
        registry.register_with_unit(
            "spawn_duration",
            "Time a call of spawn_workspace took, with waiting where that was asked for",
            Unit::Seconds,
            metrics.spawn_duration.clone(),
        );
        registry.register(
            "rate_limited",
            "Requests that were refused because there were too many",
            metrics.limited.clone(),
        );
        registry.register_collector(Box::new(gauges::Gauges(Arc::clone(&metrics.observed))));
        Self { registry, ..metrics }
    }

    /// Tells what is to be looked at when the metrics are read. The first call counts.
    pub(crate) fn observe(&self, observed: Observed) {
        drop(self.observed.set(observed));
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: Route, method: &Method, status: StatusCode, took: Duration) {
        let route = route.label();
        let labels = Request { route, method: method_label(method), status: status_label(status) };
        self.requests.get_or_create(&labels).inc();
        self.request_duration.get_or_create(&OfRoute { route }).observe(took.as_secs_f64());
    }

    /// Credentials were checked.
    pub(crate) fn checked(&self, checked: Checked) {
        let (method, outcome) = match checked {
            Checked::Good(Via::Bearer) => ("bearer", "accepted"),
            Checked::Good(Via::Session) => ("session", "accepted"),
            Checked::Good(Via::Refresh) => ("refresh", "accepted"),
            Checked::None => ("none", "refused"),
            Checked::Bad(code, bearer) => {
                let method = if bearer { "bearer" } else { "session" };
                (method, if code.kind.status() >= 500 { "failed" } else { "refused" })
            }
        };
        self.checks.get_or_create(&Check { method, outcome }).inc();
    }

    /// A browser's sign-in came to an end.
    pub(crate) fn signed_in(&self, outcome: Outcome) {
        self.sign_ins.get_or_create(&WithOutcome { outcome: outcome.word() }).inc();
    }

    /// A tool was called. Its name is one of ours.
    pub(crate) fn called(&self, tool: &'static str, outcome: Outcome, took: Duration) {
        let outcome = outcome.word();
        self.calls.get_or_create(&Call { tool, outcome }).inc();
        if tool == SPAWN {
            self.spawn_duration.get_or_create(&WithOutcome { outcome }).observe(took.as_secs_f64());
        }
    }

    /// Somebody has asked too often.
    pub(crate) fn rate_limited(&self, limit: &'static str) {
        self.limited.get_or_create(&OfLimit { limit }).inc();
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        // Anybody can make up another one.
        _ => "other",
    }
}

/// A workspace can make up statuses: of those that HTTP does not know, only the class is kept.
fn status_label(status: StatusCode) -> u16 {
    match status.canonical_reason() {
        Some(_) => status.as_u16(),
        None => status.as_u16() / 100 * 100,
    }
}

/// The metrics, where there are any.
pub(crate) type Metered = Option<Arc<Metrics>>;
