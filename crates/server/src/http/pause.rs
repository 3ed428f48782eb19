//! Request bodies that stop arriving, or hardly arrive.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use futures::FutureExt;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::limits::Pace;

/// A body that fails when the client pauses for too long, or takes too long for the whole.
struct Hurried {
    body: Body,
    pace: Pace,
    begun: Instant,
    deadline: Pin<Box<Sleep>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the client stopped sending the request's body")]
struct Paused;

impl Hurried {
    fn new(body: Body, pace: Pace) -> Self {
        let deadline = Box::pin(tokio::time::sleep(pace.pause));
        Self { body, pace, begun: Instant::now(), deadline }
    }
}

/// Middleware: bodies must come at this pace.
pub(super) async fn limit(pace: Pace, request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(Hurried::new(body, pace)))).await
}

impl http_body::Body for Hurried {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.deadline.poll_unpin(context));
            return Poll::Ready(Some(Err(Paused.into())));
        };
        let (now, end) = (Instant::now(), self.begun + self.pace.whole);
        if now >= end && !matches!(frame, None | Some(Err(_))) {
            return Poll::Ready(Some(Err(Paused.into())));
        }
        let next = end.min(now + self.pace.pause);
        self.deadline.as_mut().reset(next);
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    const PACE: Pace = Pace { pause: Duration::from_secs(30), whole: Duration::from_secs(300) };

    fn hurried(body: Body) -> Hurried {
        Hurried::new(body, PACE)
    }

    #[tokio::test(start_paused = true)]
    async fn t41_a_body_that_stops_arriving_fails() {
        let stalled = stream::iter([Ok::<_, Paused>("begin")]).chain(stream::pending());
        let error = hurried(Body::from_stream(stalled)).collect().await.unwrap_err();
        assert_eq!(error.to_string(), Paused.to_string());
    }

    #[tokio::test(start_paused = true)]
    async fn t41_a_body_that_never_ends_fails() {
        let start = Instant::now();
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(29)).await;
            Some((Ok::<_, Paused>("x"), ()))
        });
        let error = hurried(Body::from_stream(drops)).collect().await.unwrap_err();
        assert_eq!((error.to_string(), start.elapsed()), (Paused.to_string(), PACE.whole));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_that_keeps_arriving_is_read() {
        let slow = stream::unfold(0, |sent| async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            (sent < 10).then_some((Ok::<_, Paused>("x"), sent + 1))
        });
        let read = hurried(Body::from_stream(slow)).collect().await.unwrap();
        assert_eq!(read.to_bytes().len(), 10);
    }
}
