//! The API on a socket: HTTPS on the loopback address, with a token.

mod guard;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use self::guard::{Token, require_token};
pub(crate) use self::tls::Authority;
use crate::Error;

/// How long a client may take to say what it wants.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long answers under way may take when the server closes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections served at a time; more have to wait.
const MAX_CONNECTIONS: usize = 1024;

/// A socket that is listened on, but not served yet: clients have to wait.
pub(crate) struct Listening {
    address: SocketAddr,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listening {
    /// Listens on `address`, which must be a loopback address.
    pub(crate) async fn bind(address: SocketAddr, authority: &Authority) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback { address });
        }
        let acceptor = TlsAcceptor::from(authority.server_config(address.ip())?);
        let listener =
            TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
        Ok(Self { address, listener, acceptor })
    }

    /// Serves `router` until `closing` is cancelled.
    pub(crate) fn serve(self, router: Router, closing: CancellationToken) -> Server {
        let accepting = tokio::spawn(accept(self.listener, self.acceptor, router, closing.clone()));
        Server { address: self.address, closing, accepting }
    }
}

/// A server at work.
pub(crate) struct Server {
    address: SocketAddr,
    closing: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes, and waits until all connections are.
    pub(crate) async fn shutdown(self) {
        self.closing.cancel();
        let _ = self.accepting.await;
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router, closing: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let (acceptor, router, closing) = (acceptor.clone(), router.clone(), closing.clone());
                connections.spawn(async move {
                    serve(stream, acceptor, router, closing).await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                // Out of file descriptors, most likely: give some a chance to be closed.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (Err(_), _) => break,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, router: Router, closing: CancellationToken) {
    // Events and keystrokes are small and want to leave at once.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection broke");
            }
        }
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(DRAIN_TIMEOUT, connection).await;
        }
    }
}
