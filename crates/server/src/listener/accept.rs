//! The accept loop, and the end of everything it began.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
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

/// How many connections the system keeps waiting: what Linux does unless told otherwise (`net.core.somaxconn`).
const BACKLOG: usize = 4096;

/// A listener at work. Dropping it cuts everything off.
pub(crate) struct Listener {
    accepting: CancellationToken,
    /// Cancelled when the port is closed.
    closed: CancellationToken,
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
        let (accepting, closed) = (CancellationToken::new(), CancellationToken::new());
        let room = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let (seats, unread) = (Seats::new(limits.connections_of_each), limits.unread);
        let apps = (0..workers.count()).map(|_| app.for_a_thread()).collect();
        let connections = Arc::new(Connections::new(apps, limits));
        let workers = Arc::new(workers);
        let room = Room { all: room, seats, unread, workers: Arc::clone(&workers) };
        let lobby = Lobby { tls, connections: Arc::clone(&connections), room };
        let (until, at_the_end) = (accepting.clone(), closed.clone().drop_guard());
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            lobby.accept(listener, until).await;
            drop(at_the_end);
        }));
        Self { accepting, closed, connections, _task: task, _workers: workers }
    }

    /// Closes the port, and each connection after the request that is under way on it, or the one that may be on its way.
    pub(crate) fn finish(&self) {
        self.accepting.cancel();
        self.connections.finish();
    }

    /// Waits until all connections are closed; begin that with [`Self::finish`].
    pub(crate) async fn finished(&self) {
        self.closed.cancelled().await;
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

/// Where connections come in.
struct Lobby {
    tls: Option<Tls>,
    connections: Arc<Connections>,
    room: Room,
}

impl Lobby {
    /// Accepts connections and has them served, until it is told to stop.
    async fn accept(self, listener: TcpListener, stop: CancellationToken) {
        let next = async || {
            // Who has no room waits in the backlog, where it costs nothing.
            let permit = Arc::clone(&self.room.all).acquire_owned().await.ok()?;
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
        while let Some(Some((permit, stream, addr))) = stop.run_until_cancelled(next()).await {
            self.serve(permit, stream, addr);
        }
        if let Ok(listener) = listener.into_std() {
            self.empty(&listener);
        }
    }

    /// Serves those who wait in the backlog. Closing the port would reset their connections, over which they may have sent
    /// requests; whoever comes later is refused, and knows that nothing has happened.
    fn empty(&self, listener: &std::net::TcpListener) {
        for _ in 0..BACKLOG {
            let Ok(permit) = Arc::clone(&self.room.all).try_acquire_owned() else { return };
            match listener.accept() {
                Ok((stream, addr)) => {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    if let Ok(stream) = stream {
                        self.serve(permit, stream, addr);
                    }
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn serve(&self, permit: OwnedSemaphorePermit, stream: TcpStream, addr: SocketAddr) {
        let Some(seat) = self.room.seats.take(Key::of_address(addr.ip())) else {
            tracing::debug!(%addr, "the client has too many connections");
            return;
        };
        let Some(place) = self.room.workers.place() else { return };
        tune(&stream, addr, self.room.unread);
        let security = self.tls.as_ref().map_or(Security::Plain, |tls| Security::Tls(tls.config()));
        let serving = Arc::clone(&self.connections);
        let runtime = place.runtime.clone();
        let work = async move {
            match adopted(stream, &place) {
                Ok(stream) => serving.serve(place.worker, stream, addr, security).await,
                Err(error) => tracing::error!(%addr, %error, "can't serve a connection"),
            }
            drop((permit, seat, place));
        };
        self.connections.tasks().spawn_on(work, &runtime);
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
