//! The accept loop, and the end of everything it began.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    connection::{Connections, Security},
    seats::Seats,
    workers::{Place, Workers},
};
use crate::{http::App, limits::Limits, rate::Key, tls::Tls};

/// How often a silent peer is asked by TCP whether it is still there: laptops that are shut leave event streams and
/// WebSockets behind.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// How long to wait after a failed accept: the usual cause, too many open files, does not go away at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener at work. Dropping it cuts everything off.
pub(crate) struct Listener {
    accepting: CancellationToken,
    connections: Arc<Connections>,
    _task: AbortOnDropHandle<()>,
    /// Kept until the last connection has ended: no longer accepting is not the end of them.
    _workers: Arc<Workers>,
}

impl Listener {
    /// Begins to accept connections and to serve them with `app`, on these threads.
    pub(crate) fn start(
        listener: TcpListener,
        app: &App,
        tls: Option<Tls>,
        limits: Limits,
        workers: Workers,
    ) -> Self {
        let accepting = CancellationToken::new();
        let room = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let (seats, unread) = (Seats::new(limits.connections_of_each), limits.unread);
        let apps = (0..workers.count()).map(|_| app.for_a_thread()).collect();
        let connections = Arc::new(Connections::new(apps, limits));
        let workers = Arc::new(workers);
        let room = Room { all: room, seats, unread, workers: Arc::clone(&workers) };
        let task = accept(listener, tls, Arc::clone(&connections), room, accepting.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(task));
        Self { accepting, connections, _task: task, _workers: workers }
    }

    /// Closes the port, and each connection after the request that is under way on it.
    pub(crate) fn finish(&self) {
        self.accepting.cancel();
        self.connections.finish();
    }

    /// Waits until all connections are closed; begin that with [`Self::finish`].
    pub(crate) async fn finished(&self) {
        self.connections.tasks().wait().await;
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.connections.tasks().len()
    }

    /// Cuts off what is still open.
    pub(crate) fn cut(&self) {
        self.connections.cut();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.cut();
    }
}

/// How many connections there may be, and how they are to be.
struct Room {
    all: Arc<Semaphore>,
    seats: Seats<Key>,
    unread: Duration,
    workers: Arc<Workers>,
}

async fn accept(
    listener: TcpListener,
    tls: Option<Tls>,
    connections: Arc<Connections>,
    room: Room,
    accepting: CancellationToken,
) {
    let next = async || {
        // Who has no room waits in the backlog, where it costs nothing.
        let permit = Arc::clone(&room.all).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, addr)) => return Some((permit, stream, addr)),
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "can't accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    while let Some(Some((permit, stream, addr))) = accepting.run_until_cancelled(next()).await {
        let Some(seat) = room.seats.take(Key::of_address(addr.ip())) else {
            tracing::debug!(%addr, "the client has too many connections");
            continue;
        };
        let Some(place) = room.workers.place() else { return };
        tune(&stream, addr, room.unread);
        let security = tls.as_ref().map_or(Security::Plain, |tls| Security::Tls(tls.config()));
        let serving = Arc::clone(&connections);
        let runtime = place.runtime.clone();
        let work = async move {
            match adopted(stream, &place) {
                Ok(stream) => serving.serve(place.worker, stream, addr, security).await,
                Err(error) => tracing::error!(%addr, %error, "can't serve a connection"),
            }
            drop((permit, seat, place));
        };
        connections.tasks().spawn_on(work, &runtime);
    }
}

/// The stream, as one of the runtime that serves it from now on, which must be this one.
fn adopted(stream: TcpStream, place: &Place) -> io::Result<TcpStream> {
    if place.is_where_it_was_accepted() { Ok(stream) } else { TcpStream::from_std(stream.into_std()?) }
}

/// The client was gone before we looked.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn tune(stream: &TcpStream, addr: SocketAddr, unread: Duration) {
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE).with_interval(TCP_KEEPALIVE / 4);
    let socket = SockRef::from(stream);
    let tuned = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
    // A client that does not read what it asked for would otherwise keep it, and us, for ever.
    #[cfg(target_os = "linux")]
    let tuned = tuned.and_then(|()| socket.set_tcp_user_timeout(Some(unread)));
    #[cfg(not(target_os = "linux"))]
    let _ = unread;
    if let Err(error) = tuned {
        tracing::debug!(%addr, %error, "a socket option is not supported");
    }
}
