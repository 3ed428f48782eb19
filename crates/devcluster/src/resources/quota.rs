//! ResourceQuotas: how many pods a namespace may hold.

use serde_json::{Map, Value, json};

use super::pod;
use crate::{
    kind::Kind,
    object,
    schema::quantity::Quantity,
    status::Status,
    store::View,
    validate::{Problems, entries, names},
};

/// The two ways of limiting pods: `pods` counts those that haven't ended, `count/pods` all.
const PODS: &str = "pods";
const COUNT_PODS: &str = "count/pods";

/// The status is the server's own.
pub(super) fn reset_status(quota: &mut Value) {
    object::as_map(quota).insert("status".into(), json!({}));
}

pub(super) fn check(quota: &Value, problems: &mut Problems) {
    for (resource, amount) in entries(object::at(quota, &["spec", "hard"])) {
        let field = format!("spec.hard[{resource}]");
        problems.objections(&field, resource, names::qualified_name(resource));
        let amount = amount.as_str().unwrap_or_default();
        if Quantity::parse(amount).is_some_and(|amount| amount.nanos() < 0) {
            problems.invalid_text(field, amount, "must be greater than or equal to 0");
        }
    }
}

fn usage(view: &View<'_>, namespace: &str, resource: &str) -> Option<i128> {
    let pods = view.list(Kind::Pod, Some(namespace));
    let used = match resource {
        PODS => pods.filter(|pod| !pod::has_ended(pod)).count(),
        COUNT_PODS => pods.count(),
        _ => return None,
    };
    i128::try_from(used).ok()
}

/// Refuses one more pod when a quota of its namespace is used up. Called while the store is locked for adding it, so
/// that parallel requests can't exceed the quota together.
pub(crate) fn admit_pod(view: &View<'_>, pod: &Value) -> Result<(), Status> {
    let namespace = object::namespace(pod);
    for quota in view.list(Kind::ResourceQuota, Some(namespace)) {
        let exceeded: Vec<(&String, i128, i128)> = entries(object::at(quota, &["spec", "hard"]))
            .filter_map(|(resource, hard)| {
                let hard = Quantity::parse(hard.as_str()?)?.ceil();
                let used = usage(view, namespace, resource)?;
                (used + 1 > hard).then_some((resource, used, hard))
            })
            .collect();
        if exceeded.is_empty() {
            continue;
        }
        let list = |amount: fn(&(&String, i128, i128)) -> i128| -> String {
            let parts: Vec<String> =
                exceeded.iter().map(|entry| format!("{}={}", entry.0, amount(entry))).collect();
            parts.join(",")
        };
        let why = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            object::name(quota),
            list(|_| 1),
            list(|entry| entry.1),
            list(|entry| entry.2)
        );
        return Err(Status::forbidden(Kind::Pod.resource(), object::name(pod), why));
    }
    Ok(())
}

/// The status a quota should have: what it allows, and how much of that is used.
pub(crate) fn status(view: &View<'_>, quota: &Value) -> Value {
    let namespace = object::namespace(quota);
    let hard = object::at(quota, &["spec", "hard"]).cloned().unwrap_or_else(|| json!({}));
    let used: Map<String, Value> = entries(Some(&hard))
        .filter_map(|(resource, _)| {
            Some((resource.clone(), usage(view, namespace, resource)?.to_string().into()))
        })
        .collect();
    json!({ "hard": hard, "used": used })
}
