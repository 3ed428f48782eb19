//! Making the pod that takes over: from what was given for the workspace and its template as it is now.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use k8s_openapi::api::core::v1::PodSpec;
use nocrd_cluster::{Error as ClusterError, WorkspacePod};
use nocrd_model::{Namespace, keys};
use nocrd_templates::Template;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    inputs::{self, SpawnInputs},
    old::{OldPod, Place},
    record::{self, Asker, Link, Role, Style},
};
use crate::{
    Context, Error, Source, Spawner, names,
    plan::{self, Inputs, Plan, Resolved},
};

/// A successor that could be created.
pub(crate) struct Rendered {
    pub(crate) plan: Plan,
    pub(crate) old: OldPod,
}

impl Spawner {
    /// Plans the pod that takes over from `pod`, with all that can be told wrong about it beforehand.
    pub(crate) async fn render(
        &self,
        pod: &WorkspacePod,
        template: &Template,
        by: Asker,
    ) -> Result<Rendered, Error> {
        let old = self.old_pod(pod).await?;
        let refused = |reason: String| Error::NotUpgradable { id: pod.id.clone(), reason };
        let mut inputs = old.inputs(&template.spec).map_err(|error| refused(error.to_string()))?;
        // It may have got another since it was spawned.
        if let Some(name) = old.annotations().remove(keys::WORKSPACE_NAME) {
            inputs.name = Some(name);
        }
        // An administrator who once wanted the workspace has not seen what its owner has written into the template since.
        inputs.ordinary |= by.ordinary && !template.is_curated();
        if !by.owner {
            check_for_owner(template, &inputs).map_err(|reason| refused(reason.to_owned()))?;
        }
        let context = self.context_of(pod, &old, &inputs.context).await?;
        let carrying = (!inputs.carried.is_empty()).then(|| {
            let mut template = template.clone();
            inputs.carried.put_into(&mut template.spec);
            template
        });
        let template = carrying.as_ref().unwrap_or(template);
        let source = Source::Template(template.reference());
        let request = inputs.request(pod.id.clone().into(), &pod.owner, source, context);
        let recorded = pod.template_ref.clone().unwrap_or_default();
        let catalogue = self.catalogue();
        let mut plan = plan::successor(
            &Inputs {
                request: &request,
                source: Resolved::Template(template, recorded),
                namespace: &pod.namespace,
                home: self.cluster().default_namespace(),
                catalogue: &catalogue,
                config: self.config(),
                secrets: self.may_create_secrets(),
            },
            names::successor(&pod.id, &pod.pod_name),
        )
        .map_err(|error| match error {
            Error::MissingContext { names, .. } => refused(format!(
                "its template requires variables that the workspace was not given when it was spawned ({}); stop it \
                 and spawn another with them",
                names.join(", ")
            )),
            error => error,
        })?;
        if !inputs.carried.is_empty() {
            inputs.restriction = inputs::restriction(template);
            annotate(&mut plan.pod, keys::SPAWN_INPUTS, record::text(&inputs));
        }
        Ok(Rendered { plan, old })
    }

    /// Reads the pod itself, with what the index does not keep.
    pub(crate) async fn old_pod(&self, pod: &WorkspacePod) -> Result<OldPod, Error> {
        let gone = || Error::NotFound { id: pod.id.clone() };
        let old = match self.cluster().get_pod(&pod.namespace, &pod.pod_name).await {
            Ok(old) => OldPod(old),
            Err(ClusterError::NotFound { .. }) => return Err(gone()),
            Err(error) => return Err(error.into()),
        };
        if old.uid() == pod.uid { Ok(old) } else { Err(gone()) }
    }

    /// The values of the named variables, from the Secret of `pod` or the pod itself.
    pub(crate) async fn context_of(
        &self,
        pod: &WorkspacePod,
        old: &OldPod,
        names: &[String],
    ) -> Result<Context, Error> {
        let refused = |reason: String| Error::NotUpgradable { id: pod.id.clone(), reason };
        let lost = |name: &str| refused(format!("the value of its variable {name} is not there any more"));
        let places = old.context(names).map_err(|name| lost(&name))?;
        let is_stored = places.values().any(|place| matches!(place, Place::Stored(_)));
        let secret = match old.context_secret().filter(|_| is_stored) {
            None => None,
            Some(secret) => match self.cluster().context_values(&pod.namespace, &secret).await {
                Ok(values) => Some(values),
                Err(ClusterError::Forbidden { .. }) => {
                    return Err(refused(
                        "it has context, and the server lacks the permission to get secrets".to_owned(),
                    ));
                }
                Err(ClusterError::NotFound { .. }) => {
                    return Err(refused("its context is not there any more".to_owned()));
                }
                Err(error) => return Err(error.into()),
            },
        };
        let mut values = BTreeMap::new();
        for (name, place) in places {
            let value = match place {
                Place::Literal(text) => text,
                Place::Stored(key) => {
                    let bytes = secret.as_ref().and_then(|secret| secret.expose(&key));
                    let bytes = bytes.ok_or_else(|| lost(&name))?;
                    std::str::from_utf8(bytes).map_err(|_| lost(&name))?.to_owned()
                }
            };
            values.insert(name, value);
        }
        Ok(values.into_iter().collect())
    }

    pub(crate) fn may_create_secrets(&self) -> bool {
        !self.secrets_forbidden().load(Ordering::Relaxed)
            && self.cluster().permissions().allows("create", "secrets")
    }

    /// How the new pod has to take over.
    pub(crate) async fn style(&self, namespace: &Namespace, old: &OldPod, new: &Value) -> Style {
        let pods = [&old.0, new].map(|pod| PodSpec::deserialize(pod.get("spec").unwrap_or(&Value::Null)));
        // What can't be read is not taken for harmless.
        let [Ok(old), Ok(new)] = pods else { return Style::Recreate };
        if [&old, &new].into_iter().any(has_host_port) {
            return Style::Recreate;
        }
        let mut claims: Vec<&str> = [&old, &new].into_iter().flat_map(claims).collect();
        claims.sort_unstable();
        claims.dedup();
        for claim in claims {
            let shared = self.cluster().claim(namespace, claim).await.is_ok_and(|claim| claim.is_shared());
            if !shared {
                return Style::Recreate;
            }
        }
        Style::Beside
    }
}

/// Refuses what nobody but a workspace's owner can decide: whether they may have a template that was not for the same users,
/// and whether to trust a user's.
fn check_for_owner(template: &Template, inputs: &SpawnInputs) -> Result<(), &'static str> {
    if !template.is_curated() {
        return Err("its template is a user's, so that only its owner can have it upgraded to that");
    }
    if !inputs.is_for_the_same(template) {
        return Err(
            "its template is not for the same users any more, so that only its owner can have it upgraded",
        );
    }
    Ok(())
}

fn claims(spec: &PodSpec) -> impl Iterator<Item = &str> {
    let volumes = spec.volumes.iter().flatten();
    volumes.filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// Whether it takes a port of its node, which only one pod can.
fn has_host_port(spec: &PodSpec) -> bool {
    let ports = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut ports = ports.flat_map(|container| container.ports.iter().flatten());
    spec.host_network.unwrap_or_default() || ports.any(|port| port.host_port.is_some_and(|port| port != 0))
}

/// Links a pod that is about to be created to the one it takes over from; behind a gate, when that must be gone first.
///
/// # Errors
/// Why a pod can't wait behind a gate.
pub(crate) fn link(manifest: &mut Value, link: &Link) -> Result<(), String> {
    annotate(manifest, keys::UPGRADE_FROM, record::text(link));
    if link.role == Role::Beside {
        return Ok(());
    }
    let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    if spec.get("nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty()) {
        return Err("its template names a node, where the new pod can't be made to wait".to_owned());
    }
    // Beside those of others.
    let gate = json!({"name": keys::UPGRADE_GATE});
    match spec.get_mut("schedulingGates") {
        Some(Value::Array(gates)) => gates.push(gate),
        _ => {
            spec.insert("schedulingGates".into(), json!([gate]));
        }
    }
    Ok(())
}

pub(crate) fn annotate(manifest: &mut Value, key: &str, text: String) {
    if let Some(Value::Object(annotations)) = manifest.pointer_mut("/metadata/annotations") {
        annotations.insert(key.to_owned(), text.into());
    }
}
