//! Deleting objects: at once, after a grace period, or when the last finalizer is gone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    kind::Kind,
    object::{self, set_meta, text_at},
    status::Status,
    store::{Fate, Mode, Preconditions, Store, check_delete},
};

/// Finalizer of an object that waits until those it owns are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an object that waits until those it owns are cut loose.
pub(crate) const ORPHAN: &str = "orphan";

/// What becomes of the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Seconds a pod gets; `None` leaves it to the pod.
    pub(crate) grace: Option<i64>,
    pub(crate) preconditions: Preconditions,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) dry_run: bool,
}

/// The end of a pod's deletion: its containers have stopped. The pod disappears, or waits for its finalizers. A pod
/// that is gone already, or another of the same name, is left alone.
///
/// # Errors
/// When the removal can't be stored.
pub fn finish(store: &Store, namespace: &str, name: &str, uid: &str) -> Result<(), Status> {
    let options = Options { grace: Some(0), preconditions: Preconditions::uid(uid), ..Options::default() };
    match delete(store, Kind::Pod, namespace, name, &options) {
        Err(status) if status.code != 404 && status.code != 409 => Err(status),
        _ => Ok(()),
    }
}

/// Deletes an object, or begins to. Answers the object and whether it is gone.
pub(crate) fn delete(
    store: &Store,
    kind: Kind,
    namespace: &str,
    name: &str,
    options: &Options,
) -> Result<(Arc<Value>, bool), Status> {
    let mode = if options.dry_run { Mode::DryRun } else { Mode::Commit };
    let mut ends_now = false;
    let (object, fate) = store.modify(kind, namespace, name, mode, |_, object| {
        check_delete(kind, name, object, &options.preconditions)?;
        set_propagation(object, options.propagation);
        match kind {
            Kind::Namespace => return mark_namespace(name, object),
            Kind::Pod => mark_pod(object, options.grace),
            _ if object::has_finalizers(object) => mark(object, 0),
            _ => return Ok(Fate::Goes),
        }
        ends_now = may_go(object);
        Ok(Fate::Stays)
    })?;
    if fate == Fate::Goes {
        return Ok((object, true));
    }
    if ends_now && !options.dry_run {
        // Two steps, as on a real server: watchers see a pod's deletion before they see it gone.
        let last = Preconditions::uid(object::uid(&object));
        match store.modify(kind, namespace, name, mode, |_, current| {
            check_delete(kind, name, current, &last)?;
            Ok(if may_go(current) { Fate::Goes } else { Fate::Stays })
        }) {
            Err(status) if status.code != 404 => return Err(status),
            _ => {}
        }
    }
    Ok((object, ends_now))
}

/// Whether nothing stands in the way of a marked object's end: no finalizer, no grace period. (A namespace's own
/// finalizers are in its spec.)
pub(crate) fn may_go(object: &Value) -> bool {
    object::deletion_timestamp(object).is_some()
        && !object::has_finalizers(object)
        && object::list_at(object, &["spec", "finalizers"]).is_empty()
        && grace(object).unwrap_or(0) == 0
}

fn grace(object: &Value) -> Option<i64> {
    object::at(object, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64)
}

fn set_propagation(object: &mut Value, propagation: Option<Propagation>) {
    let (wanted, unwanted): (&[&str], &[&str]) = match propagation {
        None => return,
        Some(Propagation::Background) => (&[], &[FOREGROUND, ORPHAN]),
        Some(Propagation::Foreground) => (&[FOREGROUND], &[ORPHAN]),
        Some(Propagation::Orphan) => (&[ORPHAN], &[FOREGROUND]),
    };
    let mut finalizers = object::list_at(object, &["metadata", "finalizers"]).to_vec();
    finalizers.retain(|finalizer| !unwanted.iter().any(|unwanted| finalizer == unwanted));
    for wanted in wanted {
        if !finalizers.iter().any(|finalizer| finalizer == wanted) {
            finalizers.push((*wanted).into());
        }
    }
    if finalizers.is_empty() {
        object::remove_meta(object, "finalizers");
    } else {
        set_meta(object, "finalizers", finalizers.into());
    }
}

/// Notes that the object is to go after `grace` seconds; says so once only.
fn mark(object: &mut Value, grace: i64) {
    if object::deletion_timestamp(object).is_some() {
        return;
    }
    set_deadline(object, Timestamp::now(), grace);
    // Controllers are told by the generation that something is wanted of them.
    let generation = object::at(object, &["metadata", "generation"]).and_then(Value::as_i64);
    if let Some(generation) = generation.filter(|generation| *generation > 0) {
        set_meta(object, "generation", (generation + 1).into());
    }
}

fn set_deadline(object: &mut Value, from: Timestamp, grace: i64) {
    let deadline = from.checked_add(SignedDuration::from_secs(grace)).unwrap_or(from);
    set_meta(object, "deletionTimestamp", object::seconds(deadline).into());
    set_meta(object, "deletionGracePeriodSeconds", grace.into());
}

fn mark_pod(pod: &mut Value, wanted: Option<i64>) {
    // Below zero means "at once, but properly".
    let wanted = wanted.map(|seconds| if seconds < 0 { 1 } else { seconds });
    if let Some(deadline) = object::deletion_timestamp(pod) {
        // A deletion under way can only be hurried.
        let (deadline, current) = (deadline.parse::<Timestamp>(), grace(pod).unwrap_or(0));
        if let (Some(wanted), Ok(deadline)) = (wanted.filter(|wanted| *wanted < current), deadline) {
            let begun = deadline.checked_sub(SignedDuration::from_secs(current)).unwrap_or(deadline);
            set_deadline(pod, begun, wanted);
        }
        return;
    }
    let own =
        object::at(pod, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64).unwrap_or(0);
    let nothing_runs = text_at(pod, &["spec", "nodeName"]).is_empty()
        || matches!(text_at(pod, &["status", "phase"]), "Succeeded" | "Failed");
    let seconds = if nothing_runs { 0 } else { wanted.unwrap_or(if own < 0 { 1 } else { own }) };
    mark(pod, seconds);
}

/// A namespace goes when it is empty and its own finalizers, in its spec, are gone.
fn mark_namespace(name: &str, namespace: &mut Value) -> Result<Fate, Status> {
    if matches!(name, "default" | "kube-system" | "kube-public") {
        return Err(Status::forbidden(Kind::Namespace.resource(), name, "this namespace may not be deleted"));
    }
    let empty = object::list_at(namespace, &["spec", "finalizers"]).is_empty();
    if object::deletion_timestamp(namespace).is_some() {
        if empty && !object::has_finalizers(namespace) {
            return Ok(Fate::Goes);
        }
        let why = "The system is ensuring all content is removed from this namespace.  Upon completion, this namespace will automatically be purged by the system.";
        return Err(Status::conflict(Kind::Namespace.resource(), name, why));
    }
    mark(namespace, 0);
    object::remove_meta(namespace, "deletionGracePeriodSeconds");
    object::child_mut(namespace, "status").insert("phase".into(), "Terminating".into());
    Ok(Fate::Stays)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store_with(pod: Value) -> Store {
        let store = Store::in_memory();
        store.create(Kind::Pod, pod).expect("created");
        store
    }

    fn pod(spec: Value) -> Value {
        json!({ "metadata": { "name": "p", "namespace": "n", "generation": 1 }, "spec": spec, "status": {} })
    }

    fn graceful(store: &Store, grace: Option<i64>) -> (Arc<Value>, bool) {
        delete(store, Kind::Pod, "n", "p", &Options { grace, ..Options::default() }).expect("deleted")
    }

    #[test]
    fn a_running_pod_gets_its_grace_period_and_can_be_hurried() {
        let store = store_with(pod(json!({ "nodeName": "x", "terminationGracePeriodSeconds": 30 })));
        let (marked, gone) = graceful(&store, None);
        assert!(!gone);
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
        assert_eq!(marked["metadata"]["generation"], 2);
        let (longer, _) = graceful(&store, Some(60));
        assert_eq!(longer, marked, "a deletion is never prolonged");
        let (shorter, gone) = graceful(&store, Some(-5));
        assert!(!gone);
        assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 1);
        assert_eq!(shorter["metadata"]["generation"], 2);
        finish(&store, "n", "p", "another").expect("left alone");
        assert!(store.get(Kind::Pod, "n", "p").is_ok());
        finish(&store, "n", "p", object::uid(&marked)).expect("finished");
        assert_eq!(store.get(Kind::Pod, "n", "p").expect_err("gone").code, 404);
        finish(&store, "n", "p", object::uid(&marked)).expect("finishing twice is fine");
    }

    #[test]
    fn what_does_not_run_goes_at_once_but_for_its_finalizers() {
        let store = store_with(pod(json!({ "terminationGracePeriodSeconds": 30 })));
        assert!(graceful(&store, None).1);
        let mut held = pod(json!({}));
        held["metadata"]["finalizers"] = json!(["x.io/hold"]);
        let store = store_with(held);
        assert!(!graceful(&store, Some(0)).1);
        assert!(store.get(Kind::Pod, "n", "p").is_ok());
    }

    #[test]
    fn dry_run_changes_nothing() {
        let store = store_with(pod(json!({ "nodeName": "x" })));
        let revision = store.revision();
        let options = Options { grace: Some(0), dry_run: true, ..Options::default() };
        assert!(delete(&store, Kind::Pod, "n", "p", &options).expect("answers").1);
        assert_eq!(store.revision(), revision);
    }

    #[test]
    fn propagation_is_a_finalizer() {
        let store = Store::in_memory();
        store
            .create(Kind::ConfigMap, json!({ "metadata": { "name": "c", "namespace": "n" } }))
            .expect("created");
        let options = Options { propagation: Some(Propagation::Foreground), ..Options::default() };
        let (object, gone) = delete(&store, Kind::ConfigMap, "n", "c", &options).expect("marked");
        assert!(!gone);
        assert_eq!(object["metadata"]["finalizers"], json!([FOREGROUND]));
    }
}
