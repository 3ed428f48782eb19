//! Tools about pods, be they workspaces' or not.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod from_template;
pub(crate) mod read;

use nocrd_model::{Namespace, PodName};
use nocrd_spawner::VisiblePod;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{call::Call, error::Error, text};

/// A pod that was created.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CreatedPod {
    name: String,
    namespace: String,
    warnings: Vec<String>,
}

impl CreatedPod {
    fn new(started: nocrd_spawner::StartedPod) -> Self {
        let warnings = started.warnings.iter().map(|warning| text::line(warning, 500)).collect();
        Self { name: started.name, namespace: started.namespace.to_string(), warnings }
    }

    fn text(&self) -> String {
        text::with_warnings(
            format!("Created pod {} in namespace {}", self.name, self.namespace),
            &self.warnings,
        )
    }
}

/// Reads the name for a new pod.
fn new_name(text: &str) -> Result<PodName, Error> {
    PodName::parse(text).map_err(|error| Error::argument(format!("argument \"name\": {error}")))
}

/// Finds a pod that the caller may see.
async fn find(call: &Call, name: &str, namespace: Option<&str>) -> Result<VisiblePod, Error> {
    let namespace: Namespace = call.namespace(namespace)?;
    let found = call.spawner().find_pod(call.caller(), &namespace, name);
    Ok(call.unless_cancelled(found).await??)
}
