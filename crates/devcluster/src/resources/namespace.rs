//! Namespaces.

use serde_json::{Value, json};

use crate::object;

/// Every namespace carries its name as a label, for selectors.
pub(super) fn set_defaults(namespace: &mut Value) {
    let name = object::name(namespace).to_owned();
    if name.is_empty() {
        return;
    }
    let metadata = object::child_mut(namespace, "metadata");
    let labels = object::as_map(metadata.entry("labels").or_insert(Value::Null));
    labels.insert("kubernetes.io/metadata.name".into(), name.into());
}

/// The finalizer keeps a deleted namespace until its content is gone.
pub(super) fn prepare_create(namespace: &mut Value) {
    set_defaults(namespace);
    let map = object::as_map(namespace);
    map.insert("spec".into(), json!({ "finalizers": ["kubernetes"] }));
    map.insert("status".into(), json!({ "phase": "Active" }));
}
