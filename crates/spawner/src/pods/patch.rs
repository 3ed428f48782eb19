//! What may be changed of a pod that is there.

use nocrd_cluster::Changes;
use serde_json::{Map, Value};

use crate::Error;

/// A change of a pod: of its labels, its annotations, and the resources of its containers. What else a patch could say is
/// decided when the pod is created.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodPatch {
    /// The name of the pod that it is for, where it tells.
    pub(super) name: Option<String>,
    pub(super) labels: Changes,
    pub(super) annotations: Changes,
    /// Entries of `spec.containers`, each with `name` and `resources`.
    pub(super) resources: Vec<Value>,
}

impl PodPatch {
    /// Reads a patch in the form of a strategic merge patch: maps are merged, `null` removes a key, containers are found
    /// by their names.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names the first member that can't be changed, or is of the wrong form.
    pub fn parse(patch: &Map<String, Value>) -> Result<Self, Error> {
        let mut read = Self::default();
        for (member, value) in patch {
            match member.as_str() {
                // What says which object it is.
                "apiVersion" if value == "v1" => {}
                "kind" if value == "Pod" => {}
                "metadata" => read.metadata(object("patch.metadata", value)?)?,
                "spec" => read.spec(object("patch.spec", value)?)?,
                _ => return Err(fixed(&format!("patch.{}", shown(member)))),
            }
        }
        if read == (Self { name: read.name.clone(), ..Self::default() }) {
            return Err(Error::InvalidArgument("patch: it changes nothing".into()));
        }
        Ok(read)
    }

    fn metadata(&mut self, metadata: &Map<String, Value>) -> Result<(), Error> {
        for (member, value) in metadata {
            let path = format!("patch.metadata.{}", shown(member));
            match member.as_str() {
                "labels" => self.labels = changes(&path, value)?,
                "annotations" => self.annotations = changes(&path, value)?,
                "name" if value.is_string() => self.name = value.as_str().map(str::to_owned),
                _ => return Err(fixed(&path)),
            }
        }
        Ok(())
    }

    fn spec(&mut self, spec: &Map<String, Value>) -> Result<(), Error> {
        for (member, value) in spec {
            let path = format!("patch.spec.{}", shown(member));
            if member != "containers" {
                return Err(fixed(&path));
            }
            let Value::Array(containers) = value else { return Err(expected(&path, "a list of containers")) };
            for (i, container) in containers.iter().enumerate() {
                self.resources.push(resources(&format!("{path}[{i}]"), container)?);
            }
        }
        let names: std::collections::BTreeSet<&str> = self.containers().collect();
        if names.len() < self.resources.len() {
            return Err(Error::InvalidArgument("patch.spec.containers: a container is named twice".into()));
        }
        Ok(())
    }

    /// The names of the containers that get other resources.
    pub(super) fn containers(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().filter_map(|container| container.get("name")?.as_str())
    }
}

fn resources(path: &str, container: &Value) -> Result<Value, Error> {
    let container = object(path, container)?;
    if let Some(other) = container.keys().find(|member| !matches!(member.as_str(), "name" | "resources")) {
        return Err(fixed(&format!("{path}.{}", shown(other))));
    }
    if !container.get("name").is_some_and(Value::is_string) {
        return Err(expected(&format!("{path}.name"), "the container's name"));
    }
    let path = format!("{path}.resources");
    let given = object(&path, container.get("resources").unwrap_or(&Value::Null))?;
    for (member, amounts) in given {
        let path = format!("{path}.{}", shown(member));
        if !matches!(member.as_str(), "limits" | "requests") {
            return Err(fixed(&path));
        }
        let is_amount = |amount: &Value| amount.is_string() || amount.is_number() || amount.is_null();
        if !object(&path, amounts)?.values().all(is_amount) {
            return Err(expected(&path, "an object of quantities"));
        }
    }
    Ok(Value::Object(container.clone()))
}

fn changes(path: &str, value: &Value) -> Result<Changes, Error> {
    let one = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Ok((key.clone(), Some(text.clone()))),
        Value::Null => Ok((key.clone(), None)),
        _ => Err(expected(path, "an object of texts, or of nulls for what is to go")),
    };
    object(path, value)?.iter().map(one).collect()
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Error> {
    value.as_object().ok_or_else(|| expected(path, "an object"))
}

fn expected(path: &str, what: &str) -> Error {
    Error::InvalidArgument(format!("{path}: expected {what}"))
}

fn fixed(path: &str) -> Error {
    Error::InvalidArgument(format!(
        "{path}: only metadata.labels, metadata.annotations and spec.containers[].resources can be changed"
    ))
}

/// A member's name, of a readable length.
fn shown(member: &str) -> String {
    member.escape_debug().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(patch: &Value) -> Result<PodPatch, Error> {
        PodPatch::parse(patch.as_object().unwrap())
    }

    #[test]
    fn labels_annotations_and_resources_can_be_changed() {
        let patch = parse(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "labels": {"a/b": "c", "a/gone": null}, "annotations": {"a/note": ""}},
            "spec": {"containers": [{"name": "m", "resources": {"limits": {"cpu": "1", "memory": null}}}]},
        }))
        .unwrap();
        assert_eq!(patch.labels["a/b"].as_deref(), Some("c"));
        assert_eq!(patch.labels["a/gone"], None);
        assert_eq!(patch.annotations["a/note"].as_deref(), Some(""));
        assert_eq!(patch.containers().collect::<Vec<_>>(), ["m"]);
    }

    #[test]
    fn k18_nothing_else_can() {
        for (patch, place) in [
            (json!({"metadata": {"ownerReferences": []}}), "patch.metadata.ownerReferences"),
            (json!({"metadata": {"finalizers": null}}), "patch.metadata.finalizers"),
            (json!({"metadata": {"deletionTimestamp": "x"}}), "patch.metadata.deletionTimestamp"),
            (json!({"metadata": {"name": 1}}), "patch.metadata.name"),
            (json!({"metadata": {"uid": "x"}}), "patch.metadata.uid"),
            (json!({"metadata": {"$patch": "replace"}}), "patch.metadata.$patch"),
            (json!({"metadata": {"labels": {"a": 1}}}), "patch.metadata.labels"),
            (json!({"metadata": {"labels": []}}), "patch.metadata.labels"),
            (json!({"metadata": "x"}), "patch.metadata"),
            (json!({"spec": {"serviceAccountName": "admin"}}), "patch.spec.serviceAccountName"),
            (json!({"spec": {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}}), "patch.spec.volumes"),
            (json!({"spec": {"$setElementOrder/containers": []}}), "patch.spec.$setElementOrder/containers"),
            (json!({"spec": {"containers": {}}}), "patch.spec.containers"),
            (
                json!({"spec": {"containers": [{"name": "m", "image": "evil"}]}}),
                "patch.spec.containers[0].image",
            ),
            (
                json!({"spec": {"containers": [{"name": "m", "resources": {"claims": []}}]}}),
                "patch.spec.containers[0].resources.claims",
            ),
            (
                json!({"spec": {"containers": [{"name": "m", "resources": {"limits": {"cpu": {}}}}]}}),
                "patch.spec.containers[0].resources.limits",
            ),
            (json!({"spec": {"containers": [{"resources": {}}]}}), "patch.spec.containers[0].name"),
            (json!({"spec": {"containers": [{"name": "m"}]}}), "patch.spec.containers[0].resources"),
            (
                json!({"spec": {"containers": [{"name": "m", "resources": {}}, {"name": "m", "resources": {}}]}}),
                "patch.spec.containers",
            ),
            (json!({"spec": {"initContainers": []}}), "patch.spec.initContainers"),
            (json!({"status": {"phase": "Running"}}), "patch.status"),
            (json!({"$patch": "delete"}), "patch.$patch"),
            (json!({"apiVersion": "v2"}), "patch.apiVersion"),
            (json!({"kind": "Secret"}), "patch.kind"),
            (json!({}), "patch"),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}), "patch"),
            (json!({"metadata": {}, "spec": {"containers": []}}), "patch"),
        ] {
            let message = parse(&patch).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{place}: ")), "{patch}: {message}");
        }
    }
}
