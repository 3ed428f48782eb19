//! What a pod may ask for: the Pod Security Standards (Kubernetes 1.34), for templates and inline specs alike.
//!
//! A pure check over the typed spec. Beyond the standard, no level lets a pod refer to the Secrets that hold other
//! workspaces' context or the server's session key, nor to the ConfigMap of ended sign-ins.

mod baseline;
pub(crate) mod references;
mod restricted;

use std::{collections::BTreeMap, fmt, str::FromStr};

use k8s_openapi::api::core::v1::{Container, PodSpec, SecurityContext};

use self::references::{Kind, Reference};
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
    protected_objects(spec, &mut found);
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
pub(crate) fn containers(spec: &PodSpec) -> impl Iterator<Item = (String, &Container)> {
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

fn protected_objects(spec: &PodSpec, found: &mut Findings) {
    for Reference { path, kind, name, .. } in references::of(spec) {
        let protected = match kind {
            Kind::Secret => names::is_protected_secret(name),
            Kind::ConfigMap => names::is_protected_config_map(name),
            Kind::Claim | Kind::ResourceClaim => false,
        };
        found.refuse_if(protected, path, format_args!("{kind} {name:?} belongs to the server"));
    }
}

#[cfg(test)]
mod tests;
