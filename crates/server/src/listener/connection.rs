//! One connection: TLS, then HTTP/1.1 or HTTP/2, until it is unused, done or cut off.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http_body::Body as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use nocrd_proxy_core::{Peer, Received};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{activity::Activity, client::Client, plaintext};
use crate::{http::App, limits::Limits};

/// How often an HTTP/2 client without a request under way is asked whether it is still there, and how long it has to
/// answer.
const PING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// What HTTP/2 keeps of one answer that its client does not read.
const SEND_BUFFER: usize = 64 * 1024;
/// What HTTP/2 keeps of one request that nobody reads. A stream carries as much in each round trip: over a line of 50 ms,
/// more than 7 MB/s.
const STREAM_WINDOW: u32 = 384 * 1024;
/// The same for all requests of a connection: so many may stand still before the others do.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// What a connection speaks below HTTP.
pub(super) enum Security {
    Plain,
    Tls(Arc<ServerConfig>),
}

/// What all connections share.
pub(super) struct Connections {
    /// One for each thread.
    apps: Vec<Arc<App>>,
    http: auto::Builder<TokioExecutor>,
    limits: Limits,
    tasks: TaskTracker,
    finish: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(apps: Vec<Arc<App>>, limits: Limits) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            // Also limits how long a connection that is kept open may wait for its next request.
            .header_read_timeout(limits.idle)
            .max_headers(limits.headers)
            .max_buf_size(limits.head_bytes);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            // Not windows that grow as the line allows, which is up to 16 MiB for each request.
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER);
        let (tasks, finish, cut) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        Self { apps, http, limits, tasks, finish, cut }
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Lets each connection end after the request under way on it.
    pub(super) fn finish(&self) {
        for app in &self.apps {
            app.take_leave();
        }
        self.tasks.close();
        self.finish.cancel();
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.finish();
        self.cut.cancel();
    }

    /// Serves a connection, on the thread of that number.
    pub(super) async fn serve(&self, thread: usize, stream: TcpStream, addr: SocketAddr, security: Security) {
        let Some(app) = self.apps.get(thread) else { return };
        let serving = async {
            match security {
                Security::Plain => self.http(app, stream, Peer::new(addr, false)).await,
                Security::Tls(config) => {
                    if let Some(stream) = self.secure(stream, addr, config).await {
                        self.http(app, stream, Peer::new(addr, true)).await;
                    }
                }
            }
        };
        self.cut.run_until_cancelled(serving).await;
    }

    async fn secure(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        config: Arc<ServerConfig>,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            if plaintext::begins_like_tls(&stream).await? {
                return TlsAcceptor::from(config).accept(stream).await.map(Some);
            }
            plaintext::refuse(stream).await.map(|()| None)
        };
        let handshake = tokio::select! {
            handshake = timeout(self.limits.handshake, handshake) => handshake,
            () = self.last_chance() => return None,
        };
        match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%addr, %error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(%addr, "TLS handshake took too long");
                None
            }
        }
    }

    async fn http(
        &self,
        app: &Arc<App>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let (activity, peer) = (Arc::new(Activity::default()), Arc::new(peer));
        let received = Received::default();
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            // Of HTTP/2, several requests are under way at a time, and a client that ends the connection ends them all.
            if request.version() < http::Version::HTTP_2 {
                let whole = request.body().is_end_stream();
                received.begin(whole);
                if !whole {
                    request.extensions_mut().insert(received.clone());
                }
            }
            let (app, peer, in_flight) = (Arc::clone(app), Arc::clone(&peer), activity.begin());
            async move { Ok::<_, Infallible>(app.answer(request, &peer, in_flight).await) }
        });
        let stream = Client::new(stream, Arc::clone(&activity), received.clone());
        let mut connection = pin!(self.http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.last_chance() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = activity.unused(self.limits.first_request, self.limits.idle) => return,
        };
        // Resets, bad syntax, timeouts: a client's affair, and no news.
        if let Err(error) = result {
            tracing::debug!(addr = %peer.addr(), error = error.as_ref(), "connection ended");
        }
    }

    /// Waits until connections are to end, and then for as long as a request may have been on its way that was sent before
    /// its sender could know. Closed at once, the connection would swallow it.
    async fn last_chance(&self) {
        self.finish.cancelled().await;
        sleep(self.limits.linger).await;
    }
}
