//! Creating a pod from a spec.

use std::{borrow::Cow, collections::BTreeMap};

use nocrd_authz::policy::Action;
use nocrd_spawner::{PodRequest, Source, templates::spec::FIELDS};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CreatedPod, new_name};
use crate::{
    call::Call,
    error::{Error, Failure},
    tool::{Effect, Reply, Thing, Tool},
};

pub(crate) struct CreatePod;

/// The name, the namespace, and the fields of the spec beside them.
#[derive(Deserialize)]
pub(crate) struct CreatePodParams {
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    spec: Map<String, Value>,
}

impl JsonSchema for CreatePodParams {
    fn schema_name() -> Cow<'static, str> {
        "CreatePodParams".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        properties.insert(
            "name".into(),
            json!({"type": "string", "description": "DNS subdomain, not beginning with `ws-`."}),
        );
        properties
            .insert("namespace".into(), json!({"type": "string", "description": "Default: the server's."}));
        for name in ["labels", "annotations"] {
            properties
                .insert(name.into(), json!({"type": "object", "additionalProperties": {"type": "string"}}));
        }
        // The type alone: the check of the spec as a whole names what is wrong inside, and models know the rest.
        properties.extend(FIELDS.iter().map(|(name, kind)| ((*name).to_owned(), json!({"type": kind}))));
        json_schema!({"type": "object", "properties": properties, "required": ["name", "containers"]})
    }
}

impl Tool for CreatePod {
    type Params = CreatePodParams;
    type Output = CreatedPod;

    const NAME: &'static str = "create_pod";
    const TITLE: &'static str = "Create a pod";
    const DESCRIPTION: &'static str = "Create a plain pod from the fields of a Kubernetes PodSpec. Nothing is routed to it; for \
        something with a URL use spawn_workspace. get_pod and get_pod_logs tell how it goes; call delete_pod when done.";
    const EFFECT: Effect = Effect::Create;
    const ACTION: Option<Action> = Some(Action::Write);
    const NAMED: Option<Thing> = Some(Thing::Pod);

    async fn run(call: Call, params: CreatePodParams) -> Result<Reply<CreatedPod>, Failure> {
        let request = PodRequest::builder()
            .id(new_name(&params.name)?)
            .source(Source::Inline(Value::Object(params.spec)))
            .maybe_namespace(params.namespace)
            .caller(call.caller().clone())
            .may_write(true)
            .labels(params.labels)
            .annotations(params.annotations)
            .build();
        let created = CreatedPod::new(call.spawner().start_pod(request).await.map_err(Error::Spawner)?);
        Ok(Reply::new(created.text(), created))
    }
}
