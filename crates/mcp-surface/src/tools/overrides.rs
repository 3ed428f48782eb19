//! Changes to the containers of a template, as an argument.

use nocrd_spawner::templates::overrides::ContainerOverride;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

// As `ContainerOverride`, with a schema.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct OverrideParams {
    name: String,
    image: Option<String>,
    command: Option<Vec<String>>,
    args: Option<Vec<String>>,
    env: Option<Vec<Map<String, Value>>>,
    env_from: Option<Vec<Map<String, Value>>>,
    resources: Option<Map<String, Value>>,
    volume_mounts: Option<Vec<Map<String, Value>>>,
}

impl OverrideParams {
    /// Tells whether it changes what the container runs or sees. Which variables a caller may set is the template's to
    /// say, and so the spawner's to check.
    pub(crate) fn is_raw(&self) -> bool {
        let Self { name: _, image, command, args, env, env_from, resources: _, volume_mounts } = self;
        image.is_some()
            || command.is_some()
            || args.is_some()
            || env.iter().flatten().any(reads_elsewhere)
            || env_from.is_some()
            || volume_mounts.is_some()
    }
}

/// Tells whether a variable takes its value from something else than the pod itself.
fn reads_elsewhere(variable: &Map<String, Value>) -> bool {
    let of_the_pod = |source: &String| matches!(source.as_str(), "fieldRef" | "resourceFieldRef");
    match variable.get("valueFrom") {
        None | Some(Value::Null) => false,
        Some(Value::Object(sources)) => !sources.keys().all(of_the_pod),
        Some(_) => true,
    }
}

impl From<OverrideParams> for ContainerOverride {
    fn from(params: OverrideParams) -> Self {
        let OverrideParams { name, image, command, args, env, env_from, resources, volume_mounts } = params;
        Self { name, image, command, args, env, env_from, resources, volume_mounts }
    }
}
