//! The watched template ConfigMaps.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::ConfigMap;
use tokio::sync::{Notify, watch};

use crate::{Error, strip, supervise::Events, watch::Sink};

/// By namespace and name.
type ByName = BTreeMap<(String, String), ConfigMap>;

/// The ConfigMaps, as a snapshot that is replaced when one changes. There are few, and they change rarely.
#[derive(Debug)]
pub(crate) struct TemplateStore {
    objects: Mutex<ByName>,
    snapshot: ArcSwap<Vec<ConfigMap>>,
    changes: watch::Sender<u64>,
    /// That somebody has changed one, and wants to see it here.
    poll: Arc<Notify>,
}

impl Default for TemplateStore {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            snapshot: ArcSwap::default(),
            changes: watch::Sender::new(0),
            poll: Arc::default(),
        }
    }
}

impl TemplateStore {
    pub(crate) fn snapshot(&self) -> Arc<Vec<ConfigMap>> {
        self.snapshot.load_full()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Has them read anew soon, where they can't be watched.
    pub(crate) fn poll(&self) {
        self.poll.notify_one();
    }

    /// Lets `change` change the objects, and publishes them when it says that it did.
    fn update(&self, change: impl FnOnce(&mut ByName) -> bool) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&mut objects) {
            self.snapshot.store(Arc::new(objects.values().cloned().collect()));
            self.changes.send_modify(|count| *count += 1);
        }
    }

    pub(crate) fn replace(&self, new: ByName) {
        self.update(|objects| {
            let changed = *objects != new;
            *objects = new;
            changed
        });
    }
}

/// Feeds a [`TemplateStore`].
pub(crate) struct TemplateSink {
    store: Arc<TemplateStore>,
    events: Events,
    listing: ByName,
}

impl TemplateSink {
    pub(crate) fn new(store: Arc<TemplateStore>, events: Events) -> Self {
        Self { store, events, listing: ByName::new() }
    }
}

fn key(object: &ConfigMap) -> (String, String) {
    (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default())
}

impl Sink for TemplateSink {
    type Object = ConfigMap;

    fn listed(&mut self, objects: Vec<ConfigMap>) {
        self.listing.extend(objects.into_iter().map(|mut object| {
            strip(&mut object.metadata);
            (key(&object), object)
        }));
    }

    fn listing_ended(&mut self, complete: bool) {
        let listing = std::mem::take(&mut self.listing);
        if complete {
            self.store.replace(listing);
            self.events.synced();
        }
    }

    fn applied(&mut self, mut object: ConfigMap) {
        strip(&mut object.metadata);
        self.store.update(|objects| {
            let replaced = objects.insert(key(&object), object.clone());
            replaced.as_ref() != Some(&object)
        });
    }

    fn deleted(&mut self, object: ConfigMap) {
        self.store.update(|objects| objects.remove(&key(&object)).is_some());
    }

    fn heard(&mut self) {
        self.events.heard();
    }

    fn polled(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.store.poll))
    }

    fn failed(&mut self, error: &Error) -> ControlFlow<()> {
        self.events.failed(error)
    }
}
