use std::{future::Future, io, pin::pin, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Config, Error, app};

/// How long a client may take to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long requests and WebSockets may take to end once the workspace is to stop. It is shorter than any sensible
/// grace period, so that the process ends by itself rather than being killed.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Pause after the system refused a connection: out of file descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections and WebSockets share: who runs, and when to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    /// Finish what you do, take nothing new.
    pub(crate) drain: CancellationToken,
    /// End at once.
    pub(crate) end: CancellationToken,
}

impl Tasks {
    /// Runs `task` until it is done, or everything has to end.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tracker.spawn(async move {
            let _ = end.run_until_cancelled_owned(task).await;
        });
    }
}

/// Listens on `config.addr` and serves until `shutdown` is done; see [`serve`].
///
/// # Errors
/// [`Error::Bind`] when the address can't be listened on.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let addr = config.addr;
    let listener = TcpListener::bind(addr).await.map_err(|source| Error::Bind { addr, source })?;
    serve(listener, config, shutdown).await;
    Ok(())
}

/// Serves connections of `listener` until `shutdown` is done. Then it takes no more, lets requests finish, closes
/// WebSockets with 1001, and after a few seconds ends what is left. Dropping the future ends everything at once.
pub async fn serve(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) {
    let tasks = Tasks::default();
    let _end_when_dropped = tasks.end.clone().drop_guard();
    if let Ok(addr) = listener.local_addr() {
        tracing::info!(%addr, root = %config.root.display(), "workspace is listening");
    }
    let router = app::router(config, tasks.clone());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => tasks.spawn(connection(stream, router.clone(), tasks.drain.clone())),
            Err(error) if is_the_connections_own(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.drain.cancel();
    tasks.tracker.close();
    if tokio::time::timeout(DRAIN_TIME, tasks.tracker.wait()).await.is_err() {
        tracing::warn!(connections = tasks.tracker.len(), "ending connections that did not finish in time");
        tasks.end.cancel();
        tasks.tracker.wait().await;
    }
}

/// Errors of `accept` that concern the one connection, which is gone: the next one may well work.
fn is_the_connections_own(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(stream: TcpStream, router: axum::Router, drain: CancellationToken) {
    // Small answers should not wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended early");
    }
}
