//! Namespaces have an account `default`, and when they are deleted so is everything in them.

use futures::StreamExt;
use serde_json::json;

use super::{Notice, notices, tolerate};
use crate::{
    deletion::{self, Options},
    kind::Kind,
    object::{self, text_at},
    store::{Fate, Mode, Store},
};

pub(super) async fn run(store: Store, service_accounts: bool) {
    let mut notices = std::pin::pin!(notices(&store, &Kind::ALL));
    while let Some(notice) = notices.next().await {
        match notice {
            Notice::Present(Kind::Namespace, namespace) => {
                let name = object::name(&namespace);
                if object::deletion_timestamp(&namespace).is_some() {
                    empty(&store, name);
                } else if service_accounts {
                    ensure_default_account(&store, name);
                }
            }
            Notice::Gone(kind, object) if kind.is_namespaced() => {
                let name = object::namespace(&object);
                let Ok(namespace) = store.get(Kind::Namespace, "", name) else { continue };
                if object::deletion_timestamp(&namespace).is_some() {
                    empty(&store, name);
                } else if kind == Kind::ServiceAccount && service_accounts {
                    ensure_default_account(&store, name);
                }
            }
            Notice::Present(..) | Notice::Gone(..) => {}
        }
    }
}

fn ensure_default_account(store: &Store, namespace: &str) {
    let account = json!({ "metadata": { "name": "default", "namespace": namespace } });
    tolerate(store.create(Kind::ServiceAccount, account), "adding a default service account");
}

/// Deletes what is in a namespace; when nothing is, the namespace itself.
fn empty(store: &Store, namespace: &str) {
    let mut left = false;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_namespaced()) {
        for object in store.list(kind, Some(namespace)).items {
            if object::deletion_timestamp(&object).is_some() {
                left = true;
                continue;
            }
            match deletion::delete(store, kind, namespace, object::name(&object), &Options::default()) {
                Ok((_, gone)) => left |= !gone,
                error => tolerate(error, "emptying a namespace"),
            }
        }
    }
    if left {
        return;
    }
    let result = store.modify(Kind::Namespace, "", namespace, Mode::Commit, |view, object| {
        // Looked at once more, now that nothing can be added.
        let empty = Kind::ALL
            .into_iter()
            .filter(|kind| kind.is_namespaced())
            .all(|kind| view.list(kind, Some(namespace)).next().is_none());
        if !empty || text_at(object, &["status", "phase"]) != "Terminating" {
            return Ok(Fate::Stays);
        }
        object::child_mut(object, "spec").shift_remove("finalizers");
        Ok(if object::has_finalizers(object) { Fate::Stays } else { Fate::Goes })
    });
    tolerate(result, "removing a namespace");
}
