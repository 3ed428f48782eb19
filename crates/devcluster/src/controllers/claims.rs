//! Claims get their volumes, and stay as long as pods use them.

use futures::StreamExt;
use serde_json::Value;

use super::{Notice, notices, tolerate};
use crate::{
    deletion,
    events::{Recorder, Severity},
    kind::Kind,
    object::{self, list_at},
    resources::{claim, pod},
    store::{Fate, Mode, Store},
};

const KIND: Kind = Kind::PersistentVolumeClaim;

pub(super) async fn run(store: Store) {
    let mut notices = std::pin::pin!(notices(&store, &[KIND, Kind::Pod]));
    while let Some(notice) = notices.next().await {
        match notice {
            Notice::Present(KIND, claim) if object::deletion_timestamp(&claim).is_some() => {
                release(&store, object::namespace(&claim), object::name(&claim));
            }
            Notice::Present(KIND, claim) => bind(&store, &claim),
            Notice::Gone(Kind::Pod, gone) => {
                for name in pod::claims(&gone) {
                    release(&store, object::namespace(&gone), name);
                }
            }
            Notice::Present(..) | Notice::Gone(..) => {}
        }
    }
}

/// Gives a claim a volume, or one of another size.
fn bind(store: &Store, claim: &Value) {
    let refusal = claim::refusal(claim).filter(|_| !claim::is_bound(claim));
    let (namespace, name) = (object::namespace(claim), object::name(claim));
    let result = store.modify(KIND, namespace, name, Mode::Commit, |_, claim| {
        if object::deletion_timestamp(claim).is_none() {
            claim::protect(claim);
            if refusal.is_none() {
                claim::bind(claim);
            }
        }
        Ok(Fate::Stays)
    });
    tolerate(result, "binding a claim");
    if let Some(why) = refusal {
        let recorder = Recorder::new(store.clone(), "persistentvolume-controller", None);
        recorder.record((KIND, claim), Severity::Warning, "ProvisioningFailed", why, None);
    }
}

/// Lets a deleted claim go, unless a pod still uses it.
fn release(store: &Store, namespace: &str, name: &str) {
    let result = store.modify(KIND, namespace, name, Mode::Commit, |view, claim| {
        if object::deletion_timestamp(claim).is_none() || claim::is_used(view, claim) {
            return Ok(Fate::Stays);
        }
        let mut left = list_at(claim, &["metadata", "finalizers"]).to_vec();
        left.retain(|finalizer| finalizer != claim::PROTECTION);
        object::set_meta(claim, "finalizers", left.into());
        Ok(if deletion::may_go(claim) { Fate::Goes } else { Fate::Stays })
    });
    tolerate(result, "letting go of a claim");
}
