//! The body of any answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use nocrd_proxy_core::BoxError;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::listener::InFlight;

/// A body, and the notes that its request is under way: dropped together.
#[derive(Debug)]
pub(crate) struct Body {
    source: Source,
    _in_flight: InFlight,
    _call: Option<TaskTrackerToken>,
}

/// Where it comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Proxy(nocrd_proxy_core::Body),
    Router(axum::body::Body),
}

impl Body {
    pub(super) fn new(source: Source, in_flight: InFlight, call: Option<TaskTrackerToken>) -> Self {
        Self { source, _in_flight: in_flight, _call: call }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.source {
            Source::Proxy(body) => Pin::new(body).poll_frame(context),
            Source::Router(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Proxy(body) => body.is_end_stream(),
            Source::Router(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Proxy(body) => body.size_hint(),
            Source::Router(body) => body.size_hint(),
        }
    }
}
