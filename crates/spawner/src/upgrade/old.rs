//! Reading a pod that is to be replaced: what of it was given by its user, and what it takes to have it back.

use std::collections::BTreeMap;

use nocrd_model::keys;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::inputs::SpawnInputs;
use crate::{Error, metadata::Pairs};

/// A pod as the API server stores it.
pub(crate) struct OldPod(pub(crate) Value);

/// Volumes of a pod of earlier versions that hold its user's data, and where its first container has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Carried {
    volumes: Vec<Value>,
    mounts: Vec<Value>,
}

/// Where a value of the context is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the pod itself.
    Literal(String),
    /// In its Secret, under this key.
    Stored(String),
}

/// Members of a pod's spec that the cluster gives it, or that can't be given to another pod.
const GIVEN: [&str; 6] =
    ["ephemeralContainers", "nodeName", "preemptionPolicy", "priority", "schedulingGates", "serviceAccount"];

/// Variables that a webhook gives a pod whose ServiceAccount has an AWS role.
const INJECTED: [&str; 3] = ["AWS_ROLE_ARN", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_WEB_IDENTITY_TOKEN_FILE"];

/// What the names of the volumes begin with by which the cluster gives a pod its token.
const TOKEN_VOLUMES: &str = "kube-api-access-";

impl OldPod {
    pub(crate) fn annotations(&self) -> Pairs {
        let pairs = self.0.pointer("/metadata/annotations").cloned().unwrap_or_default();
        serde_json::from_value(pairs).unwrap_or_default()
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn uid(&self) -> &str {
        self.text("/metadata/uid").unwrap_or_default()
    }

    pub(crate) fn resource_version(&self) -> Option<&str> {
        self.text("/metadata/resourceVersion")
    }

    /// The Secret with its context.
    pub(crate) fn context_secret(&self) -> Option<String> {
        self.annotations().remove(keys::CONTEXT_SECRET)
    }

    /// What it was spawned from. Pods of earlier versions don't say: of theirs, what their user can have given is told from what
    /// the present `template` does not give.
    pub(crate) fn inputs(&self, template: &Value) -> Result<SpawnInputs, Error> {
        let annotations = self.annotations();
        match SpawnInputs::read(&annotations) {
            Some(Ok(inputs)) => Ok(inputs),
            Some(Err(error)) => Err(Error::InvalidArgument(format!(
                "annotation {} can't be read: {error}",
                keys::SPAWN_INPUTS
            ))),
            None if annotations.contains_key(keys::TEMPLATE_ORIGIN) => {
                Err(Error::InvalidArgument("what it was spawned with was too long to be kept".to_owned()))
            }
            None => Ok(SpawnInputs {
                name: annotations.get(keys::WORKSPACE_NAME).filter(|name| !name.is_empty()).cloned(),
                context: self.variables_beside(template),
                // What the pod had already it may keep.
                ordinary: false,
                may_write: true,
                carried: self.claimed(),
                ..SpawnInputs::default()
            }),
        }
    }

    /// Names of the variables of the first container that are neither the template's nor the cluster's.
    fn variables_beside(&self, template: &Value) -> Vec<String> {
        let own: Vec<&str> =
            list(template.pointer("/containers/0/env")).iter().filter_map(|entry| name(entry)).collect();
        let secret = self.context_secret();
        let env = list(self.0.pointer("/spec/containers/0/env")).iter();
        let given = env.filter(|entry| match entry.pointer("/valueFrom/secretKeyRef/name") {
            Some(of) => of.as_str() == secret.as_deref(),
            None => entry.get("value").is_some(),
        });
        let is_theirs = |name: &&str| !own.contains(name) && !INJECTED.contains(name);
        given.filter_map(name).filter(is_theirs).map(str::to_owned).collect()
    }

    /// Names of the variables whose values are in its Secret.
    pub(crate) fn stored_variables(&self) -> Vec<String> {
        let secret = self.context_secret();
        let env = list(self.0.pointer("/spec/containers/0/env")).iter();
        let of = |entry: &Value| {
            entry.pointer("/valueFrom/secretKeyRef/name").and_then(Value::as_str).map(str::to_owned)
        };
        env.filter(|entry| secret.is_some() && of(entry) == secret)
            .filter_map(name)
            .map(str::to_owned)
            .collect()
    }

    fn claimed(&self) -> Carried {
        let is_claim = |volume: &&Value| volume.get("persistentVolumeClaim").is_some_and(Value::is_object);
        let volumes: Vec<Value> =
            list(self.0.pointer("/spec/volumes")).iter().filter(is_claim).cloned().collect();
        let mounts = list(self.0.pointer("/spec/containers/0/volumeMounts")).iter();
        let mounts = mounts.filter(|mount| volumes.iter().any(|volume| name(volume) == name(mount)));
        Carried { mounts: mounts.cloned().collect(), volumes }
    }

    /// Where the values of these variables are.
    ///
    /// # Errors
    /// The name of one that is nowhere.
    pub(crate) fn context(&self, names: &[String]) -> Result<BTreeMap<String, Place>, String> {
        let secret = self.context_secret();
        // In pods of earlier versions a dollar sign stands for itself.
        let is_escaped = self.annotations().contains_key(keys::SPAWN_INPUTS);
        let env = list(self.0.pointer("/spec/containers/0/env"));
        let find = |wanted: &String| {
            let entry = env.iter().find(|entry| name(entry) == Some(wanted))?;
            let stored = entry.pointer("/valueFrom/secretKeyRef").and_then(|reference| {
                let of = reference.get("name")?.as_str()?;
                (Some(of) == secret.as_deref()).then(|| reference.get("key")?.as_str())?
            });
            stored.map(|key| Place::Stored(key.to_owned())).or_else(|| {
                // An empty value is left out.
                let text = entry.get("value").and_then(Value::as_str).unwrap_or_default();
                let text = if is_escaped { text.replace("$$", "$") } else { text.to_owned() };
                entry.get("valueFrom").is_none().then_some(Place::Literal(text))
            })
        };
        names
            .iter()
            .map(|name| find(name).map(|value| (name.clone(), value)).ok_or_else(|| name.clone()))
            .collect()
    }

    /// The manifest by which it can be created once more under its name.
    pub(crate) fn manifest(&self) -> Value {
        let metadata = self.0.get("metadata").cloned().unwrap_or_default();
        let kept = |member: &str| metadata.get(member).cloned().unwrap_or_else(|| json!({}));
        let mut annotations = self.annotations();
        for key in [keys::UPGRADE, keys::UPGRADE_FROM, keys::UPGRADE_ROLLBACK, keys::LAST_UPGRADE_ERROR] {
            annotations.remove(key);
        }
        let mut spec = self.0.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        spec.retain(|member, _| !GIVEN.contains(&member.as_str()));
        remove_tokens(&mut spec);
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": kept("name"), "namespace": kept("namespace"), "labels": kept("labels"),
                "annotations": annotations,
            },
            "spec": spec,
        })
    }
}

impl Carried {
    pub(crate) fn is_empty(&self) -> bool {
        self.volumes.is_empty() && self.mounts.is_empty()
    }

    /// Puts them into a template's spec: its own volumes of the same names would hold nothing of the user's, but what it
    /// mounts elsewhere stays there.
    pub(crate) fn put_into(&self, spec: &mut Value) {
        let Some(spec) = spec.as_object_mut() else { return };
        replace_by(spec, "volumes", &self.volumes, "name");
        let first = spec.get_mut("containers").and_then(|all| all.get_mut(0));
        if let Some(first) = first.and_then(Value::as_object_mut) {
            replace_by(first, "volumeMounts", &self.mounts, "mountPath");
        }
    }
}

/// Puts items into a list, in place of those of the same key.
fn replace_by(holder: &mut Map<String, Value>, member: &str, items: &[Value], key: &str) {
    if items.is_empty() {
        return;
    }
    let slot = holder.entry(member).or_insert_with(|| json!([]));
    if !slot.is_array() {
        *slot = json!([]);
    }
    if let Value::Array(present) = slot {
        present.retain(|known| items.iter().all(|item| item.get(key) != known.get(key)));
        present.extend(items.iter().cloned());
    }
}

/// Removes what the cluster puts into every pod so that it can speak to the API server.
fn remove_tokens(spec: &mut Map<String, Value>) {
    let is_token = |entry: &Value| name(entry).is_some_and(|name| name.starts_with(TOKEN_VOLUMES));
    let keep = |holder: Option<&mut Value>| {
        if let Some(Value::Array(entries)) = holder {
            entries.retain(|entry| !is_token(entry));
        }
    };
    keep(spec.get_mut("volumes"));
    for member in ["containers", "initContainers"] {
        let containers = spec.get_mut(member).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            keep(container.get_mut("volumeMounts"));
        }
    }
}

pub(crate) fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn name(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(annotations: Value, spec: Value) -> OldPod {
        OldPod(json!({
            "metadata": {
                "name": "ws-w1", "namespace": "n", "uid": "u", "resourceVersion": "7", "creationTimestamp": "x",
                "labels": {"a": "b"}, "annotations": annotations,
            },
            "spec": spec, "status": {"phase": "Running"},
        }))
    }

    fn of_an_earlier_version() -> OldPod {
        old(
            json!({"nogoo9/workspace-name": "Mine", "nogoo9/workspace-port": "1"}),
            json!({
                "nodeName": "n1", "priority": 0,
                "containers": [{
                    "name": "m", "image": "old",
                    "env": [
                        {"name": "TOKEN", "value": "s3cret$$"}, {"name": "MODE", "value": "old"},
                        {"name": "EMPTY", "value": ""}, {"name": "AWS_ROLE_ARN", "value": "arn"},
                        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}},
                    ],
                    "volumeMounts": [
                        {"name": "home", "mountPath": "/home"}, {"name": "home", "mountPath": "/b"},
                        {"name": "tmp", "mountPath": "/tmp"}, {"name": "kube-api-access-x", "mountPath": "/var/run"},
                    ],
                }],
                "volumes": [
                    {"name": "home", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "tmp", "emptyDir": {}},
                    {"name": "kube-api-access-x", "projected": {"sources": []}},
                ],
            }),
        )
    }

    #[test]
    fn k25_of_an_earlier_versions_pod_name_context_and_claims_are_kept_and_nothing_else() {
        let mut template = json!({
            "containers": [
                {"name": "m", "image": "new", "env": [{"name": "MODE", "value": "new"}],
                 "volumeMounts": [{"name": "home", "mountPath": "/home"}, {"name": "x", "mountPath": "/x"}]},
            ],
            "volumes": [{"name": "home", "emptyDir": {}}, {"name": "x", "emptyDir": {}}],
        });
        let pod = of_an_earlier_version();
        let inputs = pod.inputs(&template).unwrap();
        assert_eq!(inputs.name.as_deref(), Some("Mine"));
        assert_eq!(inputs.context, ["TOKEN", "EMPTY"]);
        assert!(inputs.annotations.is_empty() && inputs.labels.is_empty());
        let values = pod.context(&inputs.context).unwrap();
        assert_eq!(values.get("TOKEN"), Some(&Place::Literal("s3cret$$".into())));
        inputs.carried.put_into(&mut template);
        assert_eq!(
            template["volumes"],
            json!([{"name": "x", "emptyDir": {}}, {"name": "home", "persistentVolumeClaim": {"claimName": "c"}}])
        );
        let mounts = template["containers"][0]["volumeMounts"].as_array().unwrap();
        let paths: Vec<_> = mounts.iter().filter_map(|mount| mount["mountPath"].as_str()).collect();
        assert_eq!(paths, ["/x", "/home", "/b"]);
    }

    #[test]
    fn values_are_found_where_they_are() {
        let reference = json!({"secretKeyRef": {"name": "ws-w1-context", "key": "K"}});
        let other = json!({"secretKeyRef": {"name": "somebodys", "key": "K"}});
        let env = json!([
            {"name": "A", "valueFrom": reference}, {"name": "B", "valueFrom": other}, {"name": "C", "value": "$$x"},
        ]);
        let annotations = json!({"nogoo9/context-secret": "ws-w1-context", "nogoo9/spawn-inputs": "{}"});
        let pod = old(annotations, json!({"containers": [{"name": "m", "env": env}]}));
        let values = pod.context(&["A".into(), "C".into()]).unwrap();
        assert_eq!(values.get("A"), Some(&Place::Stored("K".into())));
        assert_eq!(values.get("C"), Some(&Place::Literal("$x".into())));
        // Somebody else's Secret is not read in the workspace's name.
        assert_eq!(pod.context(&["B".into()]), Err("B".into()));
    }

    #[test]
    fn the_record_is_the_pod_without_what_the_cluster_gave_it() {
        let mut pod = of_an_earlier_version();
        pod.0["metadata"]["annotations"]["nogoo9/upgrade"] = "{}".into();
        let manifest = pod.manifest();
        assert_eq!(manifest["metadata"]["name"], "ws-w1");
        assert_eq!(manifest["metadata"]["annotations"].as_object().unwrap().len(), 2);
        let text = manifest.to_string();
        for gone in ["kube-api-access", "nodeName", "priority", "status\"", "uid", "resourceVersion"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        assert_eq!(manifest["spec"]["containers"][0]["volumeMounts"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn inputs_that_were_not_kept_can_not_be_guessed() {
        let pod = old(json!({"nogoo9/template-origin": "BuiltIn"}), json!({"containers": []}));
        assert!(pod.inputs(&json!({})).is_err());
        let pod = old(json!({"nogoo9/spawn-inputs": "{\"labels\": 1}"}), json!({"containers": []}));
        assert!(pod.inputs(&json!({})).is_err());
    }
}
