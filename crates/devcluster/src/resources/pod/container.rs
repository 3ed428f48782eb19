//! A pod's containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    validate::{negative, one_of},
    volume::{VARIABLE_FACTS, check_field_reference, check_inside},
};
use crate::{
    object::{at, list_at, text_at},
    schema::quantity::Quantity,
    validate::{Problems, entries, names},
};

/// Checks all of a container but its name and its security context.
pub(super) fn check(field: &str, container: &Value, volumes: &BTreeSet<&str>, problems: &mut Problems) {
    check_image(field, container, problems);
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(format!("{field}.imagePullPolicy"), text_at(container, &["imagePullPolicy"]), &policies, problems);
    let policy = text_at(container, &["terminationMessagePolicy"]);
    one_of(format!("{field}.terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"], problems);
    let sidecar = container.get("restartPolicy").is_some();
    if sidecar && !field.contains("initContainers") {
        problems.forbidden(format!("{field}.restartPolicy"), "may not be set for non-init containers");
    }
    check_lifecycle(field, container, sidecar, problems);
    check_ports(field, container, problems);
    check_env(field, container, problems);
    check_mounts(field, container, volumes, problems);
    check_resources(&format!("{field}.resources"), container.get("resources"), problems);
}

pub(super) fn check_image(field: &str, container: &Value, problems: &mut Problems) {
    let image = text_at(container, &["image"]);
    if image.is_empty() {
        problems.required(format!("{field}.image"), "");
    } else if image.trim() != image {
        problems.invalid_text(
            format!("{field}.image"),
            image,
            "must not have leading or trailing whitespace",
        );
    }
}

fn check_lifecycle(field: &str, container: &Value, sidecar: bool, problems: &mut Problems) {
    let plain_init = field.contains("initContainers") && !sidecar;
    if plain_init {
        for member in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(member).is_some() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                problems.forbidden(format!("{field}.{member}"), detail);
            }
        }
        return;
    }
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = at(container, &["lifecycle", hook]) {
            check_handler(
                &format!("{field}.lifecycle.{hook}"),
                handler,
                &["exec", "httpGet", "tcpSocket", "sleep"],
                problems,
            );
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get(name) else { continue };
        let field = format!("{field}.{name}");
        check_handler(&field, probe, &["exec", "httpGet", "tcpSocket", "grpc"], problems);
        for member in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            if let Some(number) = negative(probe, member) {
                problems.invalid(format!("{field}.{member}"), number, "must be greater than or equal to 0");
            }
        }
        let threshold = probe.get("successThreshold").and_then(Value::as_i64).unwrap_or(1);
        if name != "readinessProbe" && threshold != 1 {
            problems.invalid(format!("{field}.successThreshold"), threshold, "must be 1");
        }
    }
}

fn check_handler(field: &str, handler: &Value, kinds: &[&str], problems: &mut Problems) {
    let mut given = kinds.iter().filter(|kind| handler.get(**kind).is_some());
    let Some(kind) = given.next() else {
        problems.required(field, "must specify a handler type");
        return;
    };
    for more in given {
        problems.forbidden(format!("{field}.{more}"), "may not specify more than 1 handler type");
    }
    let action = handler.get(*kind).unwrap_or(&Value::Null);
    let field = format!("{field}.{kind}");
    match *kind {
        "exec" if list_at(action, &["command"]).is_empty() => {
            problems.required(format!("{field}.command"), "")
        }
        "httpGet" | "tcpSocket" | "grpc" => {
            match action.get("port") {
                Some(Value::String(name)) => {
                    problems.objections(&format!("{field}.port"), name, names::port_name(name))
                }
                Some(Value::Number(number)) => {
                    let number = number.as_i64().unwrap_or_default();
                    for objection in names::port_number(number) {
                        problems.invalid(format!("{field}.port"), number, &objection);
                    }
                }
                _ => problems.required(format!("{field}.port"), ""),
            }
            if *kind == "httpGet" {
                one_of(format!("{field}.scheme"), text_at(action, &["scheme"]), &["HTTP", "HTTPS"], problems);
            }
        }
        _ => {}
    }
}

fn check_ports(field: &str, container: &Value, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, port) in list_at(container, &["ports"]).iter().enumerate() {
        let field = format!("{field}.ports[{index}]");
        let name = text_at(port, &["name"]);
        if !name.is_empty() {
            problems.objections(&format!("{field}.name"), name, names::port_name(name));
            if !seen.insert(name) {
                problems.duplicate(format!("{field}.name"), name);
            }
        }
        let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or_default();
        if number == 0 {
            problems.required(format!("{field}.containerPort"), "");
        } else {
            for objection in names::port_number(number) {
                problems.invalid(format!("{field}.containerPort"), number, &objection);
            }
        }
        if let Some(number) = port.get("hostPort").and_then(Value::as_i64).filter(|number| *number != 0) {
            for objection in names::port_number(number) {
                problems.invalid(format!("{field}.hostPort"), number, &objection);
            }
        }
        one_of(format!("{field}.protocol"), text_at(port, &["protocol"]), &["TCP", "UDP", "SCTP"], problems);
    }
}

fn check_env(field: &str, container: &Value, problems: &mut Problems) {
    for (index, variable) in list_at(container, &["env"]).iter().enumerate() {
        let field = format!("{field}.env[{index}]");
        let name = text_at(variable, &["name"]);
        if name.is_empty() {
            problems.required(format!("{field}.name"), "");
        } else {
            problems.objections(&format!("{field}.name"), name, names::environment_name(name));
        }
        if let Some(source) = variable.get("valueFrom") {
            let valued = !text_at(variable, &["value"]).is_empty();
            check_env_source(&format!("{field}.valueFrom"), source, valued, problems);
        }
    }
    for (index, source) in list_at(container, &["envFrom"]).iter().enumerate() {
        let field = format!("{field}.envFrom[{index}]");
        let prefix = text_at(source, &["prefix"]);
        problems.objections(&format!("{field}.prefix"), prefix, names::environment_name(prefix));
        let given: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|kind| source.get(*kind).is_some()).collect();
        match given.as_slice() {
            [] => problems.invalid_text(field, "", "must specify one of: `configMapRef` or `secretRef`"),
            [kind] if text_at(source, &[kind, "name"]).is_empty() => {
                problems.required(format!("{field}.{kind}.name"), "");
            }
            [_] => {}
            _ => problems.invalid_text(field, "", "may not have more than one field specified at a time"),
        }
    }
}

fn check_env_source(field: &str, source: &Value, valued: bool, problems: &mut Problems) {
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| source.get(*kind).is_some()).collect();
    if given.is_empty() {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        problems.invalid_text(field, "", detail);
    } else if valued {
        problems.invalid_text(field, "", "may not be specified when `value` is not empty");
    } else if given.len() > 1 {
        problems.invalid_text(field, "", "may not have more than one field specified at a time");
    }
    for kind in given {
        let reference = source.get(kind).unwrap_or(&Value::Null);
        let field = format!("{field}.{kind}");
        match kind {
            "fieldRef" => check_field_reference(&field, reference, VARIABLE_FACTS, problems),
            "resourceFieldRef" if text_at(reference, &["resource"]).is_empty() => {
                problems.required(format!("{field}.resource"), "");
            }
            "configMapKeyRef" | "secretKeyRef" => {
                if text_at(reference, &["name"]).is_empty() {
                    problems.required(format!("{field}.name"), "");
                }
                let key = text_at(reference, &["key"]);
                if key.is_empty() {
                    problems.required(format!("{field}.key"), "");
                } else {
                    problems.objections(&format!("{field}.key"), key, names::data_key(key));
                }
            }
            _ => {}
        }
    }
}

fn check_mounts(field: &str, container: &Value, volumes: &BTreeSet<&str>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, mount) in list_at(container, &["volumeMounts"]).iter().enumerate() {
        let field = format!("{field}.volumeMounts[{index}]");
        let name = text_at(mount, &["name"]);
        if name.is_empty() {
            problems.required(format!("{field}.name"), "");
        } else if !volumes.contains(name) {
            problems.not_found(format!("{field}.name"), name);
        }
        let path = text_at(mount, &["mountPath"]);
        if path.is_empty() {
            problems.required(format!("{field}.mountPath"), "");
        } else if !seen.insert(path) {
            problems.invalid_text(format!("{field}.mountPath"), path, "must be unique");
        }
        for member in ["subPath", "subPathExpr"] {
            let path = text_at(mount, &[member]);
            if !path.is_empty() {
                check_inside(&format!("{field}.{member}"), path, problems);
            }
        }
    }
}

pub(super) fn check_resources(field: &str, resources: Option<&Value>, problems: &mut Problems) {
    let amount = |which: &str, resource: &str| -> Option<Quantity> {
        Quantity::parse(resources?.get(which)?.get(resource)?.as_str()?)
    };
    for which in ["limits", "requests"] {
        for (resource, text) in entries(resources.and_then(|resources| resources.get(which))) {
            let field = format!("{field}.{which}[{resource}]");
            problems.objections(&field, resource, names::qualified_name(resource));
            if amount(which, resource).is_some_and(|amount| amount.nanos() < 0) {
                let text = text.as_str().unwrap_or_default();
                problems.invalid_text(field, text, "must be greater than or equal to 0");
            }
        }
    }
    for (resource, text) in entries(resources.and_then(|resources| resources.get("requests"))) {
        if let (Some(request), Some(limit)) = (amount("requests", resource), amount("limits", resource))
            && request.nanos() > limit.nanos()
        {
            let detail = format!("must be less than or equal to {resource} limit of {limit}");
            problems.invalid_text(format!("{field}.requests"), text.as_str().unwrap_or_default(), &detail);
        }
    }
}
