//! Counting what is sent to the API server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::{Request, Response};
use kube::client::Body;
use tower::{BoxError, Service};

/// A client whose requests are counted. Cloning a [`kube::Client`] made of it shares the count.
#[derive(Clone)]
pub(crate) struct Counted {
    client: kube::Client,
    sent: Arc<AtomicU64>,
}

impl Counted {
    /// Wraps `client`, and gives the counter with it.
    pub(crate) fn wrap(client: kube::Client) -> (kube::Client, Arc<AtomicU64>) {
        let sent = Arc::new(AtomicU64::new(0));
        let default_namespace = client.default_namespace().to_owned();
        let counted = Self { client, sent: Arc::clone(&sent) };
        (kube::Client::new(counted, default_namespace), sent)
    }
}

impl Service<Request<Body>> for Counted {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The client queues by itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let client = self.client.clone();
        Box::pin(async move { client.send(request).await.map_err(BoxError::from) })
    }
}
