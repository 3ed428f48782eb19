//! Work that goes on when its call has been answered: tasks (extension `io.modelcontextprotocol/tasks`, SEP-2663), for clients
//! that say they know them.
//!
//! A task's id is what there is to know of it, sealed for its caller. How far it is, the workspaces tell. So nothing is kept
//! here, and every replica can answer, also after a restart.

mod state;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use nocrd_authz::keys::{KeyRing, Purpose};
use nocrd_model::{Caller, Namespace, WorkspaceId, caller::Trust};
use rmcp::{
    ErrorData, RoleServer,
    model::{CreateTaskResult, DetailedTask, ProtocolVersion, Task, TaskStatus},
    service::RequestContext,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Surface, catalogue,
    report::Reporting,
    text,
    tool::Tool as _,
    tools::{
        spawn::SpawnWorkspace,
        upgrade::{UpgradeAllWorkspaces, UpgradeWorkspace},
    },
};

/// How often clients should ask.
const POLL: Duration = Duration::from_secs(1);
/// How long a task can be asked for when its work should be done.
const KEPT: Duration = Duration::from_secs(600);
/// Most calls given up that are remembered.
const REMEMBERED: usize = 1_000;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    /// That a workspace is ready.
    Start { id: WorkspaceId },
    /// That a workspace has another version of its template.
    Upgrade { id: WorkspaceId, from: String, to: String },
    /// That all workspaces, of one namespace or of all, have the present one.
    UpgradeAll {
        namespace: Option<Namespace>,
        /// Which ones; `None` when they are too many for an id.
        ids: Option<Vec<WorkspaceId>>,
    },
}

/// Most bytes of ids in a task's own, which clients repeat in a header of each request.
const MAX_IDS: usize = 2_000;

impl Work {
    /// The tool that began it.
    fn tool(&self) -> &'static str {
        match self {
            Self::Start { .. } => SpawnWorkspace::NAME,
            Self::Upgrade { .. } => UpgradeWorkspace::NAME,
            Self::UpgradeAll { .. } => UpgradeAllWorkspaces::NAME,
        }
    }

    /// The upgrade of these.
    pub(crate) fn upgrade_all(namespace: Option<Namespace>, ids: Vec<WorkspaceId>) -> Self {
        let bytes: usize = ids.iter().map(|id| id.as_str().len() + 3).sum();
        Self::UpgradeAll { namespace, ids: (bytes <= MAX_IDS).then_some(ids) }
    }
}

/// What the answer to a call leaves to a task.
#[derive(Debug, Clone)]
pub(crate) struct Follow {
    pub(crate) work: Work,
    /// For how long it is waited for.
    pub(crate) limit: Duration,
}

/// What a task's id says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Handle {
    work: Work,
    /// When the call was answered.
    since: Timestamp,
    /// When its work should be done.
    until: Timestamp,
}

/// Whether a client knows tasks.
pub(crate) fn are_known(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
        && context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks())
}

/// The tasks that this replica was told to give up; others tell how the work itself goes.
#[derive(Debug, Default)]
pub(crate) struct GivenUp(Mutex<VecDeque<String>>);

impl GivenUp {
    fn add(&self, task_id: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.pop_front();
        }
        all.push_back(task_id.to_owned());
    }

    fn contains(&self, task_id: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known == task_id)
    }
}

impl Surface {
    /// Makes the task that a call leaves behind. `said` is what the call has to say now.
    pub(crate) fn create_task(
        &self,
        caller: &Caller,
        follow: Follow,
        said: &str,
    ) -> Result<CreateTaskResult, Error> {
        let since = Timestamp::now();
        let until = since.checked_add(follow.limit).map_err(|_| Error::Internal)?;
        let handle = Handle { work: follow.work, since, until };
        let id = seal(self.keys(), caller, &handle).ok_or(Error::Internal)?;
        let task = handle.task(&id, TaskStatus::Working).with_status_message(text::block(said, 500));
        Ok(CreateTaskResult::new(task))
    }

    /// How a task of the caller's is doing; `None` when the id is none of theirs.
    pub(crate) async fn task(&self, caller: &Caller, id: &str) -> Option<DetailedTask> {
        let handle = self.open_task(caller, id)?;
        let (payload, said) = self.task_state(caller, id, &handle).await;
        let task = handle.task(id, payload.status()).with_status_message(text::block(&said, 500));
        Some(DetailedTask::new(task, payload))
    }

    /// Gives a task of the caller's up: the waiting, and the work as far as that is possible. `None` when the id is none of
    /// theirs. `request` are the extensions of the HTTP request that asks for it.
    pub(crate) async fn give_up(
        &self,
        caller: &Caller,
        id: &str,
        request: Option<&http::Extensions>,
    ) -> Option<Result<(), Error>> {
        let handle = self.open_task(caller, id)?;
        if let Work::Upgrade { id: workspace, .. } = &handle.work {
            let entry = catalogue::find(handle.work.tool())?.entry;
            let observer = self.options().observer.clone();
            let report = |outcome: &Result<(), Error>| {
                let reporting = Reporting::begin(observer, entry, Some(caller.clone()), request, &None);
                reporting.cancels(workspace).came_to(outcome);
            };
            let outcome = match self.spawner().cancel_upgrade(workspace, caller.owner_filter()).await {
                Ok(true) => {
                    self.given_up().add(id);
                    Ok(())
                }
                // It was too late. What has become of it is told by the workspace.
                Ok(false) | Err(nocrd_spawner::Error::NotFound { .. }) => return Some(Ok(())),
                Err(error) => Err(error.into()),
            };
            report(&outcome);
            return Some(outcome);
        }
        self.given_up().add(id);
        Some(Ok(()))
    }

    /// Whether a task is the caller's.
    pub(crate) fn knows_task(&self, caller: &Caller, id: &str) -> bool {
        self.open_task(caller, id).is_some()
    }

    /// Reads the id of a task of the caller's. Who may not use its tool any more, has no such task.
    fn open_task(&self, caller: &Caller, id: &str) -> Option<Handle> {
        let handle = open(self.keys(), caller, id)?;
        let tool = catalogue::find(handle.work.tool())?;
        self.check(caller, tool.entry).is_ok().then_some(handle)
    }
}

/// The error for a task that is not there, or somebody else's.
pub(crate) fn unknown() -> ErrorData {
    ErrorData::invalid_params("there is no such task, or it is not yours", None)
}

impl Handle {
    fn task(&self, id: &str, status: TaskStatus) -> Task {
        let ttl = self.until.duration_since(self.since).unsigned_abs() + KEPT;
        Task::new(id, status, self.since.to_string(), Timestamp::now().to_string())
            .with_ttl_ms(ttl.as_millis().try_into().unwrap_or(u64::MAX))
            .with_poll_interval_ms(POLL.as_millis().try_into().unwrap_or(u64::MAX))
    }

    /// Whether nobody can ask for it any more.
    fn is_over(&self) -> bool {
        self.until.checked_add(KEPT).is_ok_and(|end| end < Timestamp::now())
    }
}

/// Whose a task is.
fn binding(caller: &Caller) -> Vec<u8> {
    let kind: &[u8] = if caller.trust == Trust::Local { b"local\0" } else { b"verified\0" };
    [kind, caller.subject.as_str().as_bytes()].concat()
}

fn seal(keys: &KeyRing, caller: &Caller, handle: &Handle) -> Option<String> {
    keys.seal(Purpose::Task, &binding(caller), &serde_json::to_vec(handle).ok()?).ok()
}

fn open(keys: &KeyRing, caller: &Caller, id: &str) -> Option<Handle> {
    let handle = keys.open(Purpose::Task, &binding(caller), id).ok()?;
    serde_json::from_slice::<Handle>(&handle).ok().filter(|handle| !handle.is_over())
}

#[cfg(test)]
mod tests {
    use nocrd_model::Role;

    use super::*;

    #[test]
    fn t61_a_task_is_its_caller_s_alone() {
        let keys = KeyRing::of_this_process();
        let (ada, bob) =
            (Caller::verified("ada".into(), Role::User), Caller::verified("bob".into(), Role::Admin));
        let work = Work::Start { id: WorkspaceId::parse("w1").unwrap() };
        let handle = Handle { work: work.clone(), since: Timestamp::now(), until: Timestamp::now() };
        let id = seal(&keys, &ada, &handle).unwrap();
        assert!(!id.contains("w1") && id.len() <= 512, "{id}");
        assert_eq!(open(&keys, &ada, &id).map(|handle| handle.work), Some(work));
        assert!(open(&keys, &bob, &id).is_none() && open(&keys, &Caller::local(), &id).is_none());
        assert!(open(&KeyRing::of_this_process(), &ada, &id).is_none());
        for forged in ["", "x", &id[1..], &format!("{id}x")] {
            assert!(open(&keys, &ada, forged).is_none(), "{forged}");
        }
        // Nor is anything else that is sealed for her a task.
        let other =
            keys.seal(Purpose::RequestState, &binding(&ada), &serde_json::to_vec(&handle).unwrap()).unwrap();
        assert!(open(&keys, &ada, &other).is_none());
        let old = Timestamp::UNIX_EPOCH;
        let over = seal(&keys, &ada, &Handle { since: old, until: old, ..handle }).unwrap();
        assert!(open(&keys, &ada, &over).is_none());
    }
}
