use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{Config, activity::Activity, echo, page, serve::Tasks, socket, stats::Sampler};

/// Most WebSockets at a time.
const MAX_SOCKETS: usize = 256;

/// What the handlers share; cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) activity: Activity,
    pub(crate) tasks: Tasks,
    pub(crate) sockets: Arc<Semaphore>,
    pub(crate) config: Arc<Config>,
    pub(crate) started: Timestamp,
    sampler: Arc<Mutex<Sampler>>,
}

pub(crate) fn router(mut config: Config, tasks: Tasks) -> Router {
    if config.hostname.is_none() {
        config.hostname = machine_name();
    }
    let app = App {
        activity: Activity::starting_now(),
        tasks,
        sockets: Arc::new(Semaphore::new(MAX_SOCKETS)),
        sampler: Arc::new(Mutex::new(Sampler::new(config.root.clone()))),
        config: Arc::new(config),
        started: Timestamp::now(),
    };
    Router::new()
        .route("/", get(landing))
        .route("/echo", any(echo_or_socket))
        .route("/echo/{*rest}", any(echo_or_socket))
        .route("/stats", get(stats))
        .route("/last_activity", get(last_activity))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// A refusal, as JSON.
pub(crate) fn failure(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

async fn landing(State(app): State<App>) -> Response {
    page::response(&app.config, app.started)
}

async fn echo_or_socket(State(app): State<App>, request: Request) -> Response {
    if socket::is_wanted(request.headers()) {
        socket::upgrade(&app, request)
    } else {
        echo::answer(request).await
    }
}

async fn stats(State(app): State<App>) -> Response {
    // The root may be a network file system that hangs.
    let measure =
        move || app.sampler.lock().unwrap_or_else(PoisonError::into_inner).sample(std::time::Instant::now());
    match tokio::task::spawn_blocking(measure).await {
        Ok(stats) => Json(stats).into_response(),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "can't measure"),
    }
}

async fn last_activity(State(app): State<App>) -> Response {
    Json(json!({ "last_activity": app.activity.last() })).into_response()
}

/// What is the same for every request.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    app.activity.note_request(request.uri().path(), request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static("default-src 'none'"));
    response
}

#[cfg(unix)]
fn machine_name() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn machine_name() -> Option<String> {
    None
}
