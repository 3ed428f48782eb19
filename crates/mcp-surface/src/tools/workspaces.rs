//! Tools about workspaces, but for the one that makes them.

use nocrd_authz::policy::Action;
use nocrd_spawner::{ListFilter, StopOptions, Workspace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page;
use crate::{
    call::{Call, workspace_id},
    cursor,
    error::{Error, Failure},
    redact, text,
    tool::{Effect, Reply, Tool},
    view::{
        event::EventView,
        workspace::{WorkspaceDetails, WorkspaceEntry},
    },
};

/// Which list a cursor belongs to.
const LIST: &str = "workspaces";
/// Most events that are sent: the newest.
const MAX_EVENTS: usize = 100;

pub(crate) struct ListWorkspaces;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ListWorkspacesParams {
    /// Only this namespace. Default: all.
    namespace: Option<String>,
    /// Default 50, at most 200.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkspaceList {
    workspaces: Vec<WorkspaceEntry>,
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Tool for ListWorkspaces {
    type Params = ListWorkspacesParams;
    type Output = WorkspaceList;

    const NAME: &'static str = "list_workspaces";
    const TITLE: &'static str = "List workspaces";
    const DESCRIPTION: &'static str = "List your workspaces (as administrator: everybody's) by id, with their status. URL, ports and \
        annotations come from get_workspace.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, params: ListWorkspacesParams) -> Result<Reply<WorkspaceList>, Failure> {
        let after = params.cursor.as_deref().map(|text| cursor::decode(LIST, text)).transpose()?;
        let filter = ListFilter {
            namespace: call.search_namespace(params.namespace.as_deref())?,
            owner: call.owner().cloned(),
            after: after.as_deref().map(workspace_id).transpose()?,
            limit: Some(page::limit(params.limit)),
        };
        let page = call.spawner().list(&filter).map_err(Error::Spawner)?;
        let default = call.cluster().default_namespace();
        let entries = page.items.iter().map(|workspace| WorkspaceEntry::new(workspace, default));
        let workspaces =
            page::fit(entries, |entry| entry.id.len() + entry.name.len() + entry.status.len() + 6);
        let is_last = page.next.is_none() && workspaces.len() == page.items.len();
        let last = workspaces.last().filter(|_| !is_last);
        let next_cursor = last.map(|entry| cursor::encode(LIST, &entry.id));
        let list = WorkspaceList { workspaces, total: page.total, next_cursor };
        Ok(Reply::new(render(&list), list))
    }
}

fn render(list: &WorkspaceList) -> String {
    if list.workspaces.is_empty() {
        return "(no workspaces)".to_owned();
    }
    let rows =
        list.workspaces.iter().map(|entry| [entry.id.clone(), entry.name.clone(), entry.status.clone()]);
    let mut out = text::table(Some(["ID", "NAME", "STATUS"]), rows);
    if let Some(cursor) = &list.next_cursor {
        out += &page::more(list.workspaces.len(), list.total, cursor);
    }
    out
}

/// Finds a workspace of the caller's. In another namespace than the one asked for, it is not there.
pub(super) fn find(call: &Call, id: &str, namespace: Option<&str>) -> Result<Workspace, Error> {
    let id = workspace_id(id)?;
    let namespace = call.search_namespace(namespace)?;
    call.reader().workspace(&id, namespace.as_ref())
}

pub(crate) struct GetWorkspace;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GetWorkspaceParams {
    id: String,
    /// Default: wherever it is.
    namespace: Option<String>,
    /// Add the whole pod, without the values of environment variables.
    #[serde(default)]
    include_pod: bool,
}

impl Tool for GetWorkspace {
    type Params = GetWorkspaceParams;
    type Output = WorkspaceDetails;

    const NAME: &'static str = "get_workspace";
    const TITLE: &'static str = "Show a workspace";
    const DESCRIPTION: &'static str = "Show one workspace: status and its reason, URL, APIs, template, annotations. It serves \
        requests when `ready` is true; if it does not get there, get_workspace_events tells why.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, params: GetWorkspaceParams) -> Result<Reply<WorkspaceDetails>, Failure> {
        let workspace = find(&call, &params.id, params.namespace.as_deref())?;
        let mut details = WorkspaceDetails::new(&workspace, &call.options().base_url);
        if params.include_pod {
            let pod = workspace.pod();
            let mut whole = call.cluster().get_pod(&pod.namespace, &pod.pod_name).await?;
            // Its name may be somebody else's by now.
            if whole.pointer("/metadata/uid").and_then(Value::as_str) != Some(pod.uid.as_str()) {
                let id = workspace.id().clone();
                return Err(Error::from(nocrd_spawner::Error::NotFound { id }).into());
            }
            redact::pod(&mut whole);
            details.pod = Some(whole);
        }
        Ok(Reply::json(details))
    }
}

pub(crate) struct StopWorkspace;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StopWorkspaceParams {
    id: String,
    /// Default: wherever it is.
    namespace: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stopped {
    id: String,
    /// `terminating`.
    status: &'static str,
    pod_names: Vec<String>,
}

impl Tool for StopWorkspace {
    type Params = StopWorkspaceParams;
    type Output = Stopped;

    const NAME: &'static str = "stop_workspace";
    const TITLE: &'static str = "Stop a workspace";
    const DESCRIPTION: &'static str = "Stop a workspace and delete its pod; what it holds is lost, except on volumes that outlive it. \
        It takes a moment: the id is free again once get_workspace does not find it.";
    const EFFECT: Effect = Effect::Destroy;
    const ACTION: Option<Action> = Some(Action::WorkspaceWrite);

    async fn run(call: Call, params: StopWorkspaceParams) -> Result<Reply<Stopped>, Failure> {
        let workspace = find(&call, &params.id, params.namespace.as_deref())?;
        let stopped = call.spawner().stop(workspace.id(), call.owner(), StopOptions::default()).await;
        let stopped = stopped.map_err(Error::Spawner)?;
        let text = format!("Stopped workspace {}: its pod is terminating.", stopped.id);
        let view =
            Stopped { id: stopped.id.to_string(), status: "terminating", pod_names: stopped.pod_names };
        Ok(Reply::new(text, view))
    }
}

pub(crate) struct GetWorkspaceEvents;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct GetWorkspaceEventsParams {
    id: String,
    /// Default: wherever it is.
    namespace: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct EventList {
    events: Vec<EventView>,
}

impl Tool for GetWorkspaceEvents {
    type Params = GetWorkspaceEventsParams;
    type Output = EventList;

    const NAME: &'static str = "get_workspace_events";
    const TITLE: &'static str = "Events of a workspace";
    const DESCRIPTION: &'static str = "List what Kubernetes reported about a workspace's pod, oldest first: scheduling, image \
        pulls, failed probes, restarts. Use it when a workspace does not become Running.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, params: GetWorkspaceEventsParams) -> Result<Reply<EventList>, Failure> {
        let workspace = find(&call, &params.id, params.namespace.as_deref())?;
        let events = call.spawner().events(workspace.id(), call.owner()).await.map_err(Error::Spawner)?;
        // An event does not name its pod; with two of them (an upgrade) it could be of either.
        let is_only = call.cluster().workspaces().get(workspace.id()).len() == 1;
        let pod_name = is_only.then_some(workspace.pod().pod_name.as_str());
        let skipped = events.len().saturating_sub(MAX_EVENTS);
        let events: Vec<EventView> =
            events.iter().skip(skipped).map(|event| EventView::new(event, pod_name)).collect();
        let text = if events.is_empty() {
            "(no events)".to_owned()
        } else {
            serde_json::to_string_pretty(&events).unwrap_or_default()
        };
        Ok(Reply::new(text, EventList { events }))
    }
}
