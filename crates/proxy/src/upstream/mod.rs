//! Talking to pods: connections, their reuse, and time limits.

use std::{
    mem,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use nocrd_model::{Protocol, Subject, WorkspaceId};
use tokio::{net::TcpStream, task::AbortHandle, time::timeout};

use crate::{Config, Error, WorkspaceDirectory, second_look};

mod hearing;
mod idle;
mod leash;
mod permission;
mod pool;
mod shared;
mod upload;

use hearing::Hearing;
pub(crate) use idle::IdleLimit;
use leash::{Leash, Upload};
use pool::{Alone, Line, Pool};
use shared::{Seat, SharedPool, Task};
pub(crate) use upload::Outgoing;
use upload::Progress;

/// The longest a connection may have rested before a request is sent over it that could not be sent again. A program
/// that closes resting connections might just do so.
const FRESH: Duration = Duration::from_secs(1);

/// The most bytes of headers in an HTTP/2 answer (RFC 9113, 6.5.2: names, values, and 32 for each).
const MOST_HEADERS: u32 = 64 * 1024;
/// The most that is read of an HTTP/1.1 answer before a client takes it, and so the most bytes of its head, too.
const READ_BUFFER: usize = MOST_HEADERS as usize;

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) addr: SocketAddr,
    /// The pod's uid: whose address that is.
    pub(crate) uid: &'a Arc<str>,
    /// The workspace, and who knows whether the pod is still its.
    pub(crate) id: &'a WorkspaceId,
    pub(crate) directory: &'a dyn WorkspaceDirectory,
    pub(crate) protocol: Protocol,
    /// On whose behalf; `None` for somebody whom nobody knows.
    pub(crate) visitor: Option<&'a Subject>,
}

/// What an answer under way holds of its connection.
#[derive(Debug)]
pub(crate) enum Lease {
    /// HTTP/1.1: all of it, which ends when this is dropped before the answer's end.
    Alone(Alone),
    /// HTTP/2: one stream, which ends with the body.
    Shared(Seat),
}

impl Lease {
    /// Whether the pod has answered without wanting the request's body.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Alone(connection) => connection.is_refusal(),
            // Its connection goes on without that body.
            Self::Shared(_) => false,
        }
    }

    /// The answer has ended: others may use the connection.
    pub(crate) fn release(self) {
        match self {
            Self::Alone(connection) => connection.release(),
            Self::Shared(seat) => seat.release(),
        }
    }
}

/// The way to all pods.
#[derive(Debug)]
pub(crate) struct Upstream {
    pool: Arc<Pool>,
    shared: Arc<SharedPool>,
    connect_timeout: Duration,
    response_timeout: Option<Duration>,
}

impl Upstream {
    pub(crate) fn new(config: &Config) -> Self {
        let resting = config.keep_alive.then_some(config.keep_alive_timeout);
        Self {
            pool: Arc::new(Pool::new(resting)),
            shared: Arc::new(SharedPool::new(resting)),
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
        }
    }

    /// Sends a request and waits for the head of its answer. The lease holds the connection until the body has ended.
    ///
    /// Here and below, requests are taken from where they are: each future that held one would make the whole larger by it
    /// twice, and all of that is moved for each request.
    ///
    /// A request goes out a second time, over a new connection, only when it failed on a connection that had served
    /// others before, and either nothing of it was sent, or sending it twice is as good as once: its method is
    /// idempotent, and it has no body.
    pub(crate) async fn send(
        &self,
        to: Destination<'_>,
        request: &mut Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let repeatable = is_idempotent(request.method()) && matches!(request.body(), Outgoing::Empty);
        let Some(connection) = self.take(to, if repeatable { Duration::MAX } else { FRESH }) else {
            return Box::pin(self.send_afresh(to, request)).await;
        };
        let spare = repeatable.then(|| copy(request));
        match self.send_over(connection, to, request).await {
            Ok(answer) => Ok(answer),
            Err(Failed { is_unsent: true, .. }) => Box::pin(self.send_afresh(to, request)).await,
            Err(Failed { error: Error::Broken(error), .. }) => match spare.filter(|_| may_repeat(&error)) {
                Some(spare) => {
                    *request = spare;
                    Box::pin(self.send_afresh(to, request)).await
                }
                None => Err(Error::Broken(error)),
            },
            Err(Failed { error, .. }) => Err(error),
        }
    }

    async fn send_afresh(
        &self,
        to: Destination<'_>,
        request: &mut Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let connection = match to.protocol {
            Protocol::Http => {
                let stream = Hearing::new(self.connect(to).await?);
                let (sender, connection) =
                    http1_builder().handshake(TokioIo::new(stream)).await.map_err(broken)?;
                Connection::Alone(Line { sender, task: drive(connection) })
            }
            Protocol::H2c => {
                let stream = self.connect(to).await?;
                let task = Task::default();
                let builder = http2_builder(task.clone());
                let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
                drive(connection);
                let seat = self.shared.share(to, &sender, task);
                Connection::Shared(sender, seat)
            }
        };
        self.send_over(connection, to, request).await.map_err(|failed| failed.error)
    }

    /// A connection that has served others, of those that have rested no longer than `most_rested` when none may be used
    /// that ends at that moment. Those that speak HTTP/2 say goodbye first.
    fn take(&self, to: Destination<'_>, most_rested: Duration) -> Option<Connection> {
        match to.protocol {
            Protocol::Http => self.pool.take(to, most_rested).map(Connection::Alone),
            Protocol::H2c => self.shared.take(to).map(|(sender, seat)| Connection::Shared(sender, seat)),
        }
    }

    /// Sends a request over a connection of its own, which the answer may turn into another protocol's.
    pub(crate) async fn send_upgradeable(
        &self,
        to: Destination<'_>,
        request: &mut Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let stream = self.connect(to).await?;
        let (sender, connection) = http1_builder().handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let line = Line { sender, task: drive(connection.with_upgrades()) };
        self.exchange(line, to, request, self.pool.unpooled()).await.map_err(|failed| failed.error)
    }

    async fn connect(&self, to: Destination<'_>) -> Result<TcpStream, Error> {
        let is_current = || second_look::is_current(to.directory, to.id, to.uid);
        if !is_current() {
            return Err(Error::Replaced);
        }
        let addr = to.addr;
        let refused = |source| Error::Refused { port: addr.port(), source };
        let stream = timeout(self.connect_timeout, TcpStream::connect(addr))
            .await
            .map_err(|_| Error::ConnectTimeout)?
            .map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        // It may have been accepted by whoever got the address meanwhile, who is told nothing.
        if !is_current() {
            return Err(Error::Replaced);
        }
        Ok(stream)
    }

    async fn send_over(
        &self,
        connection: Connection,
        to: Destination<'_>,
        request: &mut Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        let (answer, lease) = match connection {
            Connection::Alone(line) => self.exchange(line, to, request, Arc::clone(&self.pool)).await?,
            Connection::Shared(mut sender, seat) => {
                let progress = request.body().progress();
                let answer = pin!(sender.try_send_request(mem::take(request)));
                let answer = self.answer(answer, progress.as_deref(), request).await;
                let answer = answer.inspect_err(|_| seat.failed())?;
                (answer, Lease::Shared(seat.tied(Upload::new(progress.as_ref()))))
            }
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Invalid("the pod switched protocols unasked".into()).into());
        }
        Ok((answer, lease))
    }

    async fn exchange(
        &self,
        mut line: Line,
        to: Destination<'_>,
        request: &mut Request<Outgoing>,
        pool: Arc<Pool>,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        let progress = request.body().progress();
        let leash = progress.as_ref().map(|progress| Leash::new(Upload::new(Some(progress)), &line.task));
        let answer = pin!(line.sender.try_send_request(mem::take(request)));
        let answer = self.answer(answer, progress.as_deref(), request).await?;
        // One of the two lies (RFC 9112, 6.3): what was meant to be the body can't be told.
        if has_two_framings(answer.headers()) {
            return Err(Error::Invalid("the pod's answer has both a length and chunks".into()).into());
        }
        let permission = progress.as_deref().and_then(Progress::permission).cloned();
        if let Some(permission) = &permission {
            permission.answered(answer.status());
        }
        let connection = Alone::new(line, to, pool, answer.headers());
        let connection = match leash {
            Some(leash) => connection.sending(leash, permission),
            None => connection,
        };
        Ok((answer, Lease::Alone(connection)))
    }

    /// Waits for the head of an answer. A request of which nothing was sent is put back.
    async fn answer(
        &self,
        answer: Pin<&mut impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>>>,
        progress: Option<&Progress>,
        request: &mut Request<Outgoing>,
    ) -> Result<Response<Incoming>, Failed> {
        match upload::within(self.response_timeout, progress, answer).await? {
            Ok(answer) => Ok(answer),
            Err(mut failed) => {
                let unsent = failed.take_message();
                let is_unsent = unsent.is_some();
                if let Some(unsent) = unsent {
                    *request = unsent;
                }
                let error = failed.into_error();
                let error = if progress.is_some_and(|progress| progress.has_failed()) {
                    Error::RequestBody(error)
                } else {
                    broken(error)
                };
                Err(Failed { error, is_unsent })
            }
        }
    }
}

/// A connection to a pod, ready for a request.
enum Connection {
    /// HTTP/1.1.
    Alone(Line),
    /// HTTP/2.
    Shared(http2::SendRequest<Outgoing>, Seat),
}

/// Lets a connection work until it ends.
fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> AbortHandle {
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a pod ended");
        }
    });
    task.abort_handle()
}

/// How HTTP/1.1 is spoken to pods.
fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(READ_BUFFER);
    builder
}

/// How HTTP/2 is spoken to pods: whatever is on its way takes a bounded room.
fn http2_builder(task: Task) -> http2::Builder<Task> {
    let mut builder = http2::Builder::new(task);
    builder
        .timer(TokioTimer::new())
        // Nothing is sent before the pod has said that it speaks HTTP/2: another program could take what clients send for
        // requests of its own kind.
        .initial_max_send_streams(0)
        .initial_stream_window_size(shared::STREAM_WINDOW)
        .initial_connection_window_size(shared::CONNECTION_WINDOW)
        .max_send_buf_size(shared::STREAM_WINDOW as usize)
        .max_header_list_size(MOST_HEADERS);
    builder
}

/// What became of an exchange that a connection failed.
fn broken(error: hyper::Error) -> Error {
    let is_h2_nonsense = || {
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<h2::Error>());
        // What this side noticed, not what the pod said.
        source.is_some_and(|error| error.is_library() && !error.is_io())
    };
    if error.is_parse() || is_h2_nonsense() { Error::Invalid(error.into()) } else { Error::Broken(error) }
}

/// A request that got no answer.
struct Failed {
    error: Error,
    /// Whether nothing of it was sent, and it is where it was before.
    is_unsent: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, is_unsent: false }
    }
}

fn has_two_framings(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// Whether a request that can be sent twice should be. A pod that ends a stream has seen the request, unless it says that it
/// has not (RFC 9113, 8.7).
fn may_repeat(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_none_or(|error| !error.is_reset() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// RFC 9110, 9.2.2.
pub(crate) fn is_idempotent(method: &Method) -> bool {
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
