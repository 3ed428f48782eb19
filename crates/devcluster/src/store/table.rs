//! The objects of one kind and the recent changes to them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use super::watch::{Change, Event};
use crate::{object, status::Status};

/// Namespace and name: the order of lists.
type Key = (String, String);

pub(super) struct Table {
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Event>,
    capacity: usize,
    /// All changes after this revision are in `history`.
    floor: u64,
}

impl Table {
    pub(super) fn new(capacity: usize, floor: u64) -> Self {
        Self { objects: BTreeMap::new(), history: VecDeque::new(), capacity: capacity.max(1), floor }
    }

    /// Puts an object back that was there before the history began.
    pub(super) fn restore(&mut self, object: Arc<Value>) {
        self.objects.insert(key(&object), object);
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        // The borrowed form of a tuple key can't be looked up without owning one; names are short.
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub(super) fn list(&self, namespace: Option<&str>) -> Box<dyn Iterator<Item = &Arc<Value>> + '_> {
        let Some(namespace) = namespace.map(str::to_owned) else {
            return Box::new(self.objects.values());
        };
        let from = (namespace.clone(), String::new());
        Box::new(self.objects.range(from..).take_while(move |((ns, _), _)| *ns == namespace).map(|(_, o)| o))
    }

    pub(super) fn with_prefix<'a>(
        &'a self,
        namespace: &'a str,
        prefix: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Value>> {
        let from = (namespace.to_owned(), prefix.to_owned());
        self.objects
            .range(from..)
            .take_while(move |((ns, name), _)| ns == namespace && name.starts_with(prefix))
            .map(|(_, object)| object)
    }

    /// Undoes the history back to `revision`.
    pub(super) fn list_at(&self, namespace: Option<&str>, revision: u64) -> Result<Vec<Arc<Value>>, Status> {
        self.check_history(revision)?;
        let mut objects: BTreeMap<Key, Arc<Value>> =
            self.list(namespace).map(|object| (key(object), Arc::clone(object))).collect();
        for event in self.history.iter().rev().take_while(|event| event.revision > revision) {
            if namespace.is_some_and(|namespace| namespace != object::namespace(&event.object)) {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.insert(key(previous), Arc::clone(previous)),
                None => objects.remove(&key(&event.object)),
            };
        }
        Ok(objects.into_values().collect())
    }

    pub(super) fn apply(&mut self, revision: u64, change: Change, object: Arc<Value>) {
        let previous = match change {
            Change::Added | Change::Modified => self.objects.insert(key(&object), Arc::clone(&object)),
            Change::Deleted => self.objects.remove(&key(&object)),
        };
        self.history.push_back(Event { change, object, previous, revision });
        if self.history.len() > self.capacity
            && let Some(forgotten) = self.history.pop_front()
        {
            self.floor = forgotten.revision;
        }
    }

    /// Revision of the last change there ever was, or a later one.
    pub(super) fn last_change(&self) -> u64 {
        self.history.back().map_or(self.floor, |event| event.revision)
    }

    fn check_history(&self, from: u64) -> Result<(), Status> {
        if from < self.floor {
            return Err(Status::expired(format!("too old resource version: {from} ({})", self.floor)));
        }
        Ok(())
    }

    /// The changes after revision `from`.
    pub(super) fn since(&self, from: u64) -> Result<Vec<Event>, Status> {
        self.check_history(from)?;
        let first = self.history.partition_point(|event| event.revision <= from);
        Ok(self.history.range(first..).cloned().collect())
    }
}

fn key(object: &Value) -> Key {
    (object::namespace(object).to_owned(), object::name(object).to_owned())
}
