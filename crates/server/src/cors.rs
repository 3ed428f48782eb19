//! Pages of other origins: answers to preflight requests, and the headers that let a page read an answer (Fetch standard,
//! 3.2). Nothing is sent unless CORS_ALLOWED_ORIGIN is set.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use nocrd_config::Settings;

use crate::site::Origins;

/// What is told to browsers.
#[derive(Debug, Clone)]
pub(crate) struct Cors {
    origins: Origins,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    credentials: bool,
}

impl Cors {
    pub(crate) fn new(settings: &Settings) -> Self {
        let list =
            |items: &[String]| HeaderValue::from_str(&items.join(", ")).ok().filter(|list| !list.is_empty());
        Self {
            origins: Origins::new(settings),
            methods: list(&settings.cors_allowed_methods),
            headers: list(&settings.cors_allowed_headers),
            exposed: list(&settings.cors_exposed_headers),
            max_age: settings.cors_max_age.map(|age| HeaderValue::from(age.as_secs())),
            credentials: settings.cors_allow_credentials,
        }
    }

    /// The value of `Access-Control-Allow-Origin` for a page of `origin`.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            origins => origins.allow(origin.to_str().ok()?).then(|| origin.clone()),
        }
    }

    fn preflight(&self, headers: &mut HeaderMap) {
        let fields = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers),
            (header::ACCESS_CONTROL_MAX_AGE, &self.max_age),
        ];
        headers.extend(fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    }
}

/// Middleware: answers preflight requests, and adds what lets the page read the answer.
pub(crate) async fn apply(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    if cors.origins == Origins::None {
        return next.run(request).await;
    }
    let allowed = request.headers().get(header::ORIGIN).and_then(|origin| cors.allowed(origin));
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut answer = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = answer.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(allowed) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if cors.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if preflight {
            cors.preflight(headers);
        } else if let Some(exposed) = &cors.exposed {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
    answer
}
