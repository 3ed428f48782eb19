//! PersistentVolumeClaims. There are no volumes to choose from: each claim gets a directory of its own.

mod usage;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub(crate) use self::usage::{Obstacle, is_used, obstacle};
use crate::{
    object::{self, list_at, text_at},
    schema::quantity::Quantity,
    validate::{Problems, names},
};

/// Finalizer of a claim: it stays as long as a pod uses it.
pub(crate) const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// The access mode that one pod has for itself.
const ONE_POD: &str = "ReadWriteOncePod";
/// All there are, with the abbreviations of tables.
const ACCESS_MODES: [(&str, &str); 4] =
    [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), (ONE_POD, "RWOP")];

pub(super) fn set_defaults(claim: &mut Value) {
    object::child_mut(claim, "spec").entry("volumeMode").or_insert_with(|| "Filesystem".into());
}

/// The status is the server's own.
pub(super) fn reset_status(claim: &mut Value) {
    object::as_map(claim).insert("status".into(), json!({ "phase": "Pending" }));
}

/// What the admission plugins that every cluster runs add to a new claim.
pub(crate) fn admit(claim: &mut Value) {
    protect(claim);
}

/// Adds the finalizer, unless it is there.
pub(crate) fn protect(claim: &mut Value) {
    let finalizers = list_at(claim, &["metadata", "finalizers"]);
    if !finalizers.iter().any(|finalizer| finalizer == PROTECTION) {
        let mut finalizers = finalizers.to_vec();
        finalizers.push(PROTECTION.into());
        object::set_meta(claim, "finalizers", finalizers.into());
    }
}

/// The storage a claim asks for, or has.
fn storage<'a>(claim: &'a Value, path: &[&str]) -> &'a str {
    object::at(claim, path).map_or("", |amounts| text_at(amounts, &["storage"]))
}

const REQUESTS: [&str; 3] = ["spec", "resources", "requests"];
const CAPACITY: [&str; 2] = ["status", "capacity"];

pub(super) fn check(claim: &Value, problems: &mut Problems) {
    let spec = claim.get("spec").unwrap_or(&Value::Null);
    check_access_modes(list_at(spec, &["accessModes"]), problems);
    let requested = storage(claim, &REQUESTS);
    if requested.is_empty() {
        problems.required("spec.resources[storage]", "");
    } else if Quantity::parse(requested).is_some_and(|amount| amount.nanos() <= 0) {
        problems.invalid_text("spec.resources[storage]", requested, "must be greater than zero");
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let name = text_at(spec, &[field]);
        if !name.is_empty() {
            problems.objections(&format!("spec.{field}"), name, names::dns_subdomain(name));
        }
    }
    let mode = text_at(spec, &["volumeMode"]);
    if !matches!(mode, "Filesystem" | "Block") {
        problems.unsupported("spec.volumeMode", mode, &["Block", "Filesystem"]);
    }
    for source in ["dataSource", "dataSourceRef"] {
        let Some(reference) = spec.get(source) else { continue };
        for field in ["name", "kind"] {
            if text_at(reference, &[field]).is_empty() {
                problems.required(format!("spec.{source}.{field}"), "");
            }
        }
    }
}

fn check_access_modes(modes: &[Value], problems: &mut Problems) {
    const FIELD: &str = "spec.accessModes";
    if modes.is_empty() {
        problems.required(FIELD, "at least 1 access mode is required");
    }
    let mut others = false;
    for mode in modes.iter().filter_map(Value::as_str) {
        let known = ACCESS_MODES.iter().any(|(name, _)| *name == mode);
        others |= known && mode != ONE_POD;
        if !known {
            problems.unsupported(FIELD, mode, &ACCESS_MODES.map(|(name, _)| name));
        }
    }
    if others && modes.iter().any(|mode| mode == ONE_POD) {
        problems.forbidden(FIELD, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Of the spec only the size may change, once there is a volume, and only grow.
pub(super) fn check_update(old: &Value, new: &Value, problems: &mut Problems) {
    let was = old.get("spec").cloned().unwrap_or_default();
    // What is left of the new spec when everything that may be changed is put back as it was.
    let mut rest = new.get("spec").cloned().unwrap_or_default();
    if text_at(&was, &["volumeName"]).is_empty() {
        restore(&mut rest, &was, "volumeName");
    }
    if was.get("storageClassName").is_none() {
        restore(&mut rest, &was, "storageClassName");
    }
    restore(&mut rest, &was, "volumeAttributesClassName");
    if text_at(old, &["status", "phase"]) == "Bound"
        && let Some(requests) = rest.pointer_mut("/resources/requests")
    {
        let requested = object::at(old, &REQUESTS).unwrap_or(&Value::Null);
        restore(requests, requested, "storage");
    }
    if rest != was {
        problems.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        );
    }
    let amount = |text: &str| Quantity::parse(text).map_or(0, Quantity::nanos);
    let (before, after) = (amount(storage(old, &REQUESTS)), amount(storage(new, &REQUESTS)));
    if after < before && after <= amount(storage(old, &CAPACITY)) {
        let detail = "field can not be less than status.capacity";
        problems.forbidden("spec.resources.requests.storage", detail);
    }
    let mode = text_at(new, &["spec", "volumeMode"]);
    if text_at(&was, &["volumeMode"]) != mode {
        problems.invalid_text("volumeMode", mode, "field is immutable");
    }
    if was.get("volumeAttributesClassName").is_some()
        && object::at(new, &["spec", "volumeAttributesClassName"]).is_none()
    {
        let detail = "update from non-nil value to nil is forbidden";
        problems.forbidden("spec.volumeAttributesClassName", detail);
    }
}

fn restore(target: &mut Value, before: &Value, field: &str) {
    let target = object::as_map(target);
    match before.get(field) {
        Some(value) => target.insert(field.to_owned(), value.clone()),
        None => target.shift_remove(field),
    };
}

/// Why there can't be a volume for a claim, if there can't.
pub(crate) fn refusal(claim: &Value) -> Option<&'static str> {
    let spec = claim.get("spec")?;
    if text_at(spec, &["volumeMode"]) == "Block" {
        return Some("the embedded cluster has no block devices");
    }
    let copies = ["dataSource", "dataSourceRef"].iter().any(|source| spec.get(*source).is_some());
    copies.then_some("the embedded cluster fills no volumes from other objects")
}

pub(crate) fn is_bound(claim: &Value) -> bool {
    text_at(claim, &["status", "phase"]) == "Bound"
}

/// Gives a claim its volume, of the size it asks for.
pub(crate) fn bind(claim: &mut Value) {
    let name = format!("pvc-{}", object::uid(claim));
    object::child_mut(claim, "spec").entry("volumeName").or_insert_with(|| name.into());
    let modes = object::at(claim, &["spec", "accessModes"]).cloned().unwrap_or_else(|| json!([]));
    let requested = storage(claim, &REQUESTS).to_owned();
    let status = object::child_mut(claim, "status");
    status.insert("phase".into(), "Bound".into());
    status.insert("accessModes".into(), modes);
    let capacity = object::as_map(status.entry("capacity").or_insert_with(|| Map::new().into()));
    capacity.insert("storage".into(), requested.into());
}

/// The access modes of a claim's volume, abbreviated: `RWO,ROX`.
pub(crate) fn short_access_modes(claim: &Value) -> String {
    let modes = list_at(claim, &["status", "accessModes"]);
    let given = ACCESS_MODES.iter().filter(|(name, _)| modes.iter().any(|mode| mode == name));
    given.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}
