//! What the API does with objects of each kind besides storing them: defaults, what a client may and may not write,
//! and what makes an object valid.

pub(crate) mod claim;
mod data;
mod event;
mod namespace;
pub(crate) mod pod;
pub(crate) mod quota;

use serde_json::Value;

use crate::{
    kind::Kind,
    object,
    validate::{Problems, meta},
};

/// Which part of an object a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but its status.
    Object,
    /// Its status.
    Status,
    /// What a pod's containers may use.
    Resize,
}

/// Fills in what a type's absent members mean. Done to every object that is read from a request.
pub(crate) fn set_defaults(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Pod => pod::defaults::set(object),
        Kind::Secret => data::default_secret(object),
        Kind::Namespace => namespace::set_defaults(object),
        Kind::PersistentVolumeClaim => claim::set_defaults(object),
        Kind::Node | Kind::ConfigMap | Kind::ServiceAccount | Kind::Event | Kind::ResourceQuota => {}
    }
}

/// Takes from a new object what clients have no say in, and adds what only the server knows.
pub(crate) fn prepare_create(kind: Kind, new: &mut Value) {
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
    ] {
        object::remove_meta(new, field);
    }
    match kind {
        Kind::Pod => pod::prepare_create(new),
        Kind::Namespace => namespace::prepare_create(new),
        Kind::ResourceQuota => quota::reset_status(new),
        Kind::PersistentVolumeClaim => claim::reset_status(new),
        Kind::Node | Kind::ConfigMap | Kind::Secret | Kind::ServiceAccount | Kind::Event => {}
    }
}

/// What is wrong with a new object.
pub(crate) fn check_create(kind: Kind, new: &Value) -> Problems {
    let mut problems = Problems::default();
    meta::check_new(kind, new, &mut problems);
    check_content(kind, new, &mut problems);
    problems
}

/// Keeps of the stored object what this write can't change.
pub(crate) fn prepare_update(kind: Kind, part: Part, old: &Value, new: &mut Value) {
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        keep(old, new, &["metadata", field]);
    }
    object::remove_meta(new, "selfLink");
    if !has_status(kind) {
        return;
    }
    match part {
        Part::Object => {
            keep(old, new, &["status"]);
            // A namespace's finalizers have a subresource of their own.
            if kind == Kind::Namespace {
                keep(old, new, &["spec"]);
            }
        }
        Part::Status => {
            keep(old, new, &["spec"]);
            keep(old, new, &["metadata", "ownerReferences"]);
        }
        Part::Resize => {
            keep(old, new, &["status"]);
            for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
                keep(old, new, &["metadata", field]);
            }
            pod::resize::prepare(old, new);
        }
    }
    let generation = object::at(old, &["metadata", "generation"]).and_then(Value::as_i64);
    if let Some(generation) = generation.filter(|_| old.get("spec") != new.get("spec")) {
        object::set_meta(new, "generation", (generation + 1).into());
    }
}

/// What is wrong with a changed object.
pub(crate) fn check_update(kind: Kind, part: Part, old: &Value, new: &Value) -> Problems {
    let mut problems = Problems::default();
    meta::check_changed(old, new, &mut problems);
    if part == Part::Resize {
        pod::resize::check(old, new, &mut problems);
    }
    if part == Part::Object {
        match kind {
            Kind::Pod => pod::update::check(old, new, &mut problems),
            _ => check_content(kind, new, &mut problems),
        }
        match kind {
            Kind::ConfigMap | Kind::Secret => data::check_immutable(kind, old, new, &mut problems),
            Kind::PersistentVolumeClaim => claim::check_update(old, new, &mut problems),
            _ => {}
        }
    }
    problems
}

fn check_content(kind: Kind, object: &Value, problems: &mut Problems) {
    match kind {
        Kind::Pod => pod::validate::check(object, problems),
        Kind::ConfigMap => data::check_config_map(object, problems),
        Kind::Secret => data::check_secret(object, problems),
        Kind::Event => event::check(object, problems),
        Kind::ResourceQuota => quota::check(object, problems),
        Kind::PersistentVolumeClaim => claim::check(object, problems),
        Kind::Namespace | Kind::Node | Kind::ServiceAccount => {}
    }
}

/// Whether the kind has a status subresource.
pub(crate) fn has_status(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Pod | Kind::Namespace | Kind::Node | Kind::ResourceQuota | Kind::PersistentVolumeClaim
    )
}

/// Whether deleting one answers with the object rather than with a `Status`.
pub(crate) fn returns_deleted(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Pod
            | Kind::ServiceAccount
            | Kind::ResourceQuota
            | Kind::Namespace
            | Kind::PersistentVolumeClaim
    )
}

/// Copies a member of the stored object over that of the new one.
fn keep(old: &Value, new: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut target = new;
    for parent in parents {
        target = object::as_map(target).entry(*parent).or_insert(Value::Null);
    }
    let target = object::as_map(target);
    match object::at(old, path) {
        Some(value) => {
            target.insert((*last).to_owned(), value.clone());
        }
        None => {
            target.shift_remove(*last);
        }
    }
}
