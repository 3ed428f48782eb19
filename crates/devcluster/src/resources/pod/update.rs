//! What of a pod may still be changed: its metadata, and very little of its spec.

use serde_json::Value;

use super::{container, validate};
use crate::{object, validate::Problems};

const SENTENCE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(crate) fn check(old: &Value, new: &Value, problems: &mut Problems) {
    let null = Value::Null;
    let (before, after) = (old.get("spec").unwrap_or(&null), new.get("spec").unwrap_or(&null));
    // What is left of the new spec when everything that may be changed is put back as it was.
    let mut rest = after.clone();
    let spec = object::as_map(&mut rest);

    for list in ["containers", "initContainers"] {
        let (was, is) = (object::list_at(before, &[list]), object::list_at(after, &[list]));
        if was.len() != is.len() {
            problems.forbidden(format!("spec.{list}"), "pod updates may not add or remove containers");
            return;
        }
        let restored = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for ((index, container), was) in restored.enumerate().zip(was) {
            container::check_image(&format!("spec.{list}[{index}]"), container, problems);
            match was.get("image") {
                Some(image) => object::as_map(container).insert("image".into(), image.clone()),
                None => object::as_map(container).shift_remove("image"),
            };
        }
    }

    let deadline = |spec: &Value| spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
    match (deadline(before), deadline(after)) {
        (_, Some(is)) if !(1..=i64::from(i32::MAX)).contains(&is) => {
            problems.invalid("spec.activeDeadlineSeconds", is, "must be between 1 and 2147483647, inclusive");
        }
        (Some(was), Some(is)) if is > was => {
            problems.invalid(
                "spec.activeDeadlineSeconds",
                is,
                "must be less than or equal to previous value",
            );
        }
        (Some(_), None) => {
            let detail = "must not update from a positive integer to nil value";
            problems.invalid("spec.activeDeadlineSeconds", "null", detail);
        }
        _ => {}
    }

    let (was, is) = (object::list_at(before, &["tolerations"]), object::list_at(after, &["tolerations"]));
    let kept = |toleration: &Value| {
        is.iter().any(|other| {
            let bare = |toleration: &Value| {
                let mut toleration = toleration.clone();
                object::as_map(&mut toleration).shift_remove("tolerationSeconds");
                toleration
            };
            bare(other) == bare(toleration)
        })
    };
    if was.iter().all(kept) {
        validate::check_tolerations(is, problems);
    } else {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        problems.forbidden("spec.tolerations", detail);
    }
    restore(spec, before, "tolerations");
    restore(spec, before, "activeDeadlineSeconds");

    let (was, is) =
        (object::list_at(before, &["schedulingGates"]), object::list_at(after, &["schedulingGates"]));
    for (index, gate) in is.iter().enumerate().filter(|(_, gate)| !was.contains(gate)) {
        let name = object::text_at(gate, &["name"]);
        let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
        problems.forbidden(format!("spec.schedulingGates[{index}].name"), &detail);
    }
    restore(spec, before, "schedulingGates");

    let grace = |spec: &Value| spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64);
    if grace(before).is_some_and(|seconds| seconds < 0) && grace(after) == Some(1) {
        restore(spec, before, "terminationGracePeriodSeconds");
    }
    if rest != *before {
        problems.forbidden("spec", SENTENCE);
    }
}

fn restore(spec: &mut serde_json::Map<String, Value>, before: &Value, field: &str) {
    match before.get(field) {
        Some(value) => spec.insert(field.to_owned(), value.clone()),
        None => spec.shift_remove(field),
    };
}
