//! Writing events: what `kubectl describe` shows of an object's life.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    kind::Kind,
    object,
    status::Status,
    store::{Preconditions, Store, View},
};

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
        // The same words about the same part of the same object make the same name: that is the aggregation.
        let mut hash = Sha256::new();
        for part in [
            object::uid(object),
            self.component,
            kind_of_event,
            reason,
            message,
            field_path.unwrap_or_default(),
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let suffix: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}.{suffix}", object::name(object));
        let now = object::seconds(Timestamp::now());

        let counted = self.store.update(Kind::Event, namespace, &name, &Preconditions::none(), |event| {
            let map = object::as_map(event);
            let count = map.get("count").and_then(Value::as_u64).unwrap_or(1);
            map.insert("count".into(), (count + 1).into());
            map.insert("lastTimestamp".into(), now.clone().into());
            Ok(())
        });
        if counted.is_ok() {
            return;
        }
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
        let event = json!({
            "metadata": { "name": name, "namespace": namespace },
            "involvedObject": involved, "reason": reason, "message": message, "source": source,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1, "type": kind_of_event,
            "eventTime": null, "reportingComponent": self.component,
            "reportingInstance": self.host.clone().unwrap_or_default(),
        });
        // Nothing is added to a namespace that is being emptied.
        let admit = |view: &View<'_>| match view.get(Kind::Namespace, "", namespace) {
            Some(owner) if object::deletion_timestamp(owner).is_some() => {
                Err(Status::not_found(Kind::Namespace, namespace))
            }
            _ => Ok(()),
        };
        if let Err(error) = self.store.create_if(Kind::Event, event, admit) {
            tracing::debug!(%error, reason, "an event was not recorded");
        }
    }
}
