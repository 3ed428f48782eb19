//! HTTP/2 connections, each of which serves several requests at a time.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::client::conn::http2::SendRequest;
use tokio::time::{Instant, sleep};

use super::{Destination, Outgoing};

/// Most requests that share a connection.
pub(super) const MOST_STREAMS: usize = 32;
/// How much a pod may send of one answer before a client has taken it. A connection has room for all its streams'
/// shares, so that a client that reads nothing never stops the others.
pub(super) const STREAM_WINDOW: u32 = 256 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 32;
/// How often connections that nobody uses any more are dropped.
const SWEEP: Duration = Duration::from_secs(10);

/// The connections to all pods.
#[derive(Debug)]
pub(super) struct SharedPool {
    /// How long a connection may be without requests; `None`: none is shared.
    timeout: Option<Duration>,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    by_address: HashMap<SocketAddr, Vec<Line>>,
    is_swept: bool,
}

/// One connection.
#[derive(Debug)]
struct Line {
    /// The pod it was made to: it is never used for another one at the same address.
    uid: Arc<str>,
    sender: SendRequest<Outgoing>,
    streams: Arc<AtomicUsize>,
    last: Instant,
}

/// A request's share of a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(streams: &Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Line {
    fn is_full(&self) -> bool {
        self.streams.load(Relaxed) >= MOST_STREAMS
    }

    fn is_idle(&self) -> bool {
        self.streams.load(Relaxed) == 0
    }
}

impl SharedPool {
    /// A pool in which connections may be idle that long.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, lines: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Nothing in here can panic half-way.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to that very pod with room for one more request.
    pub(super) fn take(&self, to: Destination<'_>) -> Option<(SendRequest<Outgoing>, Seat)> {
        self.timeout?;
        let mut lines = self.lock();
        let here = lines.by_address.get_mut(&to.addr)?;
        // Requests of a pod that had the address before end by themselves.
        here.retain(|line| line.uid == *to.uid && !line.sender.is_closed());
        let line = here.iter_mut().find(|line| !line.is_full())?;
        line.last = Instant::now();
        Some((line.sender.clone(), Seat::take(&line.streams)))
    }

    /// Lets others share a new connection, and takes the first place on it.
    pub(super) fn share(self: &Arc<Self>, to: Destination<'_>, sender: &SendRequest<Outgoing>) -> Seat {
        let streams = Arc::default();
        let seat = Seat::take(&streams);
        if self.timeout.is_none() {
            return seat;
        }
        let mut lines = self.lock();
        let line = Line { uid: Arc::clone(to.uid), sender: sender.clone(), streams, last: Instant::now() };
        lines.by_address.entry(to.addr).or_default().push(line);
        if !std::mem::replace(&mut lines.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        seat
    }
}

/// Drops what nobody uses any more, until nothing is left. A connection without its sender ends after its last request.
async fn sweep(pool: Weak<SharedPool>) {
    loop {
        sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        let most = pool.timeout.unwrap_or_default();
        let mut lines = pool.lock();
        lines.by_address.retain(|_, here| {
            here.retain(|line| !(line.sender.is_closed() || line.is_idle() && line.last.elapsed() >= most));
            !here.is_empty()
        });
        if lines.by_address.is_empty() {
            lines.is_swept = false;
            return;
        }
    }
}
