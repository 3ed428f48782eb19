//! Request bodies that stop arriving.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use futures::FutureExt;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body that fails when the client pauses for too long.
struct Hurried {
    body: Body,
    pause: Duration,
    deadline: Pin<Box<Sleep>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the client stopped sending the request's body")]
struct Paused;

/// Middleware: bodies may pause for `pause` at most.
pub(super) async fn limit(pause: Duration, request: Request, next: Next) -> Response {
    let hurried = |body| Body::new(Hurried { body, pause, deadline: Box::pin(tokio::time::sleep(pause)) });
    next.run(request.map(hurried)).await
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
        let next = Instant::now() + self.pause;
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
    use futures::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    fn hurried(body: Body) -> Hurried {
        let pause = Duration::from_secs(30);
        Hurried { body, pause, deadline: Box::pin(tokio::time::sleep(pause)) }
    }

    #[tokio::test(start_paused = true)]
    async fn t41_a_body_that_stops_arriving_fails() {
        let stalled = stream::iter([Ok::<_, Paused>("begin")]).chain(stream::pending());
        let error = hurried(Body::from_stream(stalled)).collect().await.unwrap_err();
        assert_eq!(error.to_string(), Paused.to_string());
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
