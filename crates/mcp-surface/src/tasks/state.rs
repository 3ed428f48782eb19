//! How far the work of a task is, as the workspaces tell.

use std::time::Duration;

use jiff::Timestamp;
use nocrd_model::{Caller, Namespace, WorkspaceId};
use nocrd_spawner::{Error as Spawner, ListFilter, WaitOptions, Workspace};
use rmcp::model::{CallToolResult, TaskPayload};
use serde_json::Value;

use super::{Handle, Work};
use crate::{
    Error, Surface,
    error::Failure,
    reader::Reader,
    respond,
    tools::{spawn, upgrade},
};

/// How long a workspace may look as if it would never start before that counts, as `wait` has it.
const SETTLE: Duration = Duration::from_secs(10);
/// How long it may take until what another replica has begun is known here.
const LAG: Duration = Duration::from_secs(5);

impl Surface {
    /// What a task has come to, and a word on it.
    pub(super) async fn task_state(
        &self,
        caller: &Caller,
        task_id: &str,
        handle: &Handle,
    ) -> (TaskPayload, String) {
        if self.given_up().contains(task_id) {
            return (TaskPayload::Cancelled, "given up; what was begun stays".to_owned());
        }
        let outcome = match &handle.work {
            Work::Start { id } => self.start_state(caller, id).await,
            Work::Upgrade { id, from, to } => self.upgrade_state(caller, handle, (id, from, to)),
            Work::UpgradeAll { namespace, ids } => self.all_state(handle, namespace.as_ref(), ids.as_deref()),
        };
        match outcome {
            State::Working(said) if handle.until < Timestamp::now() => {
                ended(Err(timeout(handle, said).into()))
            }
            State::Working(said) => (TaskPayload::Working, said),
            State::Cancelled(said) => (TaskPayload::Cancelled, said),
            State::Ended(result) => ended(result),
        }
    }

    async fn start_state(&self, caller: &Caller, id: &WorkspaceId) -> State {
        let workspace = match Reader::new(self, caller).workspace(id, None) {
            Ok(workspace) => workspace,
            Err(error) => return State::Ended(Err(error.into())),
        };
        let said = workspace.status().to_string();
        let age = Timestamp::now().duration_since(workspace.created());
        let has_settled = Duration::try_from(age).is_ok_and(|age| age > SETTLE);
        let is_decided = workspace.is_ready() || (workspace.status().fatal && has_settled);
        if !is_decided {
            return State::Working(said);
        }
        // Whether it stays so, and what is wrong.
        let options =
            WaitOptions { timeout: Duration::from_secs(3), settle: Duration::ZERO, ..WaitOptions::default() };
        match self.spawner().wait_ready(id, caller.owner_filter(), options, |_| {}).await {
            Ok(workspace) => {
                State::Ended(Ok(respond::success(spawn::ready(&self.options().base_url, &workspace))))
            }
            Err(Spawner::StartTimeout { .. }) => State::Working(said),
            Err(error) => State::Ended(Err(Error::Spawner(error).into())),
        }
    }

    fn upgrade_state(
        &self,
        caller: &Caller,
        handle: &Handle,
        (id, from, to): (&WorkspaceId, &str, &str),
    ) -> State {
        let workspace = match Reader::new(self, caller).workspace(id, None) {
            Ok(workspace) => workspace,
            Err(error) => return State::Ended(Err(error.into())),
        };
        if workspace.upgrade().is_some() {
            return State::Working(workspace.status().to_string());
        }
        if let Some(reason) = workspace.last_upgrade_error() {
            let error = Spawner::UpgradeFailed { id: id.clone(), reason: reason.to_owned() };
            return State::Ended(Err(Error::Spawner(error).into()));
        }
        if workspace.template_version() == to && is_since(&workspace, handle) {
            return State::Ended(Ok(respond::success(upgrade::done(&workspace, from))));
        }
        if handle.since.checked_add(LAG).is_ok_and(|known| known > Timestamp::now()) {
            return State::Working("about to begin".to_owned());
        }
        State::Cancelled("the upgrade was called off; the workspace stays as it was".to_owned())
    }

    /// Only administrators are given such a task, and it is theirs.
    fn all_state(
        &self,
        handle: &Handle,
        namespace: Option<&Namespace>,
        ids: Option<&[WorkspaceId]>,
    ) -> State {
        let filter = ListFilter { namespace: namespace.cloned(), ..ListFilter::default() };
        let workspaces = match self.spawner().list(&filter) {
            Ok(page) => page.items,
            Err(error) => return State::Ended(Err(Error::Spawner(error).into())),
        };
        let is_meant = |workspace: &&Workspace| match ids {
            Some(ids) => ids.contains(workspace.id()),
            None => self.spawner().cluster().serves(&workspace.pod().namespace),
        };
        let meant = workspaces.iter().filter(is_meant);
        let under_way = meant.clone().filter(|workspace| workspace.upgrade().is_some()).count();
        if under_way > 0 {
            return State::Working(format!("{under_way} upgrades are under way"));
        }
        let is_done = |workspace: &&Workspace| {
            !workspace.is_outdated() && (ids.is_some() || is_since(workspace, handle))
        };
        // What has finished meanwhile, or has another author's template, was not to be upgraded unless it was begun.
        let outdated = match ids {
            Some(_) => Ok(workspaces.iter().filter(|workspace| workspace.is_outdated()).cloned().collect()),
            None => self.spawner().outdated(&filter),
        };
        let outdated: Vec<Workspace> = match outdated {
            Ok(outdated) => outdated,
            Err(error) => return State::Ended(Err(Error::Spawner(error).into())),
        };
        let reply = upgrade::all_done(
            meant.filter(is_done),
            outdated.iter().filter(is_meant),
            ids.into_iter().flatten().filter(|id| !workspaces.iter().any(|workspace| workspace.id() == *id)),
        );
        State::Ended(Ok(respond::success(reply)))
    }
}

enum State {
    Working(String),
    Cancelled(String),
    Ended(Result<CallToolResult, Failure>),
}

/// Whether a workspace's pod is one that came with a task. The API server's times are in whole seconds, and its clock is
/// its own.
fn is_since(workspace: &Workspace, handle: &Handle) -> bool {
    workspace.created().checked_add(LAG).is_ok_and(|created| created >= handle.since)
}

fn timeout(handle: &Handle, last: String) -> Error {
    let waited = handle.until.duration_since(handle.since).unsigned_abs();
    match &handle.work {
        Work::Start { id } | Work::Upgrade { id, .. } => {
            Spawner::StartTimeout { id: id.clone(), waited, last }.into()
        }
        Work::UpgradeAll { .. } => Error::TooSlow { waited, last },
    }
}

/// A failure of the tool is a result, as it is without tasks.
fn ended(outcome: Result<CallToolResult, Failure>) -> (TaskPayload, String) {
    let result = respond::result(outcome);
    let said = result.content.iter().filter_map(|block| Some(block.as_text()?.text.as_str())).collect();
    let result = match serde_json::to_value(&result) {
        Ok(Value::Object(result)) => result,
        _ => serde_json::Map::new(),
    };
    (TaskPayload::Completed { result }, said)
}
