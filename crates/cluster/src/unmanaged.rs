//! The pods of a namespace that this product did not make: how many there are that its tools do not show.
//!
//! Nobody needs them but those who list pods, so a namespace is watched from the first question on, and until ten minutes
//! after the last one.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use nocrd_model::{Namespace, keys};
use tokio::time::Instant;
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

/// By name; `None` until they were read for the first time.
#[derive(Default)]
struct Store {
    pods: Mutex<Option<ByName>>,
    /// The last question.
    asked: Mutex<Option<Instant>>,
}

type ByName = BTreeMap<String, Arc<PodSummary>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// The pods of a namespace that this product did not make, by name and without their annotations; `None` as long as
    /// that is not known. Asking is what makes it known, in a moment: it must be done in a Tokio runtime.
    #[must_use]
    pub fn unmanaged(&self, namespace: &Namespace) -> Option<Vec<Arc<PodSummary>>> {
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
        lock(&watching.store.pods).as_ref().map(|pods| pods.values().cloned().collect())
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
    collection.follow(&mut UnmanagedSink { store, listed: ByName::new() }).await;
}

/// Feeds a [`Store`].
struct UnmanagedSink<'a> {
    store: &'a Store,
    listed: ByName,
}

/// The slim form of a pod that is not ours.
fn read(pod: Pod) -> Option<PodSummary> {
    let mut pod = PodSummary::parse(pod).ok().filter(|pod| !pod.managed)?;
    // They are the larger part of it, and nobody selects by them.
    pod.annotations = BTreeMap::new();
    Some(pod)
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
        // What is known stays; without the permission nothing ever is.
        debug!(%error, "pods of others can't be watched");
        ControlFlow::Continue(())
    }
}
