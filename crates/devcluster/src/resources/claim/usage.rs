//! Which pods use a claim, and which could.

use serde_json::Value;

use super::{ONE_POD, is_bound, refusal};
use crate::{
    kind::Kind,
    object::{self, list_at, text_at},
    resources::pod,
    store::View,
};

/// Whether a pod that a node has been found for uses the claim.
pub(crate) fn is_used(view: &View<'_>, claim: &Value) -> bool {
    let (namespace, name) = (object::namespace(claim), object::name(claim));
    view.list(Kind::Pod, Some(namespace)).any(|other| {
        !text_at(other, &["spec", "nodeName"]).is_empty() && pod::claims(other).any(|used| used == name)
    })
}

/// What a pod's claims have to say against finding it a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A claim will have its volume in a moment.
    Soon,
    /// On no node, for this reason.
    Anywhere(String),
    /// Another pod has the claim for itself.
    Taken,
}

/// What speaks against finding a node for a pod now.
pub(crate) fn obstacle(view: &View<'_>, pod: &Value) -> Option<Obstacle> {
    let namespace = object::namespace(pod);
    let mut soon = false;
    let mut taken = false;
    for name in pod::claims(pod) {
        let because = |why: &str| Some(Obstacle::Anywhere(format!("persistentvolumeclaim {name:?} {why}")));
        let Some(claim) = view.get(Kind::PersistentVolumeClaim, namespace, name) else {
            return because("not found");
        };
        if object::deletion_timestamp(claim).is_some() {
            return because("is being deleted");
        }
        if !is_bound(claim) {
            if refusal(claim).is_some() {
                let why = "pod has unbound immediate PersistentVolumeClaims";
                return Some(Obstacle::Anywhere(why.into()));
            }
            soon = true;
        }
        taken |= list_at(claim, &["spec", "accessModes"]).iter().any(|mode| mode == ONE_POD)
            && is_taken(view, pod, name);
    }
    match (soon, taken) {
        (true, _) => Some(Obstacle::Soon),
        (false, true) => Some(Obstacle::Taken),
        (false, false) => None,
    }
}

/// Whether another pod, on some node and not ended, uses a claim of this name.
fn is_taken(view: &View<'_>, pod: &Value, name: &str) -> bool {
    view.list(Kind::Pod, Some(object::namespace(pod))).any(|other| {
        object::uid(other) != object::uid(pod)
            && !text_at(other, &["spec", "nodeName"]).is_empty()
            && !pod::has_ended(other)
            && pod::claims(other).any(|used| used == name)
    })
}
