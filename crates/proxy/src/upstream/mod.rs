//! Talking to pods: connections, their reuse, and time limits.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{Config, Error};

mod hearing;
mod idle;
mod permission;
mod pool;
mod upload;

use hearing::Hearing;
pub(crate) use idle::IdleLimit;
pub(crate) use pool::Lease;
use pool::Pool;
pub(crate) use upload::Outgoing;
use upload::Progress;

/// The longest a connection may have rested before a request is sent over it that could not be sent again. A program
/// that closes resting connections might just do so.
const FRESH: Duration = Duration::from_secs(1);

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) addr: SocketAddr,
    /// The pod's uid: whose address that is.
    pub(crate) uid: &'a Arc<str>,
}

/// The way to all pods.
#[derive(Debug)]
pub(crate) struct Upstream {
    pool: Arc<Pool>,
    connect_timeout: Duration,
    response_timeout: Option<Duration>,
}

impl Upstream {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            pool: Arc::new(Pool::new(config.keep_alive.then_some(config.keep_alive_timeout))),
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
        }
    }

    /// Sends a request and waits for the head of its answer. The lease holds the connection until the body has ended.
    ///
    /// A request goes out a second time, over a new connection, only when it failed on a connection that had served
    /// others before, and either nothing of it was sent, or sending it twice is as good as once: its method is
    /// idempotent, and it has no body.
    pub(crate) async fn send(
        &self,
        to: Destination<'_>,
        request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let repeatable = is_idempotent(request.method()) && matches!(request.body(), Outgoing::Empty);
        let most_rested = if repeatable { Duration::MAX } else { FRESH };
        let Some(sender) = self.pool.take(to, most_rested) else {
            return self.send_afresh(to, request).await;
        };
        let spare = repeatable.then(|| copy(&request));
        match self.send_over(sender, to, request).await {
            Ok(answer) => Ok(answer),
            Err(Failed { unsent: Some(request), .. }) => self.send_afresh(to, *request).await,
            Err(Failed { error: Error::Broken(error), .. }) => match spare {
                Some(spare) => self.send_afresh(to, spare).await,
                None => Err(Error::Broken(error)),
            },
            Err(Failed { error, .. }) => Err(error),
        }
    }

    async fn send_afresh(
        &self,
        to: Destination<'_>,
        request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let stream = Hearing::new(self.connect(to.addr).await?);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::Broken)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a pod ended");
            }
        });
        self.send_over(sender, to, request).await.map_err(|failed| failed.error)
    }

    /// Sends a request over a connection of its own, which the answer may turn into another protocol's.
    pub(crate) async fn send_upgradeable(
        &self,
        to: Destination<'_>,
        request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let stream = TokioIo::new(self.connect(to.addr).await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(Error::Broken)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to a pod ended");
            }
        });
        let answer = self.exchange(sender, to, request, self.pool.unpooled()).await;
        answer.map_err(|failed| failed.error)
    }

    async fn connect(&self, addr: SocketAddr) -> Result<TcpStream, Error> {
        let refused = |source| Error::Refused { port: addr.port(), source };
        let stream = timeout(self.connect_timeout, TcpStream::connect(addr))
            .await
            .map_err(|_| Error::ConnectTimeout)?
            .map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        Ok(stream)
    }

    async fn send_over(
        &self,
        sender: SendRequest<Outgoing>,
        to: Destination<'_>,
        request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        let (answer, lease) = self.exchange(sender, to, request, Arc::clone(&self.pool)).await?;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Invalid("the pod switched protocols unasked".into()).into());
        }
        Ok((answer, lease))
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<Outgoing>,
        to: Destination<'_>,
        request: Request<Outgoing>,
        pool: Arc<Pool>,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        let progress = request.body().progress();
        let answer = sender.try_send_request(request);
        let answer = upload::within(self.response_timeout, progress.as_deref(), answer).await?;
        match answer {
            // One of the two lies (RFC 9112, 6.3): what was meant to be the body can't be told.
            Ok(answer) if has_two_framings(answer.headers()) => {
                Err(Error::Invalid("the pod's answer has both a length and chunks".into()).into())
            }
            Ok(answer) => {
                let permission = progress.as_deref().and_then(Progress::permission).cloned();
                if let Some(permission) = &permission {
                    permission.answered(answer.status());
                }
                let lease = Lease::new(sender, to, pool, answer.headers()).asked(permission);
                Ok((answer, lease))
            }
            Err(mut failed) => {
                let unsent = failed.take_message().map(Box::new);
                let error = failed.into_error();
                let error = if progress.is_some_and(|progress| progress.has_failed()) {
                    Error::RequestBody(error)
                } else if error.is_parse() {
                    Error::Invalid(error.into())
                } else {
                    Error::Broken(error)
                };
                Err(Failed { error, unsent })
            }
        }
    }
}

/// A request that got no answer.
struct Failed {
    error: Error,
    /// The request, when nothing of it was sent.
    unsent: Option<Box<Request<Outgoing>>>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, unsent: None }
    }
}

fn has_two_framings(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// RFC 9110, 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// The same request without a body.
fn copy(request: &Request<Outgoing>) -> Request<Outgoing> {
    let mut copy = Request::new(Outgoing::Empty);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}
