//! Which objects of the namespace a caller may bring into a pod: those that the operator lists, and those of the template
//! as its author uses them.

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume, VolumeMount};
use nocrd_templates::spec as pod_spec;
use serde_json::{Map, Value, json};

use super::{Inputs, callers::Brought};
use crate::{
    Error, names,
    policy::{
        self,
        references::{self, Kind, Reference, Usage},
    },
};

/// Kinds of volumes that ordinary callers may bring: those with nothing of anybody's, and those whose references are
/// checked. The others reach storage, drivers or nodes without naming anything that could be listed.
const VOLUMES: [&str; 7] =
    ["configMap", "downwardAPI", "emptyDir", "image", "persistentVolumeClaim", "projected", "secret"];

/// Adds a violation for each reference that an ordinary caller brought and may not bring.
pub(super) fn check(
    brought: &Brought<'_>,
    template: Option<&PodSpec>,
    violations: &mut Vec<String>,
) -> Result<(), Error> {
    let inputs = brought.inputs;
    let Some(template) = template else {
        // Everything is the caller's.
        check_pod(inputs, "", brought.typed, &PodSpec::default(), violations);
        for (path, container) in policy::containers(brought.typed) {
            check_references(inputs, &references::of_container(&path, container), &[], violations);
        }
        return Ok(());
    };
    let overrides = overrides_as_spec(brought)?;
    check_pod(inputs, "topLevelOverrides.", &overrides, template, violations);
    for (i, (change, wanted)) in
        overrides.containers.iter().zip(&inputs.request.container_overrides).enumerate()
    {
        // What another container has is not this one's: it may be there to keep it from this one.
        let own = template.containers.iter().find(|own| own.name == wanted.name);
        let path = format!("containerOverrides[{i}]");
        let known = own.map(|own| references::of_container("", own)).unwrap_or_default();
        check_references(inputs, &references::of_container(&path, change), &known, violations);
        check_mounts(brought, &path, change, own.map(mounts).unwrap_or_default(), violations);
    }
    Ok(())
}

/// Checks what is the pod's rather than a container's.
fn check_pod(
    inputs: &Inputs<'_>,
    path: &str,
    spec: &PodSpec,
    template: &PodSpec,
    violations: &mut Vec<String>,
) {
    let own = template.volumes.as_deref().unwrap_or_default();
    let mut spoken_for = Vec::new();
    for (i, volume) in spec.volumes.iter().flatten().enumerate().filter(|(_, volume)| !own.contains(volume)) {
        // Containers that the caller may not change would find something else under the name they know.
        if own.iter().any(|own| own.name == volume.name) {
            violations.push(format!(
                "{path}volumes[{i}]: volume {:?} is the template's: choose another name",
                volume.name
            ));
            spoken_for.push(Usage::Volume(volume));
            continue;
        }
        if let Some(kind) = kept_kind(volume) {
            violations
                .push(format!("{path}volumes[{i}].{kind}: only a template can have a volume of this kind"));
            spoken_for.push(Usage::Volume(volume));
        }
    }
    let mut asked = references::of_pod(spec);
    asked.retain(|reference| !spoken_for.contains(&reference.usage));
    for reference in &mut asked {
        reference.path.insert_str(0, path);
    }
    check_references(inputs, &asked, &references::of_pod(template), violations);
}

fn check_references(
    inputs: &Inputs<'_>,
    asked: &[Reference<'_>],
    own: &[Reference<'_>],
    violations: &mut Vec<String>,
) {
    for reference in asked {
        if !is_listed(inputs, reference) && !own.iter().any(|own| gives(own, reference)) {
            violations.push(refusal(reference));
        }
    }
}

/// Tells whether what the template has already gives what is asked for. A volume is given as it is: another one could
/// show more of the same object.
fn gives(own: &Reference<'_>, asked: &Reference<'_>) -> bool {
    let all_variables = own.usage == Usage::Variables && matches!(asked.usage, Usage::Variable(_));
    (own.kind, own.name) == (asked.kind, asked.name) && (own.usage == asked.usage || all_variables)
}

/// Tells whether the operator lets users refer to an object. Lists don't reach what is the server's own, nor templates,
/// which may be hidden from some.
fn is_listed(inputs: &Inputs<'_>, Reference { kind, name, .. }: &Reference<'_>) -> bool {
    let Inputs { namespace, home, config, catalogue, .. } = inputs;
    let (list, is_kept) = match kind {
        Kind::Secret => (&config.allowed_secrets, names::is_protected_secret(name)),
        Kind::ConfigMap => (
            &config.allowed_config_maps,
            names::is_protected_config_map(name) || catalogue.holds_template(namespace, name),
        ),
        Kind::Claim => (&config.allowed_claims, false),
        Kind::ResourceClaim => return false,
    };
    let is_there =
        list.contains(&format!("{namespace}/{name}")) || (namespace == home && list.contains(*name));
    is_there && !is_kept
}

fn refusal(Reference { path, kind, name, .. }: &Reference<'_>) -> String {
    let setting = match kind {
        Kind::Secret => "to add it to ALLOWED_SECRETS, or ",
        Kind::ConfigMap => "to add it to ALLOWED_CONFIGMAPS, or ",
        Kind::Claim => "to add it to ALLOWED_CLAIMS, or ",
        Kind::ResourceClaim => "",
    };
    format!(
        "{path}: {kind} {name:?} is not yours to refer to: ask the operator {setting}for a template that uses it"
    )
}

/// The kind of a volume that only a template can have.
fn kept_kind(volume: &Volume) -> Option<String> {
    let Ok(Value::Object(members)) = serde_json::to_value(volume) else { return None };
    members
        .into_iter()
        .map(|(member, _)| member)
        .find(|member| member != "name" && !VOLUMES.contains(&member.as_str()))
}

/// A volume of the template's may be mounted as the template mounts it there: without its `subPath` a container would see
/// everybody's part of a shared claim.
fn check_mounts(
    brought: &Brought<'_>,
    path: &str,
    change: &Container,
    own: &[VolumeMount],
    violations: &mut Vec<String>,
) {
    let is_guarded = |name: &str| {
        brought.typed.volumes.iter().flatten().filter(|volume| volume.name == name).any(|volume| {
            let references = references::of_volume("", volume);
            kept_kind(volume).is_some()
                || identifies(volume)
                || references.iter().any(|reference| !is_listed(brought.inputs, reference))
        })
    };
    for (k, mount) in mounts(change).iter().enumerate() {
        if is_guarded(&mount.name) && !own.contains(mount) {
            violations.push(format!(
                "{path}.volumeMounts[{k}]: volume {:?} is mounted only as the template does it",
                mount.name
            ));
        }
    }
}

/// Whether a volume holds a token or a certificate of the pod's ServiceAccount.
fn identifies(volume: &Volume) -> bool {
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    sources
        .into_iter()
        .any(|source| source.service_account_token.is_some() || source.pod_certificate.is_some())
}

fn mounts(container: &Container) -> &[VolumeMount] {
    container.volume_mounts.as_deref().unwrap_or_default()
}

/// The overrides alone, as a pod spec to look at.
fn overrides_as_spec(brought: &Brought<'_>) -> Result<PodSpec, Error> {
    let mut spec = brought.overrides.clone();
    let mut containers = Vec::new();
    for (i, container) in brought.inputs.request.container_overrides.iter().enumerate() {
        let unreadable =
            |error: serde_json::Error| Error::InvalidArgument(format!("containerOverrides[{i}]: {error}"));
        let mut changes: Map<String, Value> =
            serde_json::to_value(container).and_then(serde_json::from_value).map_err(unreadable)?;
        // One container may be changed twice, and need not get another image.
        changes.insert("name".into(), format!("c{i}").into());
        changes.insert("image".into(), "none".into());
        containers.push(Value::Object(changes));
    }
    if containers.is_empty() {
        containers.push(json!({"name": "none", "image": "none"}));
    }
    spec.insert("containers".into(), containers.into());
    Ok(pod_spec::read(Value::Object(spec))?.typed)
}
