//! A pod's volumes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::validate::one_of;
use crate::{
    object::{list_at, text_at},
    validate::{Problems, names},
};

/// Checks the volumes; answers their names.
pub(super) fn check_all<'a>(spec: &'a Value, problems: &mut Problems) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in list_at(spec, &["volumes"]).iter().enumerate() {
        let field = format!("spec.volumes[{index}]");
        let name = text_at(volume, &["name"]);
        if name.is_empty() {
            problems.required(format!("{field}.name"), "");
        } else {
            problems.objections(&format!("{field}.name"), name, names::dns_label(name));
            if !seen.insert(name) {
                problems.duplicate(format!("{field}.name"), name);
            }
        }
        check(&field, volume, problems);
    }
    seen
}

fn check(field: &str, volume: &Value, problems: &mut Problems) {
    let sources = volume.as_object().into_iter().flatten().filter(|(member, _)| *member != "name");
    for (number, (kind, source)) in sources.enumerate() {
        let field = format!("{field}.{kind}");
        if number > 0 {
            problems.forbidden(field, "may not specify more than 1 volume type");
            continue;
        }
        let required = match kind.as_str() {
            "secret" => "secretName",
            "configMap" => "name",
            "hostPath" => "path",
            "persistentVolumeClaim" => "claimName",
            _ => "",
        };
        if !required.is_empty() && text_at(source, &[required]).is_empty() {
            problems.required(format!("{field}.{required}"), "");
        }
        check_files(&field, source, problems);
        for (index, projection) in list_at(source, &["sources"]).iter().enumerate() {
            for (kind, source) in projection.as_object().into_iter().flatten() {
                let field = format!("{field}.sources[{index}].{kind}");
                if matches!(kind.as_str(), "secret" | "configMap") && text_at(source, &["name"]).is_empty() {
                    problems.required(format!("{field}.name"), "");
                }
                check_files(&field, source, problems);
            }
        }
    }
}

/// The files of a volume that is made of files: their places are inside it, their modes permissions.
fn check_files(field: &str, source: &Value, problems: &mut Problems) {
    let mode = |field: String, mode: Option<&Value>, problems: &mut Problems| {
        if let Some(mode) = mode.and_then(Value::as_i64).filter(|mode| !(0..=0o777).contains(mode)) {
            problems.invalid(field, mode, "must be a number between 0 and 0777 (octal), both inclusive");
        }
    };
    mode(format!("{field}.defaultMode"), source.get("defaultMode"), problems);
    for (index, file) in list_at(source, &["items"]).iter().enumerate() {
        let field = format!("{field}.items[{index}]");
        mode(format!("{field}.mode"), file.get("mode"), problems);
        let path = text_at(file, &["path"]);
        if path.is_empty() {
            problems.required(format!("{field}.path"), "");
        } else {
            check_inside(&format!("{field}.path"), path, problems);
        }
        if file.get("fieldRef").is_none()
            && file.get("resourceFieldRef").is_none()
            && text_at(file, &["key"]).is_empty()
        {
            problems.required(format!("{field}.key"), "");
        }
        if let Some(reference) = file.get("fieldRef") {
            check_field_reference(&format!("{field}.fieldRef"), reference, FILE_FACTS, problems);
        }
    }
}

/// A path that doesn't leave the directory it is relative to.
pub(super) fn check_inside(field: &str, path: &str, problems: &mut Problems) {
    if path.starts_with('/') {
        problems.invalid_text(field, path, "must be a relative path");
    }
    if path.split('/').any(|step| step == "..") {
        problems.invalid_text(field, path, "must not contain '..'");
    }
}

/// Facts of a pod that a file can hold.
pub(super) const FILE_FACTS: &[&str] =
    &["metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"];

/// Facts of a pod that a variable can hold.
pub(super) const VARIABLE_FACTS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

pub(super) fn check_field_reference(field: &str, reference: &Value, facts: &[&str], problems: &mut Problems) {
    let path = text_at(reference, &["fieldPath"]);
    let subscripted = ["metadata.labels['", "metadata.annotations['"];
    if path.is_empty() {
        problems.required(format!("{field}.fieldPath"), "");
    } else if subscripted.iter().any(|start| path.starts_with(start)) && path.ends_with("']") {
        // One label or annotation, by its key.
    } else {
        one_of(format!("{field}.fieldPath"), path, facts, problems);
    }
}
