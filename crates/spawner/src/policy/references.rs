//! Where a pod refers to other objects of its namespace.

use std::fmt;

use k8s_openapi::api::core::v1::{Container, PodResourceClaim, PodSpec, ResourceClaim, Volume};

use super::containers;

/// What is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Secret,
    ConfigMap,
    Claim,
    /// A device, or the template of a claim to one.
    ResourceClaim,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Claim => "PersistentVolumeClaim",
            Self::ResourceClaim => "ResourceClaim",
        })
    }
}

/// What for, and so how much of it the pod gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Usage<'a> {
    /// One key, as a variable.
    Variable(&'a str),
    /// All keys, as variables.
    Variables,
    /// Credentials for the image registry, which containers don't see.
    ImagePull,
    /// What this volume shows of it, or needs it for.
    Volume(&'a Volume),
    /// A device for the pod.
    PodDevice(&'a PodResourceClaim),
    /// A device of the pod's, for the container.
    Device(&'a ResourceClaim),
}

/// One place that names one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reference<'a> {
    /// The field in the pod's spec.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) usage: Usage<'a>,
}

/// All of them: the pod's own, then those of its containers.
pub(crate) fn of(spec: &PodSpec) -> Vec<Reference<'_>> {
    let mut found = of_pod(spec);
    for (path, container) in containers(spec) {
        found.extend(of_container(&path, container));
    }
    found
}

/// Those of the pod, whichever container makes use of them.
pub(crate) fn of_pod(spec: &PodSpec) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        found.extend(of_volume(&format!("volumes[{i}]"), volume));
    }
    for (i, reference) in spec.image_pull_secrets.iter().flatten().enumerate() {
        found.push(Reference {
            path: format!("imagePullSecrets[{i}]"),
            kind: Kind::Secret,
            name: &reference.name,
            usage: Usage::ImagePull,
        });
    }
    for (i, claim) in spec.resource_claims.iter().flatten().enumerate() {
        let name = claim.resource_claim_name.as_ref().or(claim.resource_claim_template_name.as_ref());
        found.push(Reference {
            path: format!("resourceClaims[{i}]"),
            kind: Kind::ResourceClaim,
            name: name.map_or("", String::as_str),
            usage: Usage::PodDevice(claim),
        });
    }
    found
}

/// Those of one container, which is at `path`.
pub(crate) fn of_container<'a>(path: &str, container: &'a Container) -> Vec<Reference<'a>> {
    let mut found = Vec::new();
    for variable in container.env.iter().flatten() {
        let source = variable.value_from.as_ref();
        let secret = source.and_then(|source| source.secret_key_ref.as_ref());
        let config_map = source.and_then(|source| source.config_map_key_ref.as_ref());
        let keys = [
            secret.map(|from| (Kind::Secret, &from.name, &from.key)),
            config_map.map(|from| (Kind::ConfigMap, &from.name, &from.key)),
        ];
        found.extend(keys.into_iter().flatten().map(|(kind, name, key)| Reference {
            path: format!("{path}.env[{}]", variable.name),
            kind,
            name,
            usage: Usage::Variable(key),
        }));
    }
    for (i, source) in container.env_from.iter().flatten().enumerate() {
        let all = [
            source.secret_ref.as_ref().map(|from| (Kind::Secret, &from.name)),
            source.config_map_ref.as_ref().map(|from| (Kind::ConfigMap, &from.name)),
        ];
        found.extend(all.into_iter().flatten().map(|(kind, name)| Reference {
            path: format!("{path}.envFrom[{i}]"),
            kind,
            name,
            usage: Usage::Variables,
        }));
    }
    let claims = container.resources.iter().flat_map(|resources| resources.claims.iter().flatten());
    found.extend(claims.map(|claim| Reference {
        path: format!("{path}.resources.claims"),
        kind: Kind::ResourceClaim,
        name: &claim.name,
        usage: Usage::Device(claim),
    }));
    found
}

/// Those of one volume, which is at `path`. Drivers read their Secrets for the pod.
pub(crate) fn of_volume<'a>(path: &str, volume: &'a Volume) -> Vec<Reference<'a>> {
    let csi = volume.csi.as_ref().and_then(|v| v.node_publish_secret_ref.as_ref());
    let drivers = [
        ("csi", csi),
        ("flexVolume", volume.flex_volume.as_ref().and_then(|v| v.secret_ref.as_ref())),
        ("cephfs", volume.cephfs.as_ref().and_then(|v| v.secret_ref.as_ref())),
        ("rbd", volume.rbd.as_ref().and_then(|v| v.secret_ref.as_ref())),
        ("iscsi", volume.iscsi.as_ref().and_then(|v| v.secret_ref.as_ref())),
        ("cinder", volume.cinder.as_ref().and_then(|v| v.secret_ref.as_ref())),
        ("storageos", volume.storageos.as_ref().and_then(|v| v.secret_ref.as_ref())),
        ("scaleIO", volume.scale_io.as_ref().map(|v| &v.secret_ref)),
    ];
    let mut found: Vec<(&'static str, Kind, &str)> = drivers
        .into_iter()
        .filter_map(|(member, reference)| Some((member, Kind::Secret, reference?.name.as_str())))
        .collect();
    if let Some(secret) = &volume.secret {
        found.push(("secret", Kind::Secret, secret.secret_name.as_deref().unwrap_or_default()));
    }
    if let Some(config_map) = &volume.config_map {
        found.push(("configMap", Kind::ConfigMap, &config_map.name));
    }
    if let Some(file) = &volume.azure_file {
        found.push(("azureFile", Kind::Secret, &file.secret_name));
    }
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        found.extend(source.secret.as_ref().map(|from| ("projected", Kind::Secret, from.name.as_str())));
        let config_map = source.config_map.as_ref();
        found.extend(config_map.map(|from| ("projected", Kind::ConfigMap, from.name.as_str())));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        found.push(("persistentVolumeClaim", Kind::Claim, &claim.claim_name));
    }
    found
        .into_iter()
        .map(|(member, kind, name)| Reference {
            path: format!("{path}.{member}"),
            kind,
            name,
            usage: Usage::Volume(volume),
        })
        .collect()
}
