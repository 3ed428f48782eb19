//! Writing events: what `kubectl describe` shows of an object's life.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    kind::Kind,
    object,
    status::Status,
    store::{Preconditions, Store, View},
};

/// Longest part of an object's name that its events' names begin with; a full name has at most 253 characters.
const MAX_STEM_LENGTH: usize = 253 - 17;
/// How many names are tried for a new event.
const NAME_ATTEMPTS: usize = 100;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// Somebody may want to do something.
    Warning,
}

/// Writes events in the name of one component.
#[derive(Clone)]
pub struct Recorder {
    store: Store,
    component: &'static str,
    host: Option<String>,
}

impl Recorder {
    /// A recorder for `component`; `host` is the node it works on, if it works on one.
    #[must_use]
    pub fn new(store: Store, component: &'static str, host: Option<String>) -> Self {
        Self { store, component, host }
    }

    /// Notes that something happened to an object. What happened before already, in the same words, is counted in the
    /// event that is there. `field_path` names the part concerned, such as `spec.containers{agent}`.
    ///
    /// Events are for people: one that can't be written is logged and forgotten.
    pub fn record(
        &self,
        about: (Kind, &Value),
        severity: Severity,
        reason: &str,
        message: &str,
        field_path: Option<&str>,
    ) {
        let (kind, object) = about;
        let namespace = match object::namespace(object) {
            "" => "default",
            namespace => namespace,
        };
        let kind_of_event = match severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        let mut involved = json!({
            "kind": kind.name(), "namespace": object::namespace(object), "name": object::name(object),
            "uid": object::uid(object), "apiVersion": "v1", "resourceVersion": object::resource_version(object),
        });
        let mut source = json!({ "component": self.component });
        if let Some(path) = field_path {
            object::as_map(&mut involved).insert("fieldPath".into(), path.into());
        }
        if let Some(host) = &self.host {
            object::as_map(&mut source).insert("host".into(), host.clone().into());
        }
        let instant = Timestamp::now();
        let now = object::seconds(instant);
        let stem: String = object::name(object).chars().take(MAX_STEM_LENGTH).collect();
        let event = json!({
            "metadata": { "namespace": namespace }, "involvedObject": involved, "reason": reason, "message": message,
            "source": source, "firstTimestamp": now, "lastTimestamp": now, "count": 1, "type": kind_of_event,
            "eventTime": null, "reportingComponent": self.component,
            "reportingInstance": self.host.clone().unwrap_or_default(),
        });
        if !self.count(namespace, &stem, &event) {
            self.add(event, namespace, &stem, instant);
        }
    }

    /// Counts an event that happened before; false when it didn't.
    fn count(&self, namespace: &str, stem: &str, event: &Value) -> bool {
        let prefix = format!("{stem}.");
        let before = self.store.read(|view| {
            let known = view.with_prefix(Kind::Event, namespace, &prefix).find(|other| same(other, event));
            known.map(|known| object::name(known).to_owned())
        });
        let Some(name) = before else { return false };
        let counted = self.store.update(Kind::Event, namespace, &name, &Preconditions::none(), |known| {
            let map = object::as_map(known);
            let count = map.get("count").and_then(Value::as_u64).unwrap_or(1);
            map.insert("count".into(), (count + 1).into());
            map.insert("lastTimestamp".into(), event.get("lastTimestamp").cloned().unwrap_or_default());
            Ok(())
        });
        counted.is_ok()
    }

    /// Adds an event. Its name ends with the time, so that events of an object sort by age.
    fn add(&self, mut event: Value, namespace: &str, stem: &str, instant: Timestamp) {
        // Nothing is added to a namespace that is being emptied.
        let admit = |view: &View<'_>| match view.get(Kind::Namespace, "", namespace) {
            Some(owner) if object::deletion_timestamp(owner).is_some() => {
                Err(Status::not_found(Kind::Namespace, namespace))
            }
            _ => Ok(()),
        };
        // Within one tick of the clock the next free time is taken.
        for nanosecond in (instant.as_nanosecond()..).take(NAME_ATTEMPTS) {
            object::set_meta(&mut event, "name", format!("{stem}.{nanosecond:016x}").into());
            match self.store.create_if(Kind::Event, event.clone(), admit) {
                Err(error) if error.reason == "AlreadyExists" => {}
                Err(error) => {
                    tracing::debug!(%error, "an event was not recorded");
                    return;
                }
                Ok(_) => return,
            }
        }
    }
}

/// Whether two events say the same about the same part of the same object.
fn same(one: &Value, other: &Value) -> bool {
    let parts: [&[&str]; 6] = [
        &["involvedObject", "uid"],
        &["involvedObject", "fieldPath"],
        &["source", "component"],
        &["type"],
        &["reason"],
        &["message"],
    ];
    parts.iter().all(|part| object::text_at(one, part) == object::text_at(other, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(store: &Store) -> Vec<(String, u64)> {
        let events = store.list(Kind::Event, None).items;
        events
            .iter()
            .map(|event| (object::text_at(event, &["message"]).to_owned(), event["count"].as_u64().unwrap()))
            .collect()
    }

    #[test]
    fn the_same_again_is_counted_and_the_rest_sorts_by_age() {
        let store = Store::in_memory();
        let recorder = Recorder::new(store.clone(), "kubelet", Some("node".into()));
        let pod = json!({ "metadata": { "name": "p", "namespace": "n", "uid": "1" } });
        let other = json!({ "metadata": { "name": "p.x", "namespace": "n", "uid": "2" } });
        for message in ["c", "b", "a", "b"] {
            recorder.record((Kind::Pod, &pod), Severity::Normal, "R", message, Some("spec.containers{c}"));
        }
        recorder.record((Kind::Pod, &pod), Severity::Normal, "R", "b", Some("spec.containers{d}"));
        recorder.record((Kind::Pod, &other), Severity::Normal, "R", "b", Some("spec.containers{c}"));
        let expected =
            [("c", 1), ("b", 2), ("a", 1), ("b", 1), ("b", 1)].map(|(text, count)| (text.to_owned(), count));
        assert_eq!(recorded(&store), expected);
    }

    #[test]
    fn nothing_is_added_to_a_namespace_that_is_being_emptied() {
        let store = Store::in_memory();
        let terminating = json!({ "metadata": { "name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        store.create(Kind::Namespace, terminating).expect("created");
        let pod = json!({ "metadata": { "name": "p", "namespace": "n", "uid": "1" } });
        Recorder::new(store.clone(), "kubelet", None).record(
            (Kind::Pod, &pod),
            Severity::Warning,
            "R",
            "m",
            None,
        );
        assert!(recorded(&store).is_empty());
    }
}
