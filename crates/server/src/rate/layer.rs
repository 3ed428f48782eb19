//! The limits as middleware.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use nocrd_model::error as codes;

use super::{
    Key,
    limiter::{Limiter, Standing},
};
use crate::{auth::Refusal, metrics::Metrics, visit::Visit};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A limit of some endpoints.
#[derive(Clone)]
pub(crate) struct Limited {
    name: &'static str,
    limiter: Arc<Limiter>,
    metrics: Option<Arc<Metrics>>,
}

impl Limited {
    pub(super) fn new(name: &'static str, limiter: Limiter, metrics: Option<Arc<Metrics>>) -> Self {
        Self { name, limiter: Arc::new(limiter), metrics }
    }

    pub(super) fn tidy(&self) {
        self.limiter.tidy();
    }
}

/// Middleware: lets a caller through until they have asked too often. They are who they were found to be by the layers
/// before this one, else their address.
pub(crate) async fn limit(State(limited): State<Limited>, request: Request, next: Next) -> Response {
    let Some(visit) = Visit::of(request.extensions()) else {
        return Refusal::broken().response(request.headers());
    };
    let standing = limited.limiter.count(Key::of_caller(visit.caller(), visit.client));
    let mut answer = match standing.wait {
        None => next.run(request).await,
        Some(wait) => {
            if let Some(metrics) = &limited.metrics {
                metrics.rate_limited(limited.name);
            }
            too_many(wait).response(request.headers())
        }
    };
    tell(answer.headers_mut(), &standing);
    answer
}

/// What somebody gets who has asked too often.
pub(crate) fn too_many(wait: Duration) -> Refusal {
    Refusal::new(codes::RATE_LIMITED, "too many requests: wait, then go on more slowly").after(wait)
}

/// Whole seconds, and never too few.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn tell(headers: &mut HeaderMap, standing: &Standing) {
    let reset = seconds(standing.wait.unwrap_or_default().max(standing.full_after()));
    headers.insert(LIMIT, HeaderValue::from(standing.max));
    headers.insert(REMAINING, HeaderValue::from(standing.remaining));
    headers.insert(RESET, HeaderValue::from(reset));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, expected) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }
}
