//! The pods of a namespace that this product did not make: how many there are that its tools do not show.
//!
//! Nobody needs them but those who list pods, so a namespace is watched from the first question on, and until ten minutes
//! after the last one.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use nocrd_model::{Namespace, keys};
use tokio::{sync::Notify, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::{
    Cluster, Error, PodSummary,
    calls::{self, Calls},
    error::Asked,
    list::Selector,
    watch::{Collection, Sink},
};

/// How long a namespace is watched after the last question about it.
const KEPT: Duration = Duration::from_secs(600);
/// How long is waited where watching is not permitted, before that is tried again.
const DENIED_PAUSE: Duration = Duration::from_secs(10);
/// Most namespaces that are watched at a time; the one asked about longest ago makes room.
const NAMESPACES: usize = 16;

/// The namespaces that are watched.
#[derive(Default)]
pub(crate) struct Unmanaged(Mutex<HashMap<Namespace, Watching>>);

struct Watching {
    store: Arc<Store>,
    asked: Instant,
    task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Store {
    /// By name; `None` until they were read for the first time.
    pods: Mutex<Option<ByName>>,
    /// Whether that is not permitted.
    denied: AtomicBool,
    /// Told when they have been read, or that is not permitted.
    known: Notify,
    /// The last question.
    asked: Mutex<Option<Instant>>,
}

type ByName = BTreeMap<String, Arc<PodSummary>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// The pods of a namespace that this product did not make, by name; `None` as long as that is not known. Asking is what
    /// makes it known, in a moment: it must be done in a Tokio runtime.
    #[must_use]
    pub fn unmanaged(&self, namespace: &Namespace) -> Option<Vec<Arc<PodSummary>>> {
        self.watch_unmanaged(namespace)?.by_name()
    }

    /// The same as soon as it is known; `None` if it is not within `timeout`, or not permitted.
    pub async fn wait_unmanaged(
        &self,
        namespace: &Namespace,
        timeout: Duration,
    ) -> Option<Vec<Arc<PodSummary>>> {
        let store = self.watch_unmanaged(namespace)?;
        let waiting = async {
            loop {
                let mut known = std::pin::pin!(store.known.notified());
                // Before the look, so that nothing falls between the two.
                known.as_mut().enable();
                match store.by_name() {
                    Some(pods) => return Some(pods),
                    None if store.denied.load(Ordering::Relaxed) => return None,
                    None => known.await,
                }
            }
        };
        tokio::time::timeout(timeout, waiting).await.ok().flatten()
    }

    fn watch_unmanaged(&self, namespace: &Namespace) -> Option<Arc<Store>> {
        if !self.serves(namespace) {
            return None;
        }
        let mut watched = lock(&self.known_unmanaged().0);
        watched.retain(|_, watching| !watching.task.is_finished());
        if !watched.contains_key(namespace) && watched.len() >= NAMESPACES {
            let oldest = watched.iter().min_by_key(|(_, watching)| watching.asked);
            if let Some(oldest) = oldest.map(|(namespace, _)| namespace.clone()) {
                watched.remove(&oldest);
            }
        }
        let watching = watched
            .entry(namespace.clone())
            .or_insert_with(|| Watching::start(self.calls().clone(), namespace.clone()));
        watching.asked = Instant::now();
        *lock(&watching.store.asked) = Some(watching.asked);
        Some(Arc::clone(&watching.store))
    }
}

impl Watching {
    fn start(calls: Calls, namespace: Namespace) -> Self {
        let store = Arc::<Store>::default();
        let watched = Arc::clone(&store);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = follow(&calls, &namespace, &watched) => {}
                () = watched.forgotten() => debug!(k8s.namespace = %namespace, "nobody asks for its pods any more"),
            }
        });
        Self { store, asked: Instant::now(), task: AbortOnDropHandle::new(task) }
    }
}

impl Store {
    fn by_name(&self) -> Option<Vec<Arc<PodSummary>>> {
        lock(&self.pods).as_ref().map(|pods| pods.values().cloned().collect())
    }

    /// Ends when nobody has asked for long enough.
    async fn forgotten(&self) {
        loop {
            let until = lock(&self.asked).unwrap_or_else(Instant::now) + KEPT;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

async fn follow(calls: &Calls, namespace: &Namespace, store: &Store) {
    let collection = Collection {
        calls,
        asked: Asked { verb: "watch", resource: "pods", namespace: Some(namespace), name: None },
        path: calls::path(Some(namespace), "pods"),
        selector: Selector {
            labels: Some(format!("{}!={}", keys::MANAGED_BY, keys::MANAGED_BY_VALUE)),
            fields: None,
        },
    };
    loop {
        // It ends when that is not permitted, which may change.
        collection.follow(&mut UnmanagedSink { store, listed: ByName::new() }).await;
        tokio::time::sleep(DENIED_PAUSE).await;
    }
}

/// Feeds a [`Store`].
struct UnmanagedSink<'a> {
    store: &'a Store,
    listed: ByName,
}

/// The slim form of a pod that is not ours.
fn read(pod: Pod) -> Option<PodSummary> {
    PodSummary::parse(pod).ok().filter(|pod| !pod.is_managed())
}

impl Sink for UnmanagedSink<'_> {
    type Object = Pod;

    fn listed(&mut self, pods: Vec<Pod>) {
        self.listed.extend(pods.into_iter().filter_map(read).map(|pod| (pod.name.clone(), Arc::new(pod))));
    }

    fn listing_ended(&mut self, complete: bool) {
        let listed = std::mem::take(&mut self.listed);
        if complete {
            *lock(&self.store.pods) = Some(listed);
            self.store.denied.store(false, Ordering::Relaxed);
            self.store.known.notify_waiters();
        }
    }

    fn applied(&mut self, pod: Pod) {
        let name = pod.metadata.name.clone();
        if let (Some(pods), Some(name)) = (lock(&self.store.pods).as_mut(), name) {
            match read(pod) {
                Some(pod) => pods.insert(name, Arc::new(pod)),
                None => pods.remove(&name),
            };
        }
    }

    fn deleted(&mut self, pod: Pod) {
        if let (Some(pods), Some(name)) = (lock(&self.store.pods).as_mut(), pod.metadata.name) {
            pods.remove(&name);
        }
    }

    fn failed(&mut self, error: &Error) -> ControlFlow<()> {
        debug!(%error, "pods of others can't be watched");
        // What is known stays, as everywhere. What may not be known any more does not.
        if !matches!(error, Error::Forbidden { .. }) {
            return ControlFlow::Continue(());
        }
        *lock(&self.store.pods) = None;
        self.store.denied.store(true, Ordering::Relaxed);
        self.store.known.notify_waiters();
        ControlFlow::Break(())
    }
}
