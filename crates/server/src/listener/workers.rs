//! Threads that serve connections, one for each processor.
//!
//! Each has a runtime of its own. A connection stays with the thread it was given to, and so do the connections to pods that
//! its requests use: between two threads, every request would wake the other one twice, which costs more than all else
//! that is done for it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::runtime;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The threads. They end when this is dropped, with whatever they are still at.
pub(crate) struct Workers {
    all: Vec<Worker>,
    /// Where to look first for a place.
    next: AtomicUsize,
    _end: DropGuard,
}

struct Worker {
    runtime: runtime::Handle,
    connections: Arc<AtomicUsize>,
    /// Whether it is where connections are accepted.
    is_here: bool,
}

/// A connection's place on a thread, until it is dropped.
pub(super) struct Place {
    /// Which thread it is, counted from 0.
    pub(super) worker: usize,
    pub(super) runtime: runtime::Handle,
    connections: Arc<AtomicUsize>,
    is_here: bool,
}

impl Workers {
    /// As many threads as there are processors for this process.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(crate) fn start() -> io::Result<Self> {
        let end = CancellationToken::new();
        let count = thread::available_parallelism().map_or(1, usize::from);
        let all = (0..count).map(|number| Worker::start(number, end.clone())).collect::<io::Result<_>>()?;
        Ok(Self { all, next: AtomicUsize::new(0), _end: end.drop_guard() })
    }

    /// No threads but this runtime's: for a listener with little to do.
    pub(crate) fn none() -> Self {
        let this = Worker { runtime: runtime::Handle::current(), connections: Arc::default(), is_here: true };
        Self { all: vec![this], next: AtomicUsize::new(0), _end: CancellationToken::new().drop_guard() }
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// A place on the thread with the fewest connections; of several, each has its turn. WebSockets stay on a thread when
    /// their connection has become one, and are not counted any more.
    pub(super) fn place(&self) -> Option<Place> {
        let load = |worker: &Worker| worker.connections.load(Ordering::Relaxed);
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len().max(1);
        let in_turn = self.all.iter().enumerate().cycle().skip(first).take(self.all.len());
        let (number, worker) = in_turn.min_by_key(|(_, worker)| load(worker))?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let (runtime, connections) = (worker.runtime.clone(), Arc::clone(&worker.connections));
        Some(Place { worker: number, runtime, connections, is_here: worker.is_here })
    }
}

impl Worker {
    fn start(number: usize, end: CancellationToken) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        // Whoever has a log of their own finds there what is done for them.
        let log = tracing::dispatcher::get_default(Clone::clone);
        thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            tracing::dispatcher::with_default(&log, || runtime.block_on(end.cancelled()));
            // Somebody may be looking up a name, which can't be interrupted.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), is_here: false })
    }
}

impl Place {
    /// Whether connections are accepted on the same runtime.
    pub(super) fn is_where_it_was_accepted(&self) -> bool {
        self.is_here
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_go_to_the_thread_that_has_fewest() {
        let workers = Workers::start().unwrap();
        let places: Vec<_> = (0..3 * workers.count()).filter_map(|_| workers.place()).collect();
        for number in 0..workers.count() {
            assert_eq!(places.iter().filter(|place| place.worker == number).count(), 3);
        }
        drop(places);
        let one_by_one: std::collections::BTreeSet<_> =
            (0..workers.count()).filter_map(|_| Some(workers.place()?.worker)).collect();
        assert_eq!(one_by_one.len(), workers.count());
        assert!(workers.all.iter().all(|worker| worker.connections.load(Ordering::Relaxed) == 0));
    }

    #[tokio::test]
    async fn what_runs_on_a_thread_ends_with_it() {
        let workers = Workers::start().unwrap();
        let place = workers.place().unwrap();
        let name = place.runtime.spawn(async { thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.unwrap().as_deref(), Some("http-0"));
        let forever = place.runtime.spawn(std::future::pending::<()>());
        drop(workers);
        assert!(forever.await.unwrap_err().is_cancelled());
    }
}
