//! What makes a pod valid.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Value;

use super::{container, volume};
use crate::{
    object::{list_at, text_at},
    validate::{Problems, entries, names},
};

/// Whether a number member is there and below zero.
pub(super) fn negative(value: &Value, field: &str) -> Option<i64> {
    value.get(field).and_then(Value::as_i64).filter(|number| *number < 0)
}

/// Checks that a word is one of those there are.
pub(super) fn one_of(field: String, word: &str, words: &[&str], problems: &mut Problems) {
    if word.is_empty() {
        problems.required(field, "");
    } else if !words.contains(&word) {
        problems.unsupported(field, word, words);
    }
}

pub(crate) fn check(pod: &Value, problems: &mut Problems) {
    let Some(spec) = pod.get("spec") else {
        problems.required("spec.containers", "");
        return;
    };
    let volumes = volume::check_all(spec, problems);
    check_containers(spec, &volumes, problems);

    one_of(
        "spec.restartPolicy".into(),
        text_at(spec, &["restartPolicy"]),
        &["Always", "OnFailure", "Never"],
        problems,
    );
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of("spec.dnsPolicy".into(), text_at(spec, &["dnsPolicy"]), &policies, problems);
    for (key, value) in entries(spec.get("nodeSelector")) {
        let value = value.as_str().unwrap_or_default();
        problems.objections("spec.nodeSelector", key, names::qualified_name(key));
        problems.objections("spec.nodeSelector", value, names::label_value(value));
    }
    check_security(spec.get("securityContext"), "spec.securityContext", problems);
    for (index, secret) in list_at(spec, &["imagePullSecrets"]).iter().enumerate() {
        let name = text_at(secret, &["name"]);
        if name.is_empty() {
            problems.required(format!("spec.imagePullSecrets[{index}].name"), "");
        }
    }
    for field in ["serviceAccountName", "nodeName"] {
        let name = text_at(spec, &[field]);
        if !name.is_empty() {
            problems.objections(&format!("spec.{field}"), name, names::dns_subdomain(name));
        }
    }
    for field in ["hostname", "subdomain"] {
        let name = text_at(spec, &[field]);
        if !name.is_empty() {
            problems.objections(&format!("spec.{field}"), name, names::dns_label(name));
        }
    }
    if let Some(seconds) = spec.get("activeDeadlineSeconds").and_then(Value::as_i64)
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        problems.invalid(
            "spec.activeDeadlineSeconds",
            seconds,
            "must be between 1 and 2147483647, inclusive",
        );
    }
    if let Some(seconds) = negative(spec, "terminationGracePeriodSeconds") {
        problems.invalid("spec.terminationGracePeriodSeconds", seconds, "must be greater than or equal to 0");
    }
    check_tolerations(list_at(spec, &["tolerations"]), problems);
    check_gates(spec, problems);
    for (index, alias) in list_at(spec, &["hostAliases"]).iter().enumerate() {
        let ip = text_at(alias, &["ip"]);
        if ip.parse::<IpAddr>().is_err() {
            problems.invalid_text(
                format!("spec.hostAliases[{index}].ip"),
                ip,
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            );
        }
        for (number, host) in list_at(alias, &["hostnames"]).iter().enumerate() {
            let host = host.as_str().unwrap_or_default();
            let field = format!("spec.hostAliases[{index}].hostnames[{number}]");
            problems.objections(&field, host, names::dns_subdomain(host));
        }
    }
}

fn check_gates(spec: &Value, problems: &mut Problems) {
    let gates = list_at(spec, &["schedulingGates"]);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (index, gate) in gates.iter().enumerate() {
        let (field, name) = (format!("spec.schedulingGates[{index}]"), text_at(gate, &["name"]));
        problems.objections(&field, name, names::qualified_name(name));
        if !seen.insert(name) {
            problems.duplicate(field, name);
        }
    }
    if !gates.is_empty() && !text_at(spec, &["nodeName"]).is_empty() {
        problems.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared");
    }
}

fn check_containers(spec: &Value, volumes: &BTreeSet<&str>, problems: &mut Problems) {
    if list_at(spec, &["containers"]).is_empty() {
        problems.required("spec.containers", "");
    }
    if !list_at(spec, &["ephemeralContainers"]).is_empty() {
        problems.forbidden("spec.ephemeralContainers", "cannot be set on create");
    }
    // A real server reports on the containers first.
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in list_at(spec, &[list]).iter().enumerate() {
            let field = format!("spec.{list}[{index}]");
            let name = text_at(container, &["name"]);
            if name.is_empty() {
                problems.required(format!("{field}.name"), "");
            } else if !seen.insert(name) {
                problems.duplicate(format!("{field}.name"), name);
            } else {
                problems.objections(&format!("{field}.name"), name, names::dns_label(name));
            }
            container::check(&field, container, volumes, problems);
            check_security(container.get("securityContext"), &format!("{field}.securityContext"), problems);
        }
    }
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for (index, container) in list_at(spec, &["containers"]).iter().enumerate().filter(|_| host_network) {
        for (number, port) in list_at(container, &["ports"]).iter().enumerate() {
            let host_port = port.get("hostPort").and_then(Value::as_i64).unwrap_or_default();
            if port.get("containerPort").and_then(Value::as_i64) != Some(host_port) {
                let field = format!("spec.containers[{index}].ports[{number}].hostPort");
                problems.invalid(field, host_port, "must match `containerPort` when `hostNetwork` is true");
            }
        }
    }
}

fn check_security(context: Option<&Value>, field: &str, problems: &mut Problems) {
    let Some(context) = context else { return };
    let bounds = 0..=i64::from(i32::MAX);
    for member in ["runAsUser", "runAsGroup", "fsGroup"] {
        if let Some(id) = context.get(member).and_then(Value::as_i64).filter(|id| !bounds.contains(id)) {
            problems.invalid(format!("{field}.{member}"), id, "must be between 0 and 2147483647, inclusive");
        }
    }
    for (index, id) in list_at(context, &["supplementalGroups"]).iter().enumerate() {
        if let Some(id) = id.as_i64().filter(|id| !bounds.contains(id)) {
            let field = format!("{field}.supplementalGroups[{index}]");
            problems.invalid(field, id, "must be between 0 and 2147483647, inclusive");
        }
    }
    if context.get("privileged") == Some(&Value::Bool(true))
        && context.get("allowPrivilegeEscalation") == Some(&Value::Bool(false))
    {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        problems.invalid(field, "\"\"", detail);
    }
}

pub(super) fn check_tolerations(tolerations: &[Value], problems: &mut Problems) {
    for (index, toleration) in tolerations.iter().enumerate() {
        let field = format!("spec.tolerations[{index}]");
        let text = |member| text_at(toleration, &[member]);
        let (key, operator, value, effect) = (text("key"), text("operator"), text("value"), text("effect"));
        if !key.is_empty() {
            problems.objections(&format!("{field}.key"), key, names::qualified_name(key));
        } else if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            problems.invalid_text(format!("{field}.operator"), operator, detail);
        }
        match operator {
            "" | "Equal" => problems.objections(&format!("{field}.value"), value, names::label_value(value)),
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                problems.invalid_text(format!("{field}.operator"), value, detail);
            }
            "Exists" => {}
            other => problems.unsupported(format!("{field}.operator"), other, &["Equal", "Exists"]),
        }
        if toleration.get("tolerationSeconds").is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            problems.invalid_text(format!("{field}.effect"), effect, detail);
        }
        if !matches!(effect, "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            problems.unsupported(format!("{field}.effect"), effect, &effects);
        }
    }
}
