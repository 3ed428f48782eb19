//! Tools that bring workspaces to the present version of their template.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, future::join_all, stream};
use nocrd_authz::policy::Action;
use nocrd_spawner::{Begun, ListFilter, UpgradeRequest, WaitOptions, Workspace, WorkspaceId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::workspaces::find;
use crate::{
    call::{Call, Steps},
    error::{Error, Failure},
    tasks::Work,
    text,
    tool::{Effect, Reply, Tool},
    view::workspace::style,
};

/// Upgrades that are begun at a time.
const AT_ONCE: usize = 8;
const UPGRADING: &str = "upgrading";
const UPGRADED: &str = "upgraded";
const UNCHANGED: &str = "unchanged";
const FAILED: &str = "failed";

pub(crate) struct UpgradeWorkspace;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpgradeWorkspaceParams {
    id: String,
    /// Default: wherever it is.
    namespace: Option<String>,
    /// Also when its template is no newer.
    #[serde(default)]
    force: bool,
    /// Return when it is done or has failed.
    #[serde(default)]
    wait: bool,
    /// With `wait`: give up after so long.
    #[schemars(range(min = 1))]
    timeout_seconds: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpgradeView {
    id: String,
    /// `upgrading`, with `wait` `upgraded` or `failed`; `unchanged` when it is up to date.
    status: &'static str,
    /// The pod that will serve it, or serves it still.
    pod_name: String,
    namespace: String,
    from_version: String,
    to_version: String,
    /// `beside`: the old pod serves until the new one does. `recreate`: the old one goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<&'static str>,
    warnings: Vec<String>,
}

impl Tool for UpgradeWorkspace {
    type Params = UpgradeWorkspaceParams;
    type Output = UpgradeView;

    const NAME: &'static str = "upgrade_workspace";
    const TITLE: &'static str = "Upgrade a workspace";
    const DESCRIPTION: &'static str = "Replace a workspace's pod by one of the present version of its template (see `isOutdated`). Id, \
        URL, owner, context and volumes stay; what is in the pod itself is lost. If the new pod does not start, the old \
        one stays or comes back, and get_workspace tells why as `lastUpgradeError`.";
    const EFFECT: Effect = Effect::Change;
    const ACTION: Option<Action> = Some(Action::WorkspaceWrite);

    async fn run(call: Call, params: UpgradeWorkspaceParams) -> Result<Reply<UpgradeView>, Failure> {
        let workspace = find(&call, &params.id, params.namespace.as_deref())?;
        let begun = begin(&call, &workspace, params.force).await?;
        let mut view = UpgradeView::new(&begun);
        if !begun.changed {
            return Ok(Reply::new(view.text(), view));
        }
        if params.wait {
            let (timeout, warning) = call.patience(params.timeout_seconds);
            view.warnings.extend(warning);
            if call.takes_tasks {
                let work = Work::Upgrade { id: begun.id, from: begun.from, to: begun.to };
                return Ok(Reply::new(view.text(), view).followed_by(work, timeout));
            }
            match call.following(|steps| wait(&call, &begun.id, timeout, steps)).await {
                Ok(workspace) => {
                    view.status = UPGRADED;
                    view.pod_name.clone_from(&workspace.pod().pod_name);
                }
                Err(Error::Cancelled) => return Err(call_off(&call, view, &begun.id).await),
                Err(error) => {
                    if matches!(error, Error::Spawner(nocrd_spawner::Error::UpgradeFailed { .. })) {
                        view.status = FAILED;
                        if let Ok(left) = call.spawner().get(&begun.id, call.owner()) {
                            view.pod_name.clone_from(&left.pod().pod_name);
                        }
                    }
                    return Err(view.failed(error, None));
                }
            }
        }
        Ok(Reply::new(view.text(), view))
    }
}

/// The reply when a workspace has been upgraded.
pub(crate) fn done(workspace: &Workspace, from: &str) -> Reply<UpgradeView> {
    let view = UpgradeView {
        id: workspace.id().to_string(),
        status: UPGRADED,
        pod_name: workspace.pod().pod_name.clone(),
        namespace: workspace.pod().namespace.to_string(),
        from_version: text::line(from, 80),
        to_version: text::line(workspace.template_version(), 80),
        style: None,
        warnings: Vec::new(),
    };
    Reply::new(view.text(), view)
}

async fn begin(call: &Call, workspace: &Workspace, force: bool) -> Result<Begun, Error> {
    let request = UpgradeRequest {
        id: workspace.id().clone(),
        namespace: Some(workspace.pod().namespace.clone()),
        caller: call.caller().clone(),
        force,
    };
    Ok(call.spawner().begin_upgrade(request).await?)
}

async fn wait(
    call: &Call,
    id: &WorkspaceId,
    timeout: Duration,
    steps: Steps,
) -> Result<Workspace, nocrd_spawner::Error> {
    let options = WaitOptions { timeout, ..WaitOptions::default() };
    call.spawner().wait_upgraded(id, call.owner(), options, move |step| steps.tell(step)).await
}

/// The client has cancelled the call: the upgrade ends, too, as long as the old pod serves.
async fn call_off(call: &Call, view: UpgradeView, id: &WorkspaceId) -> Failure {
    let note = match call.spawner().cancel_upgrade(id, call.owner()).await {
        Ok(true) => "The upgrade was called off; the workspace stays as it was",
        Ok(false) => "It was too late to call the upgrade off: it goes on",
        Err(_) => "The upgrade could not be called off, and may go on",
    };
    view.failed(Error::Cancelled, Some(note))
}

impl UpgradeView {
    fn new(begun: &Begun) -> Self {
        Self {
            id: begun.id.to_string(),
            status: if begun.changed { UPGRADING } else { UNCHANGED },
            pod_name: begun.pod_name.clone(),
            namespace: begun.namespace.to_string(),
            from_version: text::line(&begun.from, 80),
            to_version: text::line(&begun.to, 80),
            style: Some(style(begun.style)),
            warnings: begun.warnings.iter().map(|warning| text::line(warning, 500)).collect(),
        }
    }

    fn text(&self) -> String {
        let Self { id, from_version: from, to_version: to, pod_name: pod, .. } = self;
        let text = match self.status {
            UNCHANGED => format!("Workspace {id} is up to date (version {from})."),
            UPGRADED => {
                format!("Successfully upgraded workspace {id} (Pod: {pod}) from version {from} to {to}.")
            }
            _ => format!(
                "Began to upgrade workspace {id} from version {from} to {to} (Pod: {pod}); get_workspace tells how it goes."
            ),
        };
        text::with_warnings(text, &self.warnings)
    }

    fn failed(self, error: Error, note: Option<&str>) -> Failure {
        let partial = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(object)) => Some(object),
            _ => None,
        };
        Failure { error, note: note.map(str::to_owned), partial }
    }
}

pub(crate) struct UpgradeAllWorkspaces;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpgradeAllParams {
    /// Only this namespace. Default: all.
    namespace: Option<String>,
    /// Return when all are done or have failed.
    #[serde(default)]
    wait: bool,
    /// With `wait`: give up after so long.
    #[schemars(range(min = 1))]
    timeout_seconds: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpgradeAllView {
    /// Ids of those whose upgrade has begun, with `wait` of those that are done.
    upgraded: Vec<String>,
    failed: Vec<FailedView>,
    upgraded_pods: Vec<UpgradedPod>,
    /// `upgrading`, with `wait` `upgraded`, or `failed` when that is none; `unchanged` when all are up to date.
    status: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct FailedView {
    id: String,
    error: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct UpgradedPod {
    id: String,
    pod_name: String,
}

impl Tool for UpgradeAllWorkspaces {
    type Params = UpgradeAllParams;
    type Output = UpgradeAllView;

    const NAME: &'static str = "upgrade_all_workspaces";
    const TITLE: &'static str = "Upgrade all workspaces";
    const DESCRIPTION: &'static str = "For administrators: upgrade everybody's outdated workspaces, as upgrade_workspace does one. A few \
        at a time; failures are listed and stop nothing.";
    const EFFECT: Effect = Effect::Change;
    const ACTION: Option<Action> = Some(Action::Admin);

    async fn run(call: Call, params: UpgradeAllParams) -> Result<Reply<UpgradeAllView>, Failure> {
        let namespace = call.search_namespace(params.namespace.as_deref())?;
        let filter = ListFilter { namespace: namespace.clone(), ..ListFilter::default() };
        let outdated = call.spawner().outdated(&filter);
        // A workspace may be older than the server's present limits.
        let outdated = outdated.map_err(Error::Spawner)?.into_iter();
        let outdated: Vec<Workspace> =
            outdated.filter(|workspace| call.cluster().serves(&workspace.pod().namespace)).collect();
        let none = outdated.is_empty();
        let call = &call;
        let begun = stream::iter(outdated).map(async move |workspace| {
            let outcome = begin(call, &workspace, false).await;
            (workspace.id().clone(), outcome)
        });
        let begun: Vec<_> = call.unless_cancelled(begun.buffered(AT_ONCE).collect()).await?;
        let mut view = UpgradeAllView {
            upgraded: Vec::new(),
            failed: Vec::new(),
            upgraded_pods: Vec::new(),
            status: if none { UNCHANGED } else { UPGRADING },
        };
        let meant = begun.iter().map(|(id, _)| id.clone()).collect();
        let mut pending = Vec::new();
        for (id, outcome) in begun {
            match outcome {
                Ok(begun) => pending.push(begun),
                Err(error) => view.fail(&id, &error),
            }
        }
        if params.wait && !none {
            let (timeout, _) = call.patience(params.timeout_seconds);
            if call.takes_tasks {
                let work = Work::upgrade_all(namespace, meant);
                return Ok(Reply::new(view.text(), view).followed_by(work, timeout));
            }
            view.status = UPGRADED;
            let waiting = call.following(|steps| {
                let waits = pending.iter().map(|begun| wait(call, &begun.id, timeout, steps.clone()));
                join_all(waits).map(Ok)
            });
            for (begun, outcome) in pending.iter().zip(waiting.await?) {
                match outcome {
                    Ok(workspace) => view.add(&begun.id, &workspace.pod().pod_name),
                    Err(error) => view.fail(&begun.id, &Error::Spawner(error)),
                }
            }
            view.settle();
        } else {
            pending.iter().for_each(|begun| view.add(&begun.id, &begun.pod_name));
        }
        Ok(Reply::new(view.text(), view))
    }
}

/// The reply when all upgrades have ended, with those that are done, those that are outdated still, and those that are gone.
pub(crate) fn all_done<'a>(
    done: impl Iterator<Item = &'a Workspace>,
    outdated: impl Iterator<Item = &'a Workspace>,
    gone: impl Iterator<Item = &'a WorkspaceId>,
) -> Reply<UpgradeAllView> {
    let mut view = UpgradeAllView {
        upgraded: Vec::new(),
        failed: Vec::new(),
        upgraded_pods: Vec::new(),
        status: UPGRADED,
    };
    done.for_each(|workspace| view.add(workspace.id(), &workspace.pod().pod_name));
    for workspace in outdated {
        let error = workspace.last_upgrade_error().unwrap_or("it was not upgraded");
        view.failed.push(FailedView { id: workspace.id().to_string(), error: text::line(error, 500) });
    }
    for id in gone {
        view.fail(id, &nocrd_spawner::Error::NotFound { id: id.clone() }.into());
    }
    view.settle();
    Reply::new(view.text(), view)
}

impl UpgradeAllView {
    /// All have ended.
    fn settle(&mut self) {
        let is_none = self.upgraded.is_empty() && !self.failed.is_empty();
        self.status = if is_none { FAILED } else { UPGRADED };
    }

    fn add(&mut self, id: &WorkspaceId, pod_name: &str) {
        self.upgraded.push(id.to_string());
        self.upgraded_pods.push(UpgradedPod { id: id.to_string(), pod_name: pod_name.to_owned() });
    }

    fn fail(&mut self, id: &WorkspaceId, error: &Error) {
        self.failed.push(FailedView { id: id.to_string(), error: text::line(&error.to_string(), 500) });
    }

    fn text(&self) -> String {
        let (done, failed) = (self.upgraded.len(), self.failed.len());
        let mut out = match self.status {
            UNCHANGED => "All workspaces are up to date.".to_owned(),
            UPGRADED | FAILED => format!("Upgraded {done} workspaces. Failed {failed} upgrades."),
            _ => format!("Began to upgrade {done} workspaces. Failed {failed} upgrades."),
        };
        for FailedView { id, error } in &self.failed {
            out += &format!("\n⚠ {id}: {error}");
        }
        out
    }
}
