//! What a tool knows about the call it answers.

use nocrd_authz::policy::Action;
use nocrd_cluster::{Cluster, PermissionReport};
use nocrd_model::{Caller, Namespace, Subject, WorkspaceId};
use nocrd_spawner::Spawner;
use rmcp::{
    RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::{Peer, RequestContext},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Error, Options, Surface, catalogue::Entry, reader::Reader, tasks, text};

pub(crate) struct Call {
    surface: Surface,
    caller: Caller,
    /// Cancelled when the client no longer wants the answer.
    cancelled: CancellationToken,
    /// Where progress goes, if the client asked for it.
    progress: Option<Progress>,
    /// Whether the client knows tasks.
    pub(crate) takes_tasks: bool,
}

impl Call {
    pub(crate) fn new(surface: Surface, caller: Caller, context: &RequestContext<RoleServer>) -> Self {
        let (progress, takes_tasks) = (Progress::of(context), tasks::are_known(context));
        Self { surface, caller, cancelled: context.ct.clone(), progress, takes_tasks }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The owner whose things the caller sees; `None` means everybody's.
    pub(crate) fn owner(&self) -> Option<&Subject> {
        self.caller.owner_filter()
    }

    /// Whether the caller may use a tool.
    pub(crate) fn permits(&self, entry: &Entry) -> bool {
        self.surface.check(&self.caller, entry).is_ok()
    }

    /// Refuses what asks for more than the tool itself does.
    pub(crate) fn check(&self, tool: &'static str, action: Action) -> Result<(), Error> {
        let policy = &self.options().policy;
        policy.check(&self.caller, action).map_err(|lacking| Error::Denied { tool, lacking })
    }

    /// Whether the caller may run pods of their own making, and so may know what is wrong with a template.
    pub(crate) fn may_write(&self) -> bool {
        self.reader().may(Action::Write)
    }

    /// What the caller sees.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.surface, &self.caller)
    }

    /// Does something for as long as the client waits for it.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        self.cancelled.run_until_cancelled(work).await.ok_or(Error::Cancelled)
    }

    /// Does something that takes long, and passes on every step of it, for as long as the client waits.
    pub(crate) async fn following<T, W>(&self, work: impl FnOnce(Steps) -> W) -> Result<T, Error>
    where
        W: Future<Output = Result<T, nocrd_spawner::Error>>,
    {
        let (told, steps) = mpsc::unbounded_channel();
        let work = work(Steps { told, count: Arc::default() });
        let both = async {
            // The channel closes with the work, so that the answer comes after the last step.
            let (outcome, ()) = tokio::join!(work, self.pass_on(steps));
            outcome
        };
        self.unless_cancelled(both).await?.map_err(Error::Spawner)
    }

    async fn pass_on(&self, mut steps: mpsc::UnboundedReceiver<(u32, String)>) {
        // Nobody listens when the client did not ask for progress.
        let Some(progress) = &self.progress else { return };
        while let Some((step, message)) = steps.recv().await {
            progress.send(step, &message).await;
        }
    }

    /// How long to wait: what the caller asks for, within the server's limit, of which a warning tells.
    pub(crate) fn patience(&self, asked: Option<u32>) -> (Duration, Option<String>) {
        let limit = self.options().spawn_timeout;
        match asked.map(|seconds| Duration::from_secs(seconds.into())) {
            Some(asked) if asked > limit => {
                (limit, Some(format!("this server waits {} s at most", limit.as_secs())))
            }
            Some(asked) => (asked, None),
            None => (limit, None),
        }
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        self.surface.spawner()
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        self.spawner().cluster()
    }

    pub(crate) fn permissions(&self) -> Arc<PermissionReport> {
        self.cluster().permissions()
    }

    pub(crate) fn options(&self) -> &Options {
        self.surface.options()
    }

    /// The namespace a request takes place in.
    pub(crate) fn namespace(&self, requested: Option<&str>) -> Result<Namespace, Error> {
        Ok(self.cluster().resolve_namespace(requested)?)
    }

    /// The namespace to search, when the caller names one; `None` means everywhere.
    pub(crate) fn search_namespace(&self, requested: Option<&str>) -> Result<Option<Namespace>, Error> {
        let requested = requested.filter(|name| !name.is_empty());
        requested.map(|name| self.namespace(Some(name))).transpose()
    }
}

/// Reads a workspace id.
pub(crate) fn workspace_id(text: &str) -> Result<WorkspaceId, Error> {
    WorkspaceId::parse(text).map_err(Error::WorkspaceId)
}

/// Where work tells its steps. Several parts of it may share one.
#[derive(Clone)]
pub(crate) struct Steps {
    told: mpsc::UnboundedSender<(u32, String)>,
    /// Clients take steps for progress only as long as the numbers rise.
    count: Arc<AtomicU32>,
}

impl Steps {
    pub(crate) fn tell(&self, step: nocrd_spawner::Progress) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let _ = self.told.send((number, step.message));
    }
}

/// Tells a client how a call goes on.
pub(crate) struct Progress {
    peer: Peer<RoleServer>,
    token: ProgressToken,
}

impl Progress {
    /// Where the progress of a call goes, if its client asked for it.
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Option<Self> {
        let token = context.meta.get_progress_token()?;
        Some(Self { peer: context.peer.clone(), token })
    }

    /// Sends one step. A client that can't be reached any more is none of the tool's business.
    pub(crate) async fn send(&self, step: u32, message: &str) {
        self.send_at(f64::from(step), message).await;
    }

    /// The same between steps: what is sent later must be more.
    pub(crate) async fn send_at(&self, step: f64, message: &str) {
        let note =
            ProgressNotificationParam::new(self.token.clone(), step).with_message(text::line(message, 300));
        if let Err(error) = self.peer.notify_progress(note).await {
            tracing::debug!(%error, "progress was not delivered");
        }
    }
}
