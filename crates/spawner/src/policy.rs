//! What a pod may ask for: the Pod Security Standards (Kubernetes 1.34), for templates and inline specs alike.
//!
//! A pure check over the typed spec. Beyond the standard, no level lets a pod refer to the Secrets that hold other
//! workspaces' context or the server's session key.

mod baseline;
mod restricted;

use std::{collections::BTreeMap, fmt, str::FromStr};

use k8s_openapi::api::core::v1::{Container, PodSpec, SecurityContext, Volume};

use crate::names;

/// A level of the Pod Security Standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PodSecurity {
    /// No restriction.
    Privileged,
    /// No known way out of the container.
    #[default]
    Baseline,
    /// Current best practice for hardening.
    Restricted,
}

impl PodSecurity {
    /// All levels, loosest first.
    pub const ALL: [Self; 3] = [Self::Privileged, Self::Baseline, Self::Restricted];

    /// The level's name as the standard spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

impl fmt::Display for PodSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PodSecurity {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("{text:?} is no pod security level: privileged, baseline or restricted"))
    }
}

/// Everything in the pod that `level` does not allow, field by field; empty when the pod may run.
#[must_use]
pub fn violations(spec: &PodSpec, annotations: &BTreeMap<String, String>, level: PodSecurity) -> Vec<String> {
    let mut found = Findings::default();
    protected_secrets(spec, &mut found);
    if level >= PodSecurity::Baseline {
        baseline::check(spec, annotations, &mut found);
    }
    if level >= PodSecurity::Restricted {
        restricted::check(spec, &mut found);
    }
    found.0
}

/// Collects violations.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, path: impl fmt::Display, why: impl fmt::Display) {
        self.0.push(format!("{path}: {why}"));
    }

    fn refuse_if(&mut self, condition: bool, path: impl fmt::Display, why: impl fmt::Display) {
        if condition {
            self.add(path, why);
        }
    }
}

/// Every container of the pod with its path in the spec.
fn containers(spec: &PodSpec) -> impl Iterator<Item = (String, &Container)> {
    let init = spec.init_containers.iter().flatten().enumerate();
    let main = spec.containers.iter().enumerate();
    init.map(|(i, c)| (format!("initContainers[{i}]"), c))
        .chain(main.map(|(i, c)| (format!("containers[{i}]"), c)))
}

/// The security contexts of all containers that have one, with their paths.
fn contexts(spec: &PodSpec) -> impl Iterator<Item = (String, &SecurityContext)> {
    containers(spec).filter_map(|(path, container)| {
        container.security_context.as_ref().map(|context| (format!("{path}.securityContext"), context))
    })
}

fn protected_secrets(spec: &PodSpec, found: &mut Findings) {
    let mut refuse = |path: String, name: &str| {
        found.refuse_if(
            names::is_protected_secret(name),
            path,
            format_args!("Secret {name:?} belongs to the server"),
        );
    };
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        if let Some(name) = volume.secret.as_ref().and_then(|s| s.secret_name.as_deref()) {
            refuse(format!("volumes[{i}].secret"), name);
        }
        for name in referenced_secrets(volume) {
            refuse(format!("volumes[{i}]"), name);
        }
        for source in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
            if let Some(secret) = &source.secret {
                refuse(format!("volumes[{i}].projected"), &secret.name);
            }
        }
    }
    for reference in spec.image_pull_secrets.iter().flatten() {
        refuse("imagePullSecrets".into(), &reference.name);
    }
    for (path, container) in containers(spec) {
        for variable in container.env.iter().flatten() {
            if let Some(key) = variable.value_from.as_ref().and_then(|v| v.secret_key_ref.as_ref()) {
                refuse(format!("{path}.env[{}]", variable.name), &key.name);
            }
        }
        for source in container.env_from.iter().flatten() {
            if let Some(secret) = &source.secret_ref {
                refuse(format!("{path}.envFrom"), &secret.name);
            }
        }
    }
}

/// The Secrets that a volume's driver reads.
fn referenced_secrets(volume: &Volume) -> Vec<&str> {
    let local = [
        volume.csi.as_ref().and_then(|v| v.node_publish_secret_ref.as_ref()),
        volume.flex_volume.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.cephfs.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.rbd.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.iscsi.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.cinder.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.storageos.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.scale_io.as_ref().map(|v| &v.secret_ref),
    ];
    let named = volume.azure_file.as_ref().map(|v| v.secret_name.as_str());
    local.into_iter().flatten().map(|reference| reference.name.as_str()).chain(named).collect()
}

#[cfg(test)]
mod tests;
