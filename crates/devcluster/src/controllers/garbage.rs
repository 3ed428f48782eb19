//! Objects go with their owners.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use super::{Notice, notices, tolerate};
use crate::{
    deletion::{self, FOREGROUND, ORPHAN, Options, Propagation},
    kind::Kind,
    object::{self, list_at, text_at},
    store::{Fate, Mode, Preconditions, Store, View},
};

/// Kinds that can own or be owned; events can't.
const KINDS: [Kind; 8] = [
    Kind::Namespace,
    Kind::Node,
    Kind::Pod,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::ServiceAccount,
    Kind::ResourceQuota,
    Kind::PersistentVolumeClaim,
];

pub(super) async fn run(store: Store) {
    let mut notices = std::pin::pin!(notices(&store, &KINDS));
    while let Some(notice) = notices.next().await {
        match notice {
            Notice::Present(kind, object) => {
                check_owners(&store, kind, &object);
                if object::deletion_timestamp(&object).is_some() {
                    let finalizers = list_at(&object, &["metadata", "finalizers"]);
                    if finalizers.iter().any(|finalizer| finalizer == ORPHAN) {
                        orphan_dependents(&store, kind, &object);
                    } else if finalizers.iter().any(|finalizer| finalizer == FOREGROUND) {
                        delete_dependents_first(&store, kind, &object);
                    }
                }
            }
            Notice::Gone(_, object) => {
                for (kind, dependent) in dependents(&store, &object) {
                    check_owners(&store, kind, &dependent);
                }
                // An owner may have waited for this one.
                for (kind, owner) in owners(&store, &object) {
                    if list_at(&owner, &["metadata", "finalizers"])
                        .iter()
                        .any(|finalizer| finalizer == FOREGROUND)
                    {
                        delete_dependents_first(&store, kind, &owner);
                    }
                }
            }
        }
    }
}

/// What an owner reference leads to.
enum Owner {
    Present(Kind, Arc<Value>),
    Absent,
    /// Of a kind that isn't served here: nothing can be said of it.
    Unknown,
}

fn find(view: &View<'_>, object: &Value, reference: &Value) -> Owner {
    let known = text_at(reference, &["apiVersion"]) == "v1";
    let Some(kind) = Kind::from_name(text_at(reference, &["kind"])).filter(|_| known) else {
        return Owner::Unknown;
    };
    let namespace = if kind.is_namespaced() { object::namespace(object) } else { "" };
    match view.get(kind, namespace, text_at(reference, &["name"])) {
        Some(owner) if object::uid(owner) == text_at(reference, &["uid"]) => {
            Owner::Present(kind, Arc::clone(owner))
        }
        _ => Owner::Absent,
    }
}

fn references(object: &Value) -> &[Value] {
    list_at(object, &["metadata", "ownerReferences"])
}

fn owners(store: &Store, object: &Value) -> Vec<(Kind, Arc<Value>)> {
    store.read(|view| {
        let present = references(object).iter().filter_map(|reference| match find(view, object, reference) {
            Owner::Present(kind, owner) => Some((kind, owner)),
            Owner::Absent | Owner::Unknown => None,
        });
        present.collect()
    })
}

/// The objects that an object owns.
fn dependents(store: &Store, owner: &Value) -> Vec<(Kind, Arc<Value>)> {
    let uid = object::uid(owner);
    let namespace = Some(object::namespace(owner)).filter(|namespace| !namespace.is_empty());
    store.read(|view| {
        let all =
            KINDS.into_iter().flat_map(|kind| view.list(kind, namespace).map(move |object| (kind, object)));
        let owned = all.filter(|(_, object)| {
            references(object).iter().any(|reference| text_at(reference, &["uid"]) == uid)
        });
        owned.map(|(kind, object)| (kind, Arc::clone(object))).collect()
    })
}

/// Deletes an object none of whose owners is left; of several, those that are gone are struck off.
fn check_owners(store: &Store, kind: Kind, object: &Value) {
    if references(object).is_empty() || object::deletion_timestamp(object).is_some() {
        return;
    }
    let absent: Vec<&Value> = store.read(|view| {
        references(object)
            .iter()
            .filter(|reference| matches!(find(view, object, reference), Owner::Absent))
            .collect()
    });
    let (namespace, name) = (object::namespace(object), object::name(object));
    let this_one = Preconditions::uid(object::uid(object));
    if absent.is_empty() {
    } else if absent.len() == references(object).len() {
        let options = Options {
            preconditions: this_one,
            propagation: Some(Propagation::Background),
            ..Options::default()
        };
        tolerate(deletion::delete(store, kind, namespace, name, &options), "deleting what has no owner left");
    } else {
        let result = store.update(kind, namespace, name, &this_one, |object| {
            let mut left = references(object).to_vec();
            left.retain(|reference| !absent.contains(&reference));
            object::set_meta(object, "ownerReferences", left.into());
            Ok(())
        });
        tolerate(result, "striking off owners that are gone");
    }
}

/// Cuts loose what an object owns, then lets the object go.
fn orphan_dependents(store: &Store, kind: Kind, owner: &Value) {
    let uid = object::uid(owner);
    for (kind, dependent) in dependents(store, owner) {
        let this_one = Preconditions::uid(object::uid(&dependent));
        let result = store.update(
            kind,
            object::namespace(&dependent),
            object::name(&dependent),
            &this_one,
            |object| {
                let mut left = references(object).to_vec();
                left.retain(|reference| text_at(reference, &["uid"]) != uid);
                if left.is_empty() {
                    object::remove_meta(object, "ownerReferences");
                } else {
                    object::set_meta(object, "ownerReferences", left.into());
                }
                Ok(())
            },
        );
        tolerate(result, "orphaning");
    }
    remove_finalizer(store, kind, owner, ORPHAN);
}

/// Deletes what an object owns, and lets the object go when nothing is left that it must wait for.
fn delete_dependents_first(store: &Store, kind: Kind, owner: &Value) {
    let uid = object::uid(owner);
    let mut waits = false;
    for (kind, dependent) in dependents(store, owner) {
        waits |= references(&dependent).iter().any(|reference| {
            text_at(reference, &["uid"]) == uid
                && reference.get("blockOwnerDeletion") == Some(&Value::Bool(true))
        });
        if object::deletion_timestamp(&dependent).is_none() {
            let options = Options {
                preconditions: Preconditions::uid(object::uid(&dependent)),
                propagation: Some(Propagation::Foreground),
                ..Options::default()
            };
            let (namespace, name) = (object::namespace(&dependent), object::name(&dependent));
            tolerate(deletion::delete(store, kind, namespace, name, &options), "deleting in the foreground");
        }
    }
    if !waits {
        remove_finalizer(store, kind, owner, FOREGROUND);
    }
}

fn remove_finalizer(store: &Store, kind: Kind, object: &Value, finalizer: &str) {
    let uid = object::uid(object);
    let result =
        store.modify(kind, object::namespace(object), object::name(object), Mode::Commit, |_, object| {
            if object::uid(object) == uid {
                let mut left = list_at(object, &["metadata", "finalizers"]).to_vec();
                left.retain(|other| other != finalizer);
                object::set_meta(object, "finalizers", left.into());
            }
            Ok(if deletion::may_go(object) { Fate::Goes } else { Fate::Stays })
        });
    tolerate(result, "removing a finalizer");
}
