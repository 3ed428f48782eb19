//! What of a pod the subresource `resize` changes: how much CPU and memory its containers ask for and may have.

use serde_json::Value;

use super::{container, quality_of_service};
use crate::{
    object::{self, list_at, text_at},
    validate::{Problems, entries},
};

/// Lists of containers that can be resized.
const LISTS: [&str; 2] = ["containers", "initContainers"];
/// What can be resized.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// Undoes all changes to a pod but those to its containers' resources. Containers of other names, or in another order,
/// are left for [`check`] to find.
pub(crate) fn prepare(old: &Value, new: &mut Value) {
    let wanted = new.get("spec").cloned().unwrap_or_default();
    let before = old.get("spec").cloned().unwrap_or_default();
    object::as_map(new).insert("spec".into(), before.clone());
    for list in LISTS {
        let (was, is) = (list_at(&before, &[list]), list_at(&wanted, &[list]));
        let same = was.len() == is.len() && was.iter().zip(is).all(|(was, is)| name(was) == name(is));
        let mut containers = if same { was } else { is }.to_vec();
        for (container, wanted) in containers.iter_mut().zip(is).filter(|_| same) {
            for field in ["resources", "resizePolicy"] {
                put(container, field, wanted.get(field));
            }
        }
        let spec = object::child_mut(new, "spec");
        if containers.is_empty() {
            spec.shift_remove(list);
        } else {
            spec.insert(list.into(), containers.into());
        }
    }
}

fn name(container: &Value) -> &str {
    text_at(container, &["name"])
}

fn put(target: &mut Value, field: &str, value: Option<&Value>) {
    let target = object::as_map(target);
    match value {
        Some(value) => target.insert(field.to_owned(), value.clone()),
        None => target.shift_remove(field),
    };
}

pub(crate) fn check(old: &Value, new: &Value, problems: &mut Problems) {
    if quality_of_service(old) != quality_of_service(new) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        problems.invalid_text("spec", text_at(old, &["status", "qosClass"]), detail);
    }
    if !check_order(old, new, problems) {
        return;
    }
    for list in LISTS {
        let pairs = list_at(old, &["spec", list]).iter().zip(list_at(new, &["spec", list]));
        for (index, (was, is)) in pairs.enumerate() {
            let field = format!("spec.{list}[{index}]");
            container::check_resources(&format!("{field}.resources"), is.get("resources"), problems);
            check_removal(&field, was, is, problems);
            // What is left of the new container when everything that may be changed is put back as it was.
            let mut rest = is.clone();
            restore(was, &mut rest);
            if rest != *was && list == "containers" {
                problems.forbidden("spec", "only cpu and memory resources are mutable");
            } else if rest != *was {
                let detail = "only cpu and memory resources for init or sidecar containers are mutable";
                problems.forbidden(field, detail);
            }
        }
    }
}

/// Answers whether the containers are the same ones, in the same order.
fn check_order(old: &Value, new: &Value, problems: &mut Problems) -> bool {
    let mut same = true;
    for list in LISTS {
        let (was, is) = (list_at(old, &["spec", list]), list_at(new, &["spec", list]));
        if was.len() != is.len() {
            problems
                .forbidden(format!("spec.{list}"), &format!("{list} may not be added or removed on resize"));
            same = false;
            continue;
        }
        for (index, _) in was.iter().zip(is).enumerate().filter(|(_, (was, is))| name(was) != name(is)) {
            let detail = format!("{list} may not be renamed or reordered on resize");
            problems.forbidden(format!("spec.{list}[{index}].name"), &detail);
            same = false;
        }
    }
    same
}

fn check_removal(field: &str, was: &Value, is: &Value, problems: &mut Problems) {
    for which in ["requests", "limits"] {
        let path = ["resources", which];
        let removed = entries(object::at(was, &path))
            .any(|(resource, _)| object::at(is, &path).and_then(|is| is.get(resource)).is_none());
        if removed {
            let detail = format!("resource {which} cannot be removed");
            problems.forbidden(format!("{field}.resources.{which}"), &detail);
        }
    }
}

/// Puts CPU and memory back as they were.
fn restore(was: &Value, container: &mut Value) {
    for which in ["requests", "limits"] {
        let before = object::at(was, &["resources", which]);
        let resources = object::child_mut(container, "resources");
        let amounts = object::as_map(resources.entry(which).or_insert(Value::Null));
        for resource in RESIZABLE {
            match before.and_then(|before| before.get(resource)) {
                Some(amount) => amounts.insert(resource.into(), amount.clone()),
                None => amounts.shift_remove(resource),
            };
        }
        if amounts.is_empty() && before.is_none() {
            resources.shift_remove(which);
        }
    }
}
