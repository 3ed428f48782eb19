//! Where a pod refers to Secrets and PersistentVolumeClaims of its namespace.

use std::fmt;

use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::containers;

/// What is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Secret,
    Claim,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::Claim => "PersistentVolumeClaim",
        })
    }
}

/// What for, and so how much of it the pod gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Usage<'a> {
    /// One key of a Secret, as a variable.
    Variable(&'a str),
    /// All keys of a Secret, as variables.
    Variables,
    /// Credentials for the image registry, which containers don't see.
    ImagePull,
    /// What this volume shows of it, or needs it for.
    Volume(&'a Volume),
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

/// All of them, in the order volumes, image pull secrets, containers.
pub(crate) fn of(spec: &PodSpec) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        found.extend(of_volume(volume).into_iter().map(|(member, kind, name)| Reference {
            path: format!("volumes[{i}].{member}"),
            kind,
            name,
            usage: Usage::Volume(volume),
        }));
    }
    for (i, reference) in spec.image_pull_secrets.iter().flatten().enumerate() {
        found.push(Reference {
            path: format!("imagePullSecrets[{i}]"),
            kind: Kind::Secret,
            name: &reference.name,
            usage: Usage::ImagePull,
        });
    }
    for (path, container) in containers(spec) {
        for variable in container.env.iter().flatten() {
            if let Some(key) = variable.value_from.as_ref().and_then(|v| v.secret_key_ref.as_ref()) {
                found.push(Reference {
                    path: format!("{path}.env[{}]", variable.name),
                    kind: Kind::Secret,
                    name: &key.name,
                    usage: Usage::Variable(&key.key),
                });
            }
        }
        for (i, source) in container.env_from.iter().flatten().enumerate() {
            if let Some(secret) = &source.secret_ref {
                found.push(Reference {
                    path: format!("{path}.envFrom[{i}]"),
                    kind: Kind::Secret,
                    name: &secret.name,
                    usage: Usage::Variables,
                });
            }
        }
    }
    found
}

/// What a volume refers to: the member of it, and the object. Drivers read their Secrets for the pod.
pub(crate) fn of_volume(volume: &Volume) -> Vec<(&'static str, Kind, &str)> {
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
    if let Some(file) = &volume.azure_file {
        found.push(("azureFile", Kind::Secret, &file.secret_name));
    }
    let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let secrets = projected.filter_map(|source| source.secret.as_ref());
    found.extend(secrets.map(|secret| ("projected", Kind::Secret, secret.name.as_str())));
    if let Some(claim) = &volume.persistent_volume_claim {
        found.push(("persistentVolumeClaim", Kind::Claim, &claim.claim_name));
    }
    found
}
