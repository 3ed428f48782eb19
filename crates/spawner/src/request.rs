use std::collections::BTreeMap;

use nocrd_model::{Caller, PodName, Subject, WorkspaceId};
use nocrd_templates::{TemplateRef, overrides::ContainerOverride};
use serde_json::{Map, Value};

use crate::{Context, Product};

/// What a workspace is made from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A template of one of the three sources.
    Template(TemplateRef),
    /// A pod spec that the caller brings, as JSON.
    Inline(Value),
}

impl From<TemplateRef> for Source {
    fn from(reference: TemplateRef) -> Self {
        Self::Template(reference)
    }
}

/// A wish for a workspace, or as [`PodRequest`] for a pod that is none.
///
/// ```
/// # use nocrd_spawner::{SpawnRequest, WorkspaceId};
/// let request = SpawnRequest::builder()
///     .id(WorkspaceId::parse("agent-42")?)
///     .source("default-agent-workspace".parse::<nocrd_spawner::TemplateRef>()?)
///     .context([("TASK", "tidy up")].into_iter().collect())
///     .build();
/// # assert_eq!(request.owner.as_str(), "guest");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, bon::Builder)]
pub struct SpawnRequest<Id = WorkspaceId> {
    /// A workspace's id is unique over everything the server watches, finished workspaces included; a pod's name is
    /// unique in its namespace.
    pub id: Id,
    /// What to run.
    #[builder(into)]
    pub source: Source,
    /// Namespace; the cluster's default one when absent.
    #[builder(into)]
    pub namespace: Option<String>,
    /// Who wishes it: their rights decide which templates they may use, for whom, and whether
    /// [`Config::max_workspaces_per_user`](crate::Config::max_workspaces_per_user) applies. By default the local user,
    /// who may do everything.
    #[builder(default = Caller::local())]
    pub caller: Caller,
    /// Whose it will be; the caller's when absent. Only administrators make workspaces for somebody else.
    #[builder(default = caller.subject.clone())]
    pub owner: Subject,
    /// Whether the caller has the right to run what they like, which specs and images of their own ask for; whoever
    /// makes the request has to know. Without it they set only the variables that the template declares. By default
    /// ordinary callers don't have it.
    #[builder(default = !caller.is_ordinary())]
    pub may_write: bool,
    /// Whether a workspace of this id that has finished, of the same owner, is removed to make room.
    #[builder(default = true)]
    pub replaces_finished: bool,
    /// Display name of a workspace.
    #[builder(into)]
    pub name: Option<String>,
    /// Variables for the first container, the init container and the pre-stop sidecar.
    #[builder(default)]
    pub context: Context,
    /// Labels for the pod, beside the template's.
    #[builder(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations for the pod. With an inline spec they may hold the spawner's directives; beside a template they
    /// may not, so that nobody rewires a curated template.
    #[builder(default)]
    pub annotations: BTreeMap<String, String>,
    /// Changes to containers of the template, matched by name.
    #[builder(default)]
    pub container_overrides: Vec<ContainerOverride>,
    /// Changes to pod-level fields.
    #[builder(default)]
    pub top_level_overrides: Map<String, Value>,
}

/// A wish for a pod that is no workspace.
pub type PodRequest = SpawnRequest<PodName>;

impl<Id: Into<Product>> SpawnRequest<Id> {
    /// The same wish, with its product as a value rather than a type.
    #[must_use]
    pub fn erased(self) -> SpawnRequest<Product> {
        let Self {
            id,
            source,
            namespace,
            caller,
            owner,
            may_write,
            replaces_finished,
            name,
            context,
            labels,
            annotations,
            container_overrides,
            top_level_overrides,
        } = self;
        SpawnRequest {
            id: id.into(),
            source,
            namespace,
            caller,
            owner,
            may_write,
            replaces_finished,
            name,
            context,
            labels,
            annotations,
            container_overrides,
            top_level_overrides,
        }
    }
}
