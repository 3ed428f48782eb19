//! Everything the server answers: the proxy's paths, then the router's.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use axum::Router;
use futures::FutureExt;
use hyper::body::Incoming;
use nocrd_model::error as codes;
use nocrd_proxy_core::{Peer, Proxy};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{Instrument, Level};

use super::{
    body::{Body, Source},
    guard,
    request_id::RequestId,
};
use crate::{
    context_form,
    listener::InFlight,
    metrics::{Metered, Route},
    respond,
    site::Site,
    visit::{Visit, subject_hash},
};

/// The application behind the listener.
pub(crate) struct App {
    proxy: Option<Proxy>,
    router: Router,
    site: Arc<Site>,
    /// MCP calls under way: those that end by themselves.
    calls: TaskTracker,
    metrics: Metered,
    /// The path prefix.
    base: String,
    /// Whether all requests are routine.
    quiet: bool,
    /// Whether answers are to be the last on their connections.
    leaving: AtomicBool,
}

/// What the log says of a request. Never the query, which may hold secrets.
struct Facts {
    id: RequestId,
    version: Version,
    method: Method,
    uri: Uri,
    start: Instant,
    /// Level of a line about a request that went well.
    level: Level,
    visit: Arc<Visit>,
}

impl App {
    pub(crate) fn new(proxy: Option<Proxy>, router: Router, site: Arc<Site>) -> Self {
        let calls = TaskTracker::new();
        let (base, leaving) = (String::new(), AtomicBool::new(false));
        Self { proxy, router, site, calls, metrics: None, base, quiet: false, leaving }
    }

    /// Counts requests, by routes below the path prefix `base`.
    pub(crate) fn metered(self, metrics: Metered, base: &str) -> Self {
        Self { metrics, base: base.to_owned(), ..self }
    }

    /// Tells of requests only who wants to know everything.
    pub(crate) fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// The same for a thread that serves connections alone.
    pub(crate) fn for_a_thread(&self) -> Arc<Self> {
        Arc::new(Self {
            proxy: self.proxy.as_ref().map(Proxy::with_own_connections),
            router: self.router.clone(),
            site: Arc::clone(&self.site),
            calls: self.calls.clone(),
            metrics: self.metrics.clone(),
            base: self.base.clone(),
            quiet: self.quiet,
            leaving: AtomicBool::new(false),
        })
    }

    /// From now on each answer tells an HTTP/1 client to send its next request elsewhere. Of HTTP/2 connections the end is
    /// announced as such.
    pub(crate) fn take_leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Answers a request.
    pub(crate) async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: &Peer,
        in_flight: InFlight,
    ) -> Response<Body> {
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.matches(request.uri().path()));
        let peer = self.site.proxies().look_through(&mut request, peer);
        let peer = peer.as_ref();
        let facts = Facts::of(&request, proxy.is_some() || self.quiet, peer);
        request.extensions_mut().insert(Arc::clone(&facts.visit));
        let call = (proxy.is_none() && is_call(&request)).then(|| self.calls.token());
        let answer = match proxy {
            Some(proxy) => match guard::for_workspaces(&self.site, &request) {
                Ok(()) => {
                    caught(&facts, proxy.handle(request, peer)).await.map(|answer| answer.map(Source::Proxy))
                }
                Err(refusal) => Some(refusal.map(Source::Router)),
            },
            None => {
                request.extensions_mut().insert(peer.clone());
                let span = tracing::info_span!("request", id = %facts.id);
                // Boxed, because hyper moves the whole future for each request, of whichever kind that is.
                caught(&facts, Box::pin(self.route(request).instrument(span)))
                    .await
                    .map(|answer| answer.map(Source::Router))
            }
        };
        let mut answer = answer.unwrap_or_else(|| {
            let message = "the server failed unexpectedly";
            respond::failure(&HeaderMap::new(), codes::INTERNAL, message).map(Source::Router)
        });
        facts.id.tell(answer.headers_mut());
        let is_last = self.leaving.load(Ordering::Relaxed) && answer.status() != StatusCode::SWITCHING_PROTOCOLS
            // What is left of the request is not read, so that the connection ends here, and the client should know before it
            // sends the next one over it.
            || proxy.is_none() && answer.status() == StatusCode::PAYLOAD_TOO_LARGE;
        if is_last && facts.version <= Version::HTTP_11 {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(metrics) = &self.metrics {
            let route = match proxy {
                Some(_) => Route::Workspace,
                None => Route::of(facts.uri.path(), &self.base),
            };
            metrics.answered(route, &facts.method, answer.status(), facts.start.elapsed());
        }
        facts.log(answer.status(), peer);
        answer.map(|source| Body::new(source, in_flight, call))
    }

    /// Waits until no call is under way.
    pub(crate) async fn calls_finished(&self) {
        self.calls.close();
        self.calls.wait().await;
    }

    async fn route(&self, request: Request<Incoming>) -> Response<axum::body::Body> {
        // `OPTIONS *` and `CONNECT host:port` name no path, and routers take it for granted that there is one.
        if !request.uri().path().starts_with('/') {
            let message = "the request names no path";
            return respond::failure(request.headers(), codes::REQUEST_MALFORMED, message);
        }
        let answer: Result<_, Infallible> = self.router.clone().oneshot(request).await;
        match answer {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }
}

/// Whether it is an MCP call: not a stream that the client listens on for as long as it likes.
fn is_call(request: &Request<Incoming>) -> bool {
    let listens = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
    request.method() == Method::POST && !listens
}

/// The outcome of `work`; `None` when it panicked. One broken request must not take its connection, with the requests of
/// others on it, along.
///
/// No `async fn`, which would hold the work twice: before it has begun and from then on.
fn caught<T>(facts: &Facts, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
    let failed = || tracing::error!(request.id = %facts.id, "a request handler panicked");
    AssertUnwindSafe(work).catch_unwind().map(move |outcome| outcome.inspect_err(|_| failed()).ok())
}

impl Facts {
    fn of(request: &Request<Incoming>, routine: bool, peer: &Peer) -> Self {
        let path = request.uri().path();
        let routine =
            routine || path.ends_with("/healthz") || path.ends_with("/livez") || path.ends_with("/readyz");
        let id = RequestId::new();
        Self {
            id,
            visit: Arc::new(Visit::new(id, peer.client())),
            version: request.version(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            start: Instant::now(),
            // There are many of these, and the workspace keeps its own log.
            level: if routine { Level::DEBUG } else { Level::INFO },
        }
    }

    fn log(&self, status: StatusCode, peer: &Peer) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    request.id = %self.id,
                    method = %self.method,
                    path = &*context_form::unnamed(self.uri.path()),
                    status = status.as_u16(),
                    micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX),
                    client = %self.visit.client,
                    peer = %peer.addr(),
                    auth.sub_hash = self.visit.caller().map(|caller| subject_hash(&caller.subject)),
                    "answered"
                )
            };
        }
        if self.level == Level::INFO || status.is_server_error() {
            line!(Level::INFO);
        } else {
            line!(Level::DEBUG);
        }
    }
}
