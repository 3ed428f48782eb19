//! What only a template's author or the operator decides: a caller's own spec, or overrides beside a template, can't.

use k8s_openapi::api::core::v1::PodSpec;
use nocrd_templates::{Template, spec as pod_spec};
use serde_json::{Map, Value};

use super::{Inputs, Resolved, references};
use crate::{Error, PodSecurity, policy};

/// Pod-level fields by which a pod gets where others don't, or before them: nobody sets them but templates, whether beside
/// one or in a spec of one's own. Those that choose among the nodes open to every pod (`nodeSelector`, node affinity) are
/// not among them.
const PRIVILEGES: [&str; 8] = [
    "hostUsers",
    "nodeName",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
];

/// What else is a template's own: pod-level fields that keep its pods apart from others, say whom its containers speak to, or
/// name the account whose token it may mount.
const TEMPLATES_OWN: [&str; 8] = [
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "os",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
];

/// What else an ordinary caller never sets: pod-level fields that lead to nodes kept for others, or push their pods away.
const OPERATORS_OWN: [&str; 2] = ["tolerations", "topologySpreadConstraints"];

/// What a caller brought, and what it was put together with.
pub(super) struct Brought<'a> {
    pub(super) inputs: &'a Inputs<'a>,
    /// The top-level overrides but for labels and annotations.
    pub(super) overrides: &'a Map<String, Value>,
    /// The template's part of the spec, if there is a template.
    pub(super) template: Option<&'a Value>,
    /// The whole spec.
    pub(super) spec: &'a Map<String, Value>,
    /// The same, typed.
    pub(super) typed: &'a PodSpec,
}

/// Checks what a caller brought.
pub(super) fn check(brought: &Brought<'_>) -> Result<(), Error> {
    let level = brought.inputs.config.pod_security;
    let is_ordinary = brought.inputs.request.caller.is_ordinary();
    let mut violations = Vec::new();
    // No level is about what is not the caller's.
    if is_ordinary || level != PodSecurity::Privileged {
        check_isolation(brought, &mut violations);
    }
    if is_ordinary {
        check_placement(brought, &mut violations);
        check_account(brought, &mut violations);
        let template = brought.template.cloned().map(pod_spec::read).transpose()?.map(|read| read.typed);
        if let (Resolved::Template(of, _), Some(spec)) = (&brought.inputs.source, &template) {
            check_namespace(brought.inputs, of, spec, &mut violations);
        }
        references::check(brought, template.as_ref(), &mut violations)?;
    }
    if let (Resolved::Template(of, _), false) = (&brought.inputs.source, is_ordinary)
        && !of.is_curated()
    {
        // Its author was judged by what they may refer to there.
        check_namespace(brought.inputs, of, brought.typed, &mut violations);
    }
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::Policy { level: level.as_str(), violations })
}

fn check_isolation(brought: &Brought<'_>, violations: &mut Vec<String>) {
    let Brought { spec, overrides, template, .. } = brought;
    // Others may bring a whole spec, and what comes of the two is judged like one.
    if template.is_some() && brought.inputs.request.caller.is_ordinary() {
        let own = PRIVILEGES.iter().chain(&TEMPLATES_OWN).filter(|field| overrides.contains_key(**field));
        violations.extend(own.map(|field| format!("topLevelOverrides.{field}: it is the template's to set")));
    }
    let mounts =
        |spec: &Map<String, Value>| spec.get("automountServiceAccountToken") == Some(&Value::Bool(true));
    // The template speaks for the account that it runs under, and for no other.
    let by_template =
        template.and_then(Value::as_object).filter(|template| account_of(template) == account_of(spec));
    if mounts(spec) && !by_template.is_some_and(mounts) {
        violations.push("automountServiceAccountToken: only a template can turn it on".to_owned());
    }
    let allowed: Vec<&Value> = by_template.map(identity_volumes).unwrap_or_default();
    if identity_volumes(spec).iter().any(|volume| !allowed.contains(volume)) {
        violations.push(
            "volumes: only a template can project tokens and certificates of its service account".to_owned(),
        );
    }
}

/// The volumes that hold tokens or certificates of the pod's ServiceAccount.
fn identity_volumes(spec: &Map<String, Value>) -> Vec<&Value> {
    let is_there = |source: &Value, member: &str| source.get(member).is_some_and(|value| !value.is_null());
    let holds =
        |source: &Value| is_there(source, "serviceAccountToken") || is_there(source, "podCertificate");
    let is_one = |volume: &&Value| {
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        sources.is_some_and(|all| all.iter().any(holds))
    };
    spec.get("volumes").and_then(Value::as_array).into_iter().flatten().filter(is_one).collect()
}

/// Where a pod runs: on the template's nodes, and neither beside nor in the way of pods that the caller chooses.
fn check_placement(brought: &Brought<'_>, violations: &mut Vec<String>) {
    let (theirs, path) = match brought.template {
        Some(_) => (brought.overrides, "topLevelOverrides."),
        None => (brought.spec, ""),
    };
    let by_template = |field: &str| brought.template?.get(field).filter(|value| !value.is_null());
    let is_set = |field: &str| match theirs.get(field) {
        None => false,
        // Nothing, where there was nothing.
        Some(Value::Null) => by_template(field).is_some(),
        Some(Value::Array(items)) => !items.is_empty() || by_template(field).is_some(),
        Some(_) => true,
    };
    // Beside a template the privileges are refused already.
    let privileges = PRIVILEGES.iter().filter(|_| brought.template.is_none());
    for field in privileges.chain(&OPERATORS_OWN).filter(|field| is_set(field)) {
        violations.push(format!("{path}{field}: only a template can set it"));
    }
    for member in ["podAffinity", "podAntiAffinity"] {
        if theirs.get("affinity").and_then(|all| all.get(member)).is_some_and(|value| !value.is_null()) {
            violations.push(format!("{path}affinity.{member}: only a template can set it"));
        }
    }
    if theirs.contains_key("affinity") && by_template("affinity").is_some() {
        violations.push(format!("{path}affinity: it is the template's to set"));
    }
    if let Some(Value::Object(wanted)) = by_template("nodeSelector") {
        let given = brought.spec.get("nodeSelector").unwrap_or(&Value::Null);
        if wanted.iter().any(|(label, value)| given.get(label) != Some(value)) {
            violations
                .push(format!("{path}nodeSelector: it may add to the template's and change nothing of it"));
        }
    }
}

/// Beside a template, [`TEMPLATES_OWN`] keeps the template's account.
fn check_account(brought: &Brought<'_>, violations: &mut Vec<String>) {
    if brought.template.is_none() && account(brought.typed).is_some() {
        violations.push("serviceAccountName: only a template can name an account".to_owned());
    }
}

/// The ServiceAccount that a pod names, unless it is the one it has anyway.
fn account(spec: &PodSpec) -> Option<&str> {
    let names = [&spec.service_account_name, &spec.service_account];
    names.into_iter().flatten().map(String::as_str).find(|name| !matches!(*name, "" | "default"))
}

/// Likewise, before it is typed.
fn account_of(spec: &Map<String, Value>) -> Option<&str> {
    let names = ["serviceAccountName", "serviceAccount"].into_iter();
    names.filter_map(|field| spec.get(field)?.as_str()).find(|name| !matches!(*name, "" | "default"))
}

/// The names in a template mean objects of its own namespace; where the caller chooses another, they would mean objects
/// that nobody chose.
fn check_namespace(inputs: &Inputs<'_>, template: &Template, spec: &PodSpec, violations: &mut Vec<String>) {
    let own = template.origin.namespace().unwrap_or(inputs.home);
    if inputs.namespace == own {
        return;
    }
    let reference = policy::references::of(spec).into_iter().next();
    let named = reference
        .map(|found| format!("{} {:?}", found.kind, found.name))
        .or_else(|| account(spec).map(|name| format!("ServiceAccount {name:?}")));
    if let Some(named) = named {
        violations.push(format!("namespace: the template refers to the {named} of {own}: spawn it there"));
    }
}
