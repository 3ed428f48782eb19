//! A connection to a cluster that breaks at a chosen request, and with it whoever has sent it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::client::Body;
use tokio::sync::Notify;
use tower::{BoxError, Service};

/// Where the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The request never arrives.
    Request,
    /// It is carried out, and nobody hears of it.
    Answer,
}

/// What happened on a wire.
#[derive(Default)]
pub(super) struct Log {
    armed: AtomicBool,
    /// The requests since it was armed, and whether each changes something.
    sent: Mutex<Vec<bool>>,
    broke: AtomicBool,
    broken: Notify,
}

impl Log {
    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    pub(super) fn sent(&self) -> Vec<bool> {
        self.sent.lock().unwrap().clone()
    }

    /// Returns when the wire has broken.
    pub(super) async fn broken(&self) {
        while !self.broke.load(Ordering::SeqCst) {
            self.broken.notified().await;
        }
    }
}

/// The wire: of the requests after it was armed, watches aside, it breaks at the one with this number.
#[derive(Clone)]
pub(super) struct Wire {
    client: kube::Client,
    at: Option<(usize, Loss)>,
    log: Arc<Log>,
}

impl Wire {
    pub(super) fn wrap(client: kube::Client, at: Option<(usize, Loss)>) -> (kube::Client, Arc<Log>) {
        let (log, namespace) = (Arc::<Log>::default(), client.default_namespace().to_owned());
        (kube::Client::new(Self { client, at, log: Arc::clone(&log) }, namespace), log)
    }

    /// Whether to break, and how, at this request.
    fn judge(&self, request: &Request<Body>) -> Option<Loss> {
        let query = request.uri().query().unwrap_or_default();
        let is_watch = query.contains("watch=true") || query.contains("resourceVersion=0");
        if !self.log.armed.load(Ordering::SeqCst) || is_watch {
            return None;
        }
        let mut sent = self.log.sent.lock().unwrap();
        sent.push(*request.method() != Method::GET);
        self.at.filter(|(at, _)| at + 1 == sent.len()).map(|(_, loss)| loss)
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let loss = self.judge(&request);
        let (client, log) = (self.client.clone(), Arc::clone(&self.log));
        Box::pin(async move {
            let answer = match loss {
                Some(Loss::Request) => None,
                _ => Some(client.send(request).await),
            };
            match (loss, answer) {
                (None, Some(answer)) => answer.map_err(BoxError::from),
                _ => {
                    log.broke.store(true, Ordering::SeqCst);
                    log.broken.notify_waiters();
                    log.broken.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}
