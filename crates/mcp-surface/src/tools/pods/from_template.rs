//! Creating a pod from a template.

use std::collections::BTreeMap;

use nocrd_authz::policy::Action;
use nocrd_spawner::{Context, PodRequest, TemplateRef, templates::overrides::ContainerOverride};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{CreatedPod, new_name};
use crate::{
    call::Call,
    error::{Error, Failure},
    tool::{Effect, Reply, Thing, Tool},
    tools::overrides::OverrideParams,
};

pub(crate) struct CreatePodFromTemplate;

// No `Debug`: the context often holds secrets.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatePodFromTemplateParams {
    /// `name` or `namespace/name`, from list_templates.
    template_ref: String,
    /// DNS subdomain, not beginning with `ws-`.
    name: String,
    /// Default: the server's.
    namespace: Option<String>,
    /// Environment variables, kept in a Secret; all of the template's `requiredContext`.
    #[serde(default)]
    context: BTreeMap<String, String>,
    /// Changes to the template's containers, by `name`.
    #[serde(default)]
    container_overrides: Vec<OverrideParams>,
    /// Changes to other PodSpec fields.
    #[serde(default)]
    top_level_overrides: Map<String, Value>,
}

impl Tool for CreatePodFromTemplate {
    type Params = CreatePodFromTemplateParams;
    type Output = CreatedPod;

    const NAME: &'static str = "create_pod_from_template";
    const TITLE: &'static str = "Create a pod from a template";
    const DESCRIPTION: &'static str = "Create a plain pod, with no URL, from a template. For something with a URL use \
        spawn_workspace. Call delete_pod when done.";
    const EFFECT: Effect = Effect::Create;
    const ACTION: Option<Action> = Some(Action::Write);
    const NAMED: Option<Thing> = Some(Thing::Pod);

    async fn run(call: Call, params: CreatePodFromTemplateParams) -> Result<Reply<CreatedPod>, Failure> {
        let request = PodRequest::builder()
            .id(new_name(&params.name)?)
            .source(params.template_ref.parse::<TemplateRef>().map_err(Error::Template)?)
            .maybe_namespace(params.namespace)
            .caller(call.caller().clone())
            .may_write(true)
            .context(params.context.into_iter().collect::<Context>())
            .container_overrides(
                params.container_overrides.into_iter().map(ContainerOverride::from).collect(),
            )
            .top_level_overrides(params.top_level_overrides)
            .build();
        let created = CreatedPod::new(call.spawner().start_pod(request).await.map_err(Error::Spawner)?);
        Ok(Reply::new(created.text(), created))
    }
}
