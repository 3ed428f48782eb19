//! A caller's changes to a template's pod spec.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// Changes to one container, found by its name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerOverride {
    /// Name of a container of the template.
    pub name: String,
    /// Replaces the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Replaces the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Variables (`EnvVar`): one of a known name is replaced where it stands, others are appended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<Map<String, Value>>>,
    /// Replaces the sources of variables (`EnvFromSource`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Vec<Map<String, Value>>>,
    /// Replaces the resources (`ResourceRequirements`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Map<String, Value>>,
    /// Replaces the volume mounts (`VolumeMount`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mounts: Option<Vec<Map<String, Value>>>,
}

/// Members of a pod spec that top-level overrides can't touch: containers are changed one by one.
const BY_CONTAINER: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Applies `overrides` to the containers of `spec`.
///
/// # Errors
/// [`Error::InvalidOverride`] for a container that the spec does not have.
pub fn apply_container_overrides(spec: &mut Value, overrides: &[ContainerOverride]) -> Result<(), Error> {
    let none = Vec::new();
    let known: Vec<String> = spec
        .get("containers")
        .and_then(Value::as_array)
        .unwrap_or(&none)
        .iter()
        .filter_map(|container| container.get("name").and_then(Value::as_str).map(str::to_owned))
        .collect();
    for (index, wanted) in overrides.iter().enumerate() {
        let containers = spec.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten();
        let found = containers
            .filter_map(Value::as_object_mut)
            .find(|container| container.get("name").and_then(Value::as_str) == Some(wanted.name.as_str()));
        let Some(container) = found else {
            return Err(Error::InvalidOverride {
                path: format!("containerOverrides[{index}].name"),
                reason: format!(
                    "the template has no container {:?}; it has {}",
                    wanted.name,
                    known.join(", ")
                ),
            });
        };
        apply_one(container, wanted)?;
    }
    Ok(())
}

fn apply_one(container: &mut Map<String, Value>, wanted: &ContainerOverride) -> Result<(), Error> {
    let changes = serde_json::to_value(wanted).map_err(|error| Error::InvalidOverride {
        path: "containerOverrides".into(),
        reason: error.to_string(),
    })?;
    let Value::Object(changes) = changes else { return Ok(()) };
    for (key, value) in changes {
        match (key.as_str(), value) {
            ("name", _) => {}
            ("env", Value::Array(variables)) => merge_env(container, variables),
            (_, value) => {
                container.insert(key, value);
            }
        }
    }
    Ok(())
}

fn merge_env(container: &mut Map<String, Value>, variables: Vec<Value>) {
    let slot = container.entry("env").or_insert_with(|| Value::Array(Vec::new()));
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    let Value::Array(env) = slot else { return };
    for variable in variables {
        match env.iter_mut().find(|known| known.get("name") == variable.get("name")) {
            Some(known) => *known = variable,
            None => env.push(variable),
        }
    }
}

/// Applies pod-level `overrides`: each member replaces the spec's, but `labels` and `annotations` are merged by key.
///
/// # Errors
/// [`Error::InvalidOverride`] for a member that holds containers.
pub fn apply_top_level(spec: &mut Value, overrides: &Map<String, Value>) -> Result<(), Error> {
    let refuse = |key: &str, reason: &str| Error::InvalidOverride {
        path: format!("topLevelOverrides.{key}"),
        reason: reason.to_owned(),
    };
    let Some(spec) = spec.as_object_mut() else { return Ok(()) };
    for (key, value) in overrides {
        if BY_CONTAINER.contains(&key.as_str()) {
            return Err(refuse(key, "containers are changed with containerOverrides"));
        }
        if matches!(key.as_str(), "labels" | "annotations") {
            let Value::Object(pairs) = value else { return Err(refuse(key, "expected an object of texts")) };
            let slot = spec.entry(key.as_str()).or_insert_with(|| Value::Object(Map::new()));
            match slot {
                Value::Object(known) => known.extend(pairs.clone()),
                other => *other = value.clone(),
            }
        } else {
            spec.insert(key.clone(), value.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
