//! What only a template's author decides: a caller's own spec, or overrides beside a template, can't.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value};

use super::references;
use crate::{Config, Error, PodSecurity, SpawnRequest};

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

/// What a caller brought, and what it was put together with.
pub(super) struct Brought<'a> {
    pub(super) request: &'a SpawnRequest,
    /// The top-level overrides but for labels and annotations.
    pub(super) overrides: &'a Map<String, Value>,
    /// The template's part of the spec, if there is a template.
    pub(super) template: Option<&'a Value>,
    /// The whole spec.
    pub(super) spec: &'a Map<String, Value>,
    /// The same, typed.
    pub(super) typed: &'a PodSpec,
    pub(super) config: &'a Config,
}

/// Checks what a caller brought.
pub(super) fn check(brought: &Brought<'_>) -> Result<(), Error> {
    let level = brought.config.pod_security;
    let mut violations = Vec::new();
    if level != PodSecurity::Privileged {
        check_isolation(brought, &mut violations);
    }
    if brought.request.caller.is_ordinary() {
        references::check(brought, &mut violations)?;
    }
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::Policy { level: level.as_str(), violations })
}

fn check_isolation(brought: &Brought<'_>, violations: &mut Vec<String>) {
    let Brought { spec, overrides, template, .. } = brought;
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
