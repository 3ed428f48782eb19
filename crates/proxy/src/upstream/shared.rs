//! HTTP/2 connections, each of which serves several requests of one visitor at a time. Whatever one stream does to the
//! connection, such as filling its windows or having it closed for that, happens to the others on it: so they are of nobody
//! else.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{client::conn::http2::SendRequest, rt::Executor};
use nocrd_model::Subject;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{
    Destination, Outgoing,
    leash::{self, Upload},
};

/// Most requests that share a connection.
pub(super) const MOST_STREAMS: usize = 32;
/// Most connections to one address that are shared. There may be more, of one request each.
const MOST_LINES: usize = 64;
/// After so many answers that nobody waited for the end of, a connection takes no more requests: implementations count what
/// they get of such streams, and close a connection that has too much of it.
const MOST_CANCELLED: usize = 16;
/// How much a pod may send of one answer before a client has taken it. A connection has room for more than all its streams'
/// shares, so that those that are not read don't stop the others.
pub(super) const STREAM_WINDOW: u32 = 128 * 1024;
pub(super) const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// How long an upload that was cut off may take to end, before its pod counts as one that does not read.
const CUT: Duration = Duration::from_secs(1);
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
    /// Whose requests it serves; `None` for those whom nobody knows.
    visitor: Option<Subject>,
    sender: SendRequest<Outgoing>,
    load: Arc<Load>,
    last: Instant,
}

/// What a connection is at.
#[derive(Debug, Default)]
struct Load {
    streams: AtomicUsize,
    /// Those that were not waited for to the end.
    cancelled: AtomicUsize,
    /// Whether something has gone wrong on it.
    has_failed: AtomicBool,
    task: Task,
}

/// The tasks of a connection, of which hyper spawns that of the connection itself first. When that ends, all do.
#[derive(Debug, Clone, Default)]
pub(super) struct Task(Arc<OnceLock<AbortHandle>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Task {
    fn execute(&self, task: F) {
        let task = tokio::spawn(task);
        if self.0.get().is_none() {
            let _ = self.0.set(task.abort_handle());
        }
    }
}

/// A request's share of a connection.
#[derive(Debug)]
struct Share {
    load: Arc<Load>,
    is_done: bool,
}

impl Share {
    fn take(load: &Arc<Load>) -> Self {
        load.streams.fetch_add(1, Relaxed);
        Self { load: Arc::clone(load), is_done: false }
    }

    /// Something has gone wrong, which may be the connection's fault: it gets no more requests.
    fn failed(&self) {
        self.load.has_failed.store(true, Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !self.is_done {
            self.load.cancelled.fetch_add(1, Relaxed);
        }
        let is_last = self.load.streams.fetch_sub(1, Relaxed) == 1;
        // What is left on it would stay for ever: hyper can't be told to end an upload that waits for the pod to read.
        if is_last
            && self.load.has_failed.load(Relaxed)
            && let Some(task) = self.load.task.0.get()
        {
            task.abort();
        }
    }
}

/// A request's place on a connection, until it is dropped or released, or its upload is over.
#[derive(Debug)]
pub(crate) struct Seat {
    share: Option<Share>,
    upload: Upload,
}

impl Seat {
    fn take(load: &Arc<Load>) -> Self {
        Self { share: Some(Share::take(load)), upload: Upload::default() }
    }

    /// The same, for an answer to this upload. Before there is one, hyper ends what nobody waits for.
    pub(super) fn tied(mut self, upload: Upload) -> Self {
        self.upload = upload;
        self
    }

    /// The answer has come to its end.
    pub(super) fn release(mut self) {
        if self.upload.is_under_way() {
            leash::spawn(async move {
                self.upload.linger().await;
                drop(self);
            });
        } else if let Some(share) = &mut self.share {
            share.is_done = true;
        }
    }

    /// The request has failed, which may be the connection's fault: it gets no more of them.
    pub(super) fn failed(&self) {
        if let Some(share) = &self.share {
            share.failed();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.upload.is_under_way() {
            return;
        }
        self.upload.cut();
        if let Some(share) = self.share.take() {
            let upload = std::mem::take(&mut self.upload);
            leash::spawn(async move {
                sleep(CUT).await;
                if upload.is_under_way() {
                    share.failed();
                }
            });
        }
    }
}

impl Line {
    /// Whether it may ever take another request.
    fn is_usable(&self) -> bool {
        !self.sender.is_closed()
            && !self.load.has_failed.load(Relaxed)
            && self.load.cancelled.load(Relaxed) < MOST_CANCELLED
    }

    fn is_full(&self) -> bool {
        self.load.streams.load(Relaxed) >= MOST_STREAMS
    }

    fn is_idle(&self) -> bool {
        self.load.streams.load(Relaxed) == 0
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

    /// A connection to that very pod with room for one more request of this visitor's.
    pub(super) fn take(&self, to: Destination<'_>) -> Option<(SendRequest<Outgoing>, Seat)> {
        self.timeout?;
        let mut lines = self.lock();
        let here = lines.by_address.get_mut(&to.addr)?;
        // Requests of a pod that had the address before end by themselves.
        here.retain(|line| line.uid == *to.uid && line.is_usable());
        let line = here.iter_mut().find(|line| line.visitor.as_ref() == to.visitor && !line.is_full())?;
        line.last = Instant::now();
        Some((line.sender.clone(), Seat::take(&line.load)))
    }

    /// Lets others share a new connection, and takes the first place on it.
    pub(super) fn share(
        self: &Arc<Self>,
        to: Destination<'_>,
        sender: &SendRequest<Outgoing>,
        task: Task,
    ) -> Seat {
        let load = Arc::new(Load { task, ..Load::default() });
        let seat = Seat::take(&load);
        if self.timeout.is_none() {
            return seat;
        }
        let mut lines = self.lock();
        let here = lines.by_address.entry(to.addr).or_default();
        if here.len() >= MOST_LINES {
            return seat;
        }
        here.push(Line {
            uid: Arc::clone(to.uid),
            visitor: to.visitor.cloned(),
            sender: sender.clone(),
            load,
            last: Instant::now(),
        });
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
            here.retain(|line| line.is_usable() && !(line.is_idle() && line.last.elapsed() >= most));
            !here.is_empty()
        });
        if lines.by_address.is_empty() {
            lines.is_swept = false;
            return;
        }
    }
}
