//! Which Secrets and PersistentVolumeClaims a caller may bring into a pod: those that the operator lists, and those of
//! the template as its author uses them.

use k8s_openapi::api::core::v1::{PodSpec, Volume};
use nocrd_templates::spec as pod_spec;
use serde_json::{Map, Value, json};

use super::Brought;
use crate::{
    Config, Error, names,
    policy::references::{self, Kind, Reference, Usage},
};

/// Adds a violation for each reference that an ordinary caller brought and may not bring.
pub(super) fn check(brought: &Brought<'_>, violations: &mut Vec<String>) -> Result<(), Error> {
    let Some(template) = brought.template else {
        // Everything is the caller's.
        check_spec(brought.typed, &PodSpec::default(), brought.config, str::to_owned, violations);
        return Ok(());
    };
    let template = pod_spec::read(template.clone())?.typed;
    let overrides = overrides_as_spec(brought)?;
    check_spec(&overrides, &template, brought.config, path_in_overrides, violations);
    check_mounts(&overrides, &template, brought, violations);
    Ok(())
}

fn check_spec(
    spec: &PodSpec,
    template: &PodSpec,
    config: &Config,
    path_of: fn(&str) -> String,
    violations: &mut Vec<String>,
) {
    let own = references::of(template);
    for reference in references::of(spec) {
        if !is_listed(reference.kind, reference.name, config) && !own.iter().any(|own| gives(own, &reference))
        {
            violations.push(refusal(&path_of(&reference.path), &reference));
        }
    }
    let own_volumes = template.volumes.as_deref().unwrap_or_default();
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        if let Some(member) = provisioned(volume)
            && !own_volumes.contains(volume)
        {
            let path = path_of(&format!("volumes[{i}].{member}"));
            violations.push(format!("{path}: only a template can have a volume of this kind"));
        }
    }
}

/// Tells whether what the template has already gives what is asked for. A volume is given as it is: another one could
/// show more of the same object.
fn gives(own: &Reference<'_>, asked: &Reference<'_>) -> bool {
    let all_variables = own.usage == Usage::Variables && matches!(asked.usage, Usage::Variable(_));
    (own.kind, own.name) == (asked.kind, asked.name) && (own.usage == asked.usage || all_variables)
}

fn is_listed(kind: Kind, name: &str, config: &Config) -> bool {
    match kind {
        Kind::Secret => config.allowed_secrets.contains(name) && !names::is_protected_secret(name),
        Kind::Claim => config.allowed_claims.contains(name),
    }
}

fn refusal(path: &str, Reference { kind, name, .. }: &Reference<'_>) -> String {
    let setting = match kind {
        Kind::Secret => "ALLOWED_SECRETS",
        Kind::Claim => "ALLOWED_CLAIMS",
    };
    format!(
        "{path}: {kind} {name:?} is not yours to refer to: ask the operator to add it to {setting}, or for a template that uses it"
    )
}

/// The member by which a volume is made for the pod by a driver or a storage class.
fn provisioned(volume: &Volume) -> Option<&'static str> {
    let members = [("csi", volume.csi.is_some()), ("ephemeral", volume.ephemeral.is_some())];
    members.into_iter().find_map(|(member, is_there)| is_there.then_some(member))
}

/// A volume of the template's may be mounted as the template mounts it: without its `subPath` a container would see
/// everybody's part of a shared claim.
fn check_mounts(
    overrides: &PodSpec,
    template: &PodSpec,
    brought: &Brought<'_>,
    violations: &mut Vec<String>,
) {
    let is_guarded = |name: &str| {
        brought.typed.volumes.iter().flatten().filter(|volume| volume.name == name).any(|volume| {
            let mut references = references::of_volume(volume).into_iter();
            let listed = |(_, kind, name): (_, Kind, &str)| is_listed(kind, name, brought.config);
            provisioned(volume).is_some() || references.any(|reference| !listed(reference))
        })
    };
    let all = template.init_containers.iter().flatten().chain(&template.containers);
    let own: Vec<_> = all.flat_map(|container| container.volume_mounts.iter().flatten()).collect();
    for (i, container) in overrides.containers.iter().enumerate() {
        for (k, mount) in container.volume_mounts.iter().flatten().enumerate() {
            if is_guarded(&mount.name) && !own.contains(&mount) {
                violations.push(format!(
                    "containerOverrides[{i}].volumeMounts[{k}]: volume {:?} is mounted only as the template does it",
                    mount.name
                ));
            }
        }
    }
}

/// The overrides alone, as a pod spec to look at.
fn overrides_as_spec(brought: &Brought<'_>) -> Result<PodSpec, Error> {
    let mut spec = brought.overrides.clone();
    let mut containers = Vec::new();
    for (i, container) in brought.request.container_overrides.iter().enumerate() {
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

fn path_in_overrides(path: &str) -> String {
    match path.strip_prefix("containers[") {
        Some(rest) => format!("containerOverrides[{rest}"),
        None => format!("topLevelOverrides.{path}"),
    }
}
