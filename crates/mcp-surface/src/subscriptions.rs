//! Telling clients of changes: of the list of tools, of the list of resources, of resources they subscribed to.
//!
//! One task gathers what changes ([`Hub`]) and tells all listeners twice a second at most. Each listener has a task of its
//! own, so that a slow client keeps nobody waiting, and decides by what its caller could read ([`interest`]): what a
//! caller does not see never changes for them.

mod interest;
pub(crate) mod listen;
pub(crate) mod session;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nocrd_cluster::{Change, Cluster};
use nocrd_model::{Subject, WorkspaceId};
use tokio::{
    sync::{
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
        watch,
    },
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{Surface, catalogue};
use interest::{Interest, News};

/// How long changes are gathered before listeners are told again.
const WINDOW: Duration = Duration::from_millis(500);
/// Gathered changes kept for listeners that are behind.
const KEPT: usize = 16;
/// Most resources a client may subscribe to in a session or a stream.
pub(crate) const MAX_RESOURCES: usize = 100;

/// What has changed of late.
#[derive(Debug, Default)]
struct Changes {
    /// The list of tools.
    tools: bool,
    /// Some templates.
    templates: bool,
    /// These workspaces.
    workspaces: HashSet<WorkspaceId>,
    /// Whose they are.
    owners: HashSet<Subject>,
    /// Perhaps anything but the tools: some changes went by unseen.
    missed: bool,
}

impl Changes {
    /// What those have to look at who have missed something.
    fn all() -> Self {
        Self { tools: true, missed: true, ..Self::default() }
    }

    fn add(&mut self, change: &Change) {
        self.workspaces.insert(change.id.clone());
        if !self.owners.contains(&change.pod.owner) {
            self.owners.insert(change.pod.owner.clone());
        }
    }
}

/// Where listeners hear of changes.
pub(crate) struct Hub {
    changes: broadcast::Sender<Arc<Changes>>,
    _watch: AbortOnDropHandle<()>,
}

impl Hub {
    /// Begins to watch, hence must be called in a tokio runtime.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let changes = broadcast::Sender::new(KEPT);
        let watch = Watch {
            permissions: cluster.permission_changes(),
            templates: cluster.template_changes(),
            workspaces: cluster.workspaces().changes(),
            tools: working(cluster),
            cluster: cluster.clone(),
        };
        let watch = tokio::spawn(watch.run(changes.clone()));
        Self { changes, _watch: AbortOnDropHandle::new(watch) }
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Changes>> {
        self.changes.subscribe()
    }
}

/// The tools that work now.
fn working(cluster: &Cluster) -> Vec<&'static str> {
    catalogue::working(&cluster.permissions()).map(|entry| entry.name).collect()
}

struct Watch {
    permissions: watch::Receiver<u64>,
    templates: watch::Receiver<u64>,
    workspaces: broadcast::Receiver<Change>,
    /// Those that worked last.
    tools: Vec<&'static str>,
    cluster: Cluster,
}

impl Watch {
    /// Ends with the cluster.
    async fn run(mut self, listeners: broadcast::Sender<Arc<Changes>>) {
        while let Some(changes) = self.next().await {
            // Nobody may be listening.
            let _ = listeners.send(Arc::new(changes));
            sleep(WINDOW).await;
        }
    }

    /// Waits for a change, and takes with it what has changed by then.
    async fn next(&mut self) -> Option<Changes> {
        let mut changes = Changes::default();
        tokio::select! {
            changed = self.permissions.changed() => changed.ok()?,
            changed = self.templates.changed() => {
                changed.ok()?;
                changes.templates = true;
            }
            change = self.workspaces.recv() => match change {
                Ok(change) => changes.add(&change),
                Err(RecvError::Lagged(_)) => changes.missed = true,
                Err(RecvError::Closed) => return None,
            }
        }
        loop {
            match self.workspaces.try_recv() {
                Ok(change) => changes.add(&change),
                Err(TryRecvError::Lagged(_)) => changes.missed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if self.templates.has_changed().unwrap_or(false) {
            self.templates.mark_unchanged();
            changes.templates = true;
        }
        self.permissions.mark_unchanged();
        let tools = working(&self.cluster);
        if tools != self.tools {
            tracing::info!(tools = tools.len(), "the list of tools has changed");
            self.tools = tools;
            changes.tools = true;
        }
        Some(changes)
    }
}

/// How a client is told.
trait Outlet {
    /// Tells one thing. An error means that the client is gone.
    fn tell(&self, news: News) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// The client is gone.
struct Gone;

/// Tells a client of what its interest is, until it is gone or the hub has ended.
async fn serve(
    surface: Surface,
    mut changes: broadcast::Receiver<Arc<Changes>>,
    interest: Arc<Mutex<Interest>>,
    outlet: impl Outlet,
) {
    loop {
        let due = lock(&interest).due();
        let now = tokio::select! {
            received = changes.recv() => match received {
                Ok(changes) => changes,
                Err(RecvError::Lagged(_)) => Arc::new(Changes::all()),
                Err(RecvError::Closed) => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Arc::default(),
        };
        let news = lock(&interest).news(&surface, &now);
        for news in news {
            if outlet.tell(news).await.is_err() {
                return;
            }
        }
    }
}

fn lock(interest: &Mutex<Interest>) -> MutexGuard<'_, Interest> {
    interest.lock().unwrap_or_else(PoisonError::into_inner)
}
