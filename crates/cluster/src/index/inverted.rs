//! Pods by something that several may share.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Arc, RwLock},
};

use super::{read, write};

/// By key, and then by arrival.
pub(super) struct Inverted<K, P>(RwLock<HashMap<K, BTreeMap<u64, Arc<P>>>>);

impl<K, P> Default for Inverted<K, P> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Hash + Eq + Clone, P> Inverted<K, P> {
    /// In the order of their arrival.
    pub(super) fn get<Q>(&self, key: &Q) -> Vec<Arc<P>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        read(&self.0).get(key).map(|pods| pods.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn insert(&self, key: &K, arrival: u64, pod: &Arc<P>) {
        let mut map = write(&self.0);
        match map.get_mut(key) {
            Some(pods) => {
                pods.insert(arrival, Arc::clone(pod));
            }
            None => {
                map.insert(key.clone(), BTreeMap::from([(arrival, Arc::clone(pod))]));
            }
        }
    }

    pub(super) fn remove(&self, key: &K, arrival: u64) {
        let mut map = write(&self.0);
        if let Some(pods) = map.get_mut(key) {
            pods.remove(&arrival);
            if pods.is_empty() {
                map.remove(key);
            }
        }
    }
}
