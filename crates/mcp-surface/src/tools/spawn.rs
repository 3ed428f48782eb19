//! The tool that makes workspaces.

use std::{collections::BTreeMap, time::Duration};

use nocrd_authz::policy::Action;
use nocrd_model::Subject;
use nocrd_spawner::{
    Context, Source, SpawnRequest, Spawned, TemplateRef, WaitOptions, Workspace, WorkspaceId,
    templates::overrides::ContainerOverride,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::overrides::OverrideParams;
use crate::{
    call::{Call, Steps, workspace_id},
    error::{Error, Failure},
    tasks::Work,
    text,
    tool::{Effect, Reply, Tool},
    view::workspace::url,
};

pub(crate) struct SpawnWorkspace;

// No `Debug`: the context often holds secrets.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpawnParams {
    /// New: up to 63 lower-case letters, digits and `-`.
    id: String,
    /// `name` or `namespace/name`, from list_templates.
    template_ref: Option<String>,
    /// Kubernetes PodSpec, instead of `templateRef`; may also hold `labels` and `annotations`.
    spec: Option<Map<String, Value>>,
    /// Display name.
    name: Option<String>,
    /// Environment variables, kept in a Secret; all of the template's `requiredContext`.
    #[serde(default)]
    context: BTreeMap<String, String>,
    /// Default: the server's.
    namespace: Option<String>,
    /// Return when it is ready or can't start.
    #[serde(default)]
    wait: bool,
    /// With `wait`: give up after so long.
    #[schemars(range(min = 1))]
    timeout_seconds: Option<u32>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Changes to the template's containers, by `name`.
    #[serde(default)]
    container_overrides: Vec<OverrideParams>,
    /// Changes to other PodSpec fields.
    #[serde(default)]
    top_level_overrides: Map<String, Value>,
    /// Owner, for administrators. Default: you.
    user_sub: Option<String>,
}

/// Pod-level fields that say where and how long a pod runs, and nothing of what.
const PLACEMENT: [&str; 8] = [
    "activeDeadlineSeconds",
    "affinity",
    "annotations",
    "labels",
    "nodeSelector",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
];

impl SpawnParams {
    /// Tells whether it asks for a pod of the caller's own making, rather than for a template with other variables or
    /// resources.
    fn is_raw(&self) -> bool {
        self.spec.is_some()
            || self.container_overrides.iter().any(OverrideParams::is_raw)
            || self.top_level_overrides.keys().any(|field| !PLACEMENT.contains(&field.as_str()))
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpawnView {
    id: String,
    /// `spawned`, or with `wait` `running`.
    status: String,
    pod_name: String,
    namespace: String,
    /// Where its main page will be.
    url: String,
    warnings: Vec<String>,
}

impl Tool for SpawnWorkspace {
    type Params = SpawnParams;
    type Output = SpawnView;

    const NAME: &'static str = "spawn_workspace";
    const TITLE: &'static str = "Spawn a workspace";
    const DESCRIPTION: &'static str = "Start a new workspace from a template (`templateRef`) or your own pod spec (`spec`). Returns once the pod is created, with `wait: true` once it is ready, or says why it does not \
        start. Then use its `url`; call stop_workspace when done.";
    const EFFECT: Effect = Effect::Create;
    const ACTION: Option<Action> = Some(Action::WorkspaceWrite);

    async fn run(call: Call, mut params: SpawnParams) -> Result<Reply<SpawnView>, Failure> {
        params.template_ref.take_if(|reference| reference.is_empty());
        // Clients that send both have always got the template.
        let ignored = params.template_ref.is_some() && params.spec.take().is_some();
        if params.is_raw() {
            call.check(Self::NAME, Action::Write)?;
        }
        let (wait, timeout) = (params.wait, params.timeout_seconds);
        let spawned = call.spawner().spawn(request(&call, params)?).await.map_err(Error::Spawner)?;
        let mut view = SpawnView::new(&call, &spawned);
        if ignored {
            view.warnings.push("`spec` was ignored, since `templateRef` was given".to_owned());
        }
        if !wait {
            let hint = format!("It starts now; get_workspace tells when it is ready at {}.", view.url);
            return Ok(Reply::new(view.text(&hint), view));
        }
        let (timeout, warning) = call.patience(timeout);
        view.warnings.extend(warning);
        if call.takes_tasks {
            let text = view.text("It starts now.");
            return Ok(Reply::new(text, view).followed_by(Work::Start { id: spawned.id }, timeout));
        }
        match wait_ready(&call, &spawned, timeout).await {
            Ok(workspace) => {
                let warnings = std::mem::take(&mut view.warnings);
                Ok(SpawnView { warnings, ..SpawnView::ready(&call.options().base_url, &workspace) }.reply())
            }
            Err(error) => Err(view.kept(&call, &spawned.id, error)),
        }
    }
}

/// Makes the request, with the owner that the caller may name.
fn request(call: &Call, params: SpawnParams) -> Result<SpawnRequest, Error> {
    let source = match (params.template_ref, params.spec) {
        (Some(reference), None) => Source::Template(reference.parse::<TemplateRef>()?),
        (None, Some(spec)) => Source::Inline(Value::Object(spec)),
        _ => return Err(nocrd_spawner::Error::NoSource.into()),
    };
    Ok(SpawnRequest::builder()
        .id(workspace_id(&params.id)?)
        .source(source)
        .maybe_namespace(params.namespace)
        .caller(call.caller().clone())
        .may_write(call.may_write())
        // Nobody is asked here whether it may go.
        .replaces_finished(!call.options().confirm_destructive)
        .maybe_owner(params.user_sub.filter(|subject| !subject.is_empty()).map(Subject::new))
        .maybe_name(params.name)
        .context(params.context.into_iter().collect::<Context>())
        .labels(params.labels)
        .annotations(params.annotations)
        .container_overrides(params.container_overrides.into_iter().map(ContainerOverride::from).collect())
        .top_level_overrides(params.top_level_overrides)
        .build())
}

/// Waits until the workspace is ready and passes on every step, until the client cancels.
async fn wait_ready(call: &Call, spawned: &Spawned, timeout: Duration) -> Result<Workspace, Error> {
    let options = WaitOptions { timeout, ..WaitOptions::default() };
    let wait = |steps: Steps| {
        call.spawner().wait_ready(&spawned.id, call.owner(), options, move |step| steps.tell(step))
    };
    call.following(wait).await
}

/// The reply when a workspace is ready.
pub(crate) fn ready(base_url: &str, workspace: &Workspace) -> Reply<SpawnView> {
    SpawnView::ready(base_url, workspace).reply()
}

impl SpawnView {
    fn ready(base_url: &str, workspace: &Workspace) -> Self {
        Self {
            id: workspace.id().to_string(),
            status: "running".to_owned(),
            pod_name: workspace.pod().pod_name.clone(),
            namespace: workspace.pod().namespace.to_string(),
            url: url(base_url, workspace.id(), workspace.path()),
            warnings: Vec::new(),
        }
    }

    fn reply(self) -> Reply<Self> {
        let hint = format!("It is ready at {}.", self.url);
        Reply::new(self.text(&hint), self)
    }

    fn new(call: &Call, spawned: &Spawned) -> Self {
        let path = call.spawner().get(&spawned.id, call.owner()).map(|workspace| workspace.path().to_owned());
        Self {
            id: spawned.id.to_string(),
            status: "spawned".to_owned(),
            pod_name: spawned.pod_name.clone(),
            namespace: spawned.namespace.to_string(),
            url: url(&call.options().base_url, &spawned.id, path.as_deref().unwrap_or("/")),
            warnings: spawned.warnings.iter().map(|warning| text::line(warning, 500)).collect(),
        }
    }

    fn text(&self, hint: &str) -> String {
        let text = format!("Successfully spawned workspace {} (Pod: {}). {hint}", self.id, self.pod_name);
        text::with_warnings(text, &self.warnings)
    }

    /// The failure of a wait. The workspace stays as it is: its owner may want to look at it.
    fn kept(mut self, call: &Call, id: &WorkspaceId, error: Error) -> Failure {
        let left = call.spawner().get(id, call.owner()).ok();
        self.status =
            left.as_ref().map_or("NotFound".to_owned(), |workspace| workspace.status().state.to_string());
        let note = left.map(|_| match error {
            Error::Cancelled => {
                format!("The workspace was created and stays; stop_workspace {id} removes it")
            }
            _ => format!(
                "It is kept as it is: get_workspace_events {id} tells more, stop_workspace {id} removes it"
            ),
        });
        let partial = serde_json::to_value(self).ok().and_then(|value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        });
        Failure { error, note, partial }
    }
}
