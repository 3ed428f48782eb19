//! Storing, changing and deleting templates.

use std::collections::BTreeMap;

use nocrd_authz::policy::Action;
use nocrd_model::Namespace;
use nocrd_spawner::{StoredTemplate, TemplateChange, TemplateRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    call::Call,
    error::{Error, Failure},
    text,
    tool::{Effect, Reply, Thing, Tool},
};

/// A template and what to know of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredView {
    name: String,
    namespace: String,
    /// What spawn_workspace takes.
    template_ref: String,
    warnings: Vec<String>,
}

impl StoredView {
    fn reply(stored: StoredTemplate, what: &str) -> Reply<Self> {
        let StoredTemplate { name, namespace, warnings } = stored;
        let view = Self {
            template_ref: TemplateRef { namespace: Some(namespace.clone()), name: name.clone() }.to_string(),
            namespace: namespace.to_string(),
            warnings: warnings.iter().map(|warning| text::line(warning, 500)).collect(),
            name,
        };
        Reply::new(text::with_warnings(format!("{what} template {}", view.name), &view.warnings), view)
    }
}

pub(crate) struct CreateTemplate;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CreateTemplateParams {
    name: String,
    /// Default: the server's.
    namespace: Option<String>,
    /// A sentence.
    description: Option<String>,
    /// Groups templates in lists.
    tag: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// `nogoo9/` annotations, such as `nogoo9/workspace-port`, `nogoo9/required-context`, `nogoo9/template-version`.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Kubernetes PodSpec; `${{user}}` and `${{workspace_id}}` are replaced when it is used.
    spec: Map<String, Value>,
}

impl Tool for CreateTemplate {
    type Params = CreateTemplateParams;
    type Output = StoredView;

    const NAME: &'static str = "create_template";
    const TITLE: &'static str = "Store a template";
    const DESCRIPTION: &'static str = "Store a template for workspaces and pods, which everybody may then use. Pass its `templateRef` to \
        spawn_workspace.";
    const EFFECT: Effect = Effect::Create;
    const ACTION: Option<Action> = Some(Action::TemplateWrite);
    const NAMED: Option<Thing> = Some(Thing::Template);

    async fn run(call: Call, params: CreateTemplateParams) -> Result<Reply<StoredView>, Failure> {
        let CreateTemplateParams { name, namespace, description, tag, labels, annotations, spec } = params;
        let change = TemplateChange { description, tag, labels, annotations, spec: Some(spec) };
        let stored =
            call.spawner().create_template(call.caller(), namespace.as_deref(), &name, &change).await;
        Ok(StoredView::reply(stored.map_err(Error::Spawner)?, "Created"))
    }
}

pub(crate) struct UpdateTemplate;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct UpdateTemplateParams {
    /// Its name or `templateRef`.
    name: String,
    /// Default: the server's.
    namespace: Option<String>,
    description: Option<String>,
    tag: Option<String>,
    /// Added to what it has.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Added to what it has.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// In place of what it has.
    spec: Option<Map<String, Value>>,
}

impl Tool for UpdateTemplate {
    type Params = UpdateTemplateParams;
    type Output = StoredView;

    const NAME: &'static str = "update_template";
    const TITLE: &'static str = "Change a template";
    const DESCRIPTION: &'static str = "Change a template that you created; what is left out stays. Workspaces made from it stay as they \
        are: raise its version annotation so that they count as outdated.";
    const EFFECT: Effect = Effect::Change;
    const ACTION: Option<Action> = Some(Action::TemplateWrite);
    const NAMED: Option<Thing> = Some(Thing::Template);

    async fn run(call: Call, params: UpdateTemplateParams) -> Result<Reply<StoredView>, Failure> {
        let UpdateTemplateParams { name, namespace, description, tag, labels, annotations, spec } = params;
        let (name, namespace) = named(&name, namespace)?;
        let change = TemplateChange { description, tag, labels, annotations, spec };
        let stored =
            call.spawner().update_template(call.caller(), namespace.as_deref(), &name, &change).await;
        Ok(StoredView::reply(stored.map_err(Error::Spawner)?, "Updated"))
    }
}

pub(crate) struct DeleteTemplate;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct DeleteTemplateParams {
    /// Its name or `templateRef`.
    name: String,
    /// Default: the server's.
    namespace: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct DeletedTemplate {
    name: String,
    namespace: String,
}

impl Tool for DeleteTemplate {
    type Params = DeleteTemplateParams;
    type Output = DeletedTemplate;

    const NAME: &'static str = "delete_template";
    const TITLE: &'static str = "Delete a template";
    const DESCRIPTION: &'static str = "Delete a template that you created. Workspaces made from it go on running; nobody can make new ones \
        from it.";
    const EFFECT: Effect = Effect::Destroy;
    const ACTION: Option<Action> = Some(Action::TemplateWrite);
    const NAMED: Option<Thing> = Some(Thing::Template);

    async fn run(call: Call, params: DeleteTemplateParams) -> Result<Reply<DeletedTemplate>, Failure> {
        let (name, namespace) = named(&params.name, params.namespace)?;
        let deleted = call.spawner().delete_template(call.caller(), namespace.as_deref(), &name).await;
        let StoredTemplate { name, namespace, .. } = deleted.map_err(Error::Spawner)?;
        let text = format!("Deleted template {name}");
        Ok(Reply::new(text, DeletedTemplate { name, namespace: namespace.to_string() }))
    }
}

/// The name and namespace that are meant by a name or reference: the reference's own namespace counts most.
fn named(text: &str, namespace: Option<String>) -> Result<(String, Option<String>), Error> {
    let TemplateRef { namespace: own, name } = text.parse().map_err(Error::Template)?;
    Ok((name, own.as_ref().map(Namespace::to_string).or(namespace)))
}
