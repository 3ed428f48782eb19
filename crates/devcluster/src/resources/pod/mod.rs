//! Pods.

mod container;
pub(crate) mod defaults;
pub(crate) mod resize;
pub(crate) mod update;
pub(crate) mod validate;
mod volume;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::object;

/// Lists of a pod spec that hold containers.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Tolerations every pod gets, unless it has some for the same: it stays five minutes on a node that is gone.
const NODE_TROUBLE: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(super) fn prepare_create(pod: &mut Value) {
    let status = json!({ "phase": "Pending", "qosClass": quality_of_service(pod) });
    object::set_meta(pod, "generation", 1.into());
    object::as_map(pod).insert("status".into(), status);
}

/// What the admission plugins that every cluster runs add to a new pod.
pub(crate) fn admit(pod: &mut Value) {
    let spec = object::child_mut(pod, "spec");
    spec.entry("priority").or_insert_with(|| 0.into());
    spec.entry("preemptionPolicy").or_insert_with(|| "PreemptLowerPriority".into());
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Some(tolerations) = tolerations.as_array_mut() else { return };
    for trouble in NODE_TROUBLE {
        let tolerated = tolerations.iter().any(|toleration| {
            let (key, effect) =
                (object::text_at(toleration, &["key"]), object::text_at(toleration, &["effect"]));
            (key == trouble || key.is_empty()) && matches!(effect, "NoExecute" | "")
        });
        if !tolerated {
            tolerations.push(json!({
                "key": trouble, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// All containers with their list's name and their place in it.
fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    CONTAINER_LISTS.into_iter().flat_map(move |list| {
        object::list_at(spec, &[list])
            .iter()
            .enumerate()
            .map(move |(index, container)| (list, index, container))
    })
}

/// Names of the claims that a pod's volumes are made of.
pub(crate) fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = object::list_at(pod, &["spec", "volumes"]).iter();
    let names = volumes.map(|volume| object::text_at(volume, &["persistentVolumeClaim", "claimName"]));
    names.filter(|name| !name.is_empty())
}

/// Whether a pod's containers have run for the last time.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(object::text_at(pod, &["status", "phase"]), "Succeeded" | "Failed")
}

/// How the pod fares when the node runs out of memory.
fn quality_of_service(pod: &Value) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    for (_, _, container) in containers(spec) {
        for resource in ["cpu", "memory"] {
            let amount = |which| object::text_at(container, &["resources", which, resource]);
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= !request.is_empty() || !limit.is_empty();
            guaranteed &= !limit.is_empty() && (request.is_empty() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
