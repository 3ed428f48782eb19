//! `metadata`, which all objects have.

use serde_json::Value;

use super::{Problems, entries, names};
use crate::{kind::Kind, object};

/// All annotations together.
const MAX_ANNOTATIONS_BYTES: usize = 256 << 10;

/// Checks a new object's metadata.
pub(crate) fn check_new(kind: Kind, new: &Value, problems: &mut Problems) {
    let check = match kind {
        Kind::Namespace => names::dns_label,
        _ => names::dns_subdomain,
    };
    let prefix = object::text_at(new, &["metadata", "generateName"]);
    if !prefix.is_empty() {
        // What follows the prefix makes a trailing hyphen or dot good again.
        let masked =
            prefix.strip_suffix(['-', '.']).map_or_else(|| prefix.to_owned(), |stem| format!("{stem}a"));
        problems.objections("metadata.generateName", prefix, check(&masked));
    }
    let name = object::name(new);
    if name.is_empty() {
        problems.required("metadata.name", "name or generateName is required");
    } else {
        problems.objections("metadata.name", name, check(name));
    }
    check_common(new, problems);
}

/// Checks a changed object's metadata.
pub(crate) fn check_changed(old: &Value, new: &Value, problems: &mut Problems) {
    check_common(new, problems);
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        let path = ["metadata", field];
        let changed = object::text_at(new, &path);
        if changed != object::text_at(old, &path) {
            problems.invalid_text(path.join("."), changed, "field is immutable");
        }
    }
    if object::deletion_timestamp(old).is_some() {
        let finalizers = |object| -> Vec<&str> {
            object::list_at(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str).collect()
        };
        let (before, mut added) = (finalizers(old), finalizers(new));
        added.retain(|finalizer| !before.contains(finalizer));
        if !added.is_empty() {
            let added: Vec<String> = added.iter().map(|finalizer| format!("{finalizer:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            problems.forbidden("metadata.finalizers", &detail);
        }
    }
}

fn check_common(object: &Value, problems: &mut Problems) {
    for (key, value) in entries(object::at(object, &["metadata", "labels"])) {
        problems.objections("metadata.labels", key, names::qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        problems.objections("metadata.labels", value, names::label_value(value));
    }
    let mut size = 0;
    for (key, value) in entries(object::at(object, &["metadata", "annotations"])) {
        problems.objections("metadata.annotations", key, names::qualified_name(&key.to_lowercase()));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS_BYTES {
        problems.too_long("metadata.annotations", MAX_ANNOTATIONS_BYTES);
    }
    for (index, owner) in object::list_at(object, &["metadata", "ownerReferences"]).iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if object::text_at(owner, &[field]).is_empty() {
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                problems.invalid_text(format!("metadata.ownerReferences[{index}].{field}"), "", detail);
            }
        }
    }
    for (index, finalizer) in object::list_at(object, &["metadata", "finalizers"]).iter().enumerate() {
        let finalizer = finalizer.as_str().unwrap_or_default();
        let field = format!("metadata.finalizers[{index}]");
        let objections = names::qualified_name(finalizer);
        if objections.is_empty() && !finalizer.contains('/') && !is_standard_finalizer(finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            problems.invalid_text(field, finalizer, detail);
        } else {
            problems.objections(&field, finalizer, objections);
        }
    }
}

fn is_standard_finalizer(finalizer: &str) -> bool {
    matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion")
}
