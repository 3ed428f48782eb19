//! What only a template's author decides: a caller's own spec, or overrides beside a template, can't.

use serde_json::{Map, Value};

use crate::{Error, PodSecurity};

/// Pod-level fields that keep a curated template's pods apart from others, or rank them among others.
const TEMPLATES_OWN: [&str; 10] = [
    "hostUsers",
    "nodeName",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
];

/// Checks what a caller brought: `spec` is the whole pod spec, `template` the template's part of it, if there is one.
pub(super) fn check(
    spec: &Map<String, Value>,
    template: Option<&Value>,
    overrides: &Map<String, Value>,
    level: PodSecurity,
) -> Result<(), Error> {
    if level == PodSecurity::Privileged {
        return Ok(());
    }
    let mut violations = Vec::new();
    if template.is_some() {
        let own = TEMPLATES_OWN.iter().filter(|field| overrides.contains_key(**field));
        violations.extend(own.map(|field| format!("topLevelOverrides.{field}: it is the template's to set")));
    }
    let mounts =
        |spec: &Map<String, Value>| spec.get("automountServiceAccountToken") == Some(&Value::Bool(true));
    let by_template = template.and_then(Value::as_object);
    if mounts(spec) && !by_template.is_some_and(mounts) {
        violations.push("automountServiceAccountToken: only a template can turn it on".to_owned());
    }
    let allowed: Vec<&Value> = by_template.map(token_volumes).unwrap_or_default();
    if token_volumes(spec).iter().any(|volume| !allowed.contains(volume)) {
        violations.push("volumes: only a template can project service account tokens".to_owned());
    }
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::Policy { level: level.as_str(), violations })
}

/// The volumes that hold tokens of the pod's ServiceAccount.
fn token_volumes(spec: &Map<String, Value>) -> Vec<&Value> {
    let holds_token = |volume: &&Value| {
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        sources.is_some_and(|all| {
            all.iter().any(|source| source.get("serviceAccountToken").is_some_and(|t| !t.is_null()))
        })
    };
    spec.get("volumes").and_then(Value::as_array).into_iter().flatten().filter(holds_token).collect()
}
