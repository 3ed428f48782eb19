//! Waiting for a workspace to become ready.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use nocrd_cluster::{PodEvent, State, WorkspacePod};
use nocrd_model::{Subject, WorkspaceId};
use tokio::time::{Instant, sleep_until};

use crate::{Error, Spawner, Workspace};

/// How long to wait, and for how long a bad state must last before it counts.
#[derive(Debug, Clone, Copy)]
pub struct WaitOptions {
    /// The time limit.
    pub timeout: Duration,
    /// A state that does not get better by waiting (image pull back-off, crash loop, unschedulable) is taken for the
    /// outcome when it has lasted this long: the first scheduling attempt or pull may fail and the next succeed.
    pub settle: Duration,
    /// How long the workspace must stay ready to count as ready. A container without a readiness probe is ready the
    /// moment it starts, even if it ends the moment after.
    pub steady: Duration,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            settle: Duration::from_secs(3),
            steady: Duration::from_secs(1),
        }
    }
}

/// One step on the way to readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Counts up from 1.
    pub step: u32,
    /// The workspace's state.
    pub state: State,
    /// What happened, for people.
    pub message: String,
}

/// Most warnings quoted in a diagnosis.
const QUOTED_WARNINGS: usize = 3;

struct Wait<'a, F> {
    spawner: &'a Spawner,
    id: &'a WorkspaceId,
    owner: Option<&'a Subject>,
    options: WaitOptions,
    report: F,
    step: u32,
    /// The state that was told last; events in between don't have it told again.
    last_state: String,
    warnings: Vec<String>,
    /// Since when the state has been one that waiting does not cure.
    bad_since: Option<Instant>,
    /// Since when it has been ready.
    ready_since: Option<Instant>,
    /// The pod that is waited for; a later one of the same id is somebody else's.
    uid: Option<String>,
}

impl Spawner {
    /// Waits until the workspace is ready, with `owner` only if it is theirs, telling `report` of every step. Dropping the future stops the waiting and
    /// leaves the workspace as it is.
    ///
    /// # Errors
    /// [`Error::StartFailed`] with a diagnosis when it will not become ready, [`Error::StartTimeout`] when it did not
    /// in time, [`Error::NotFound`] when it is not there or is being deleted.
    pub async fn wait_ready(
        &self,
        id: &WorkspaceId,
        owner: Option<&Subject>,
        options: WaitOptions,
        report: impl FnMut(Progress) + Send,
    ) -> Result<Workspace, Error> {
        let wait = Wait {
            spawner: self,
            id,
            owner,
            options,
            report,
            step: 0,
            last_state: String::new(),
            warnings: Vec::new(),
            bad_since: None,
            ready_since: None,
            uid: None,
        };
        wait.run().await
    }
}

impl<F: FnMut(Progress) + Send> Wait<'_, F> {
    async fn run(mut self) -> Result<Workspace, Error> {
        let index = self.spawner.cluster().workspaces();
        // Subscribed before the first look, so that no change falls between the two.
        let mut changes = index.changes();
        let started = Instant::now();
        let deadline = started + self.options.timeout;
        let mut events: Option<BoxStream<'static, PodEvent>> = None;
        loop {
            let pod = self.current()?;
            if let Some(ready) = self.observe(&pod)? {
                return Ok(ready);
            }
            let stream = events.get_or_insert_with(|| {
                self.spawner.cluster().watch_events(&pod.namespace, &pod.pod_name, &pod.uid).boxed()
            });
            let settled = self.bad_since.map(|since| since + self.options.settle);
            let steady = self.ready_since.map(|since| since + self.options.steady);
            let next_look = [settled, steady].into_iter().flatten().fold(deadline, Instant::min);
            tokio::select! {
                // A lagging or closed channel is no reason to stop: the next look is at the index itself.
                change = changes.recv() => if matches!(change, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                    return Err(Error::NotSynced);
                },
                Some(event) = stream.next() => self.hear(&pod, &event),
                () = sleep_until(next_look) => {
                    if Instant::now() >= deadline {
                        let last = pod.status.to_string();
                        return Err(Error::StartTimeout { id: self.id.clone(), waited: started.elapsed(), last });
                    }
                }
            }
        }
    }

    fn current(&mut self) -> Result<Arc<WorkspacePod>, Error> {
        let pods = self.spawner.cluster().workspaces().get(self.id);
        let ours = |pod: &Arc<WorkspacePod>| {
            self.uid.as_ref().is_none_or(|uid| pod.uid == *uid)
                && self.owner.is_none_or(|owner| pod.owner == *owner)
        };
        let found = pods.into_iter().find(|pod| !pod.deleting && ours(pod));
        let found = found.ok_or_else(|| Error::NotFound { id: self.id.clone() })?;
        self.uid.get_or_insert_with(|| found.uid.clone());
        Ok(found)
    }

    /// Looks at the pod's state: the workspace when it is ready, an error when it never will be.
    fn observe(&mut self, pod: &Arc<WorkspacePod>) -> Result<Option<Workspace>, Error> {
        let state = pod.status.to_string();
        if state != self.last_state {
            self.last_state.clone_from(&state);
            self.tell(pod.status.state, state);
        }
        if pod.ready {
            let since = *self.ready_since.get_or_insert_with(Instant::now);
            let steady = since.elapsed() >= self.options.steady;
            return Ok(steady.then(|| self.spawner.describe(Arc::clone(pod))));
        }
        self.ready_since = None;
        if !pod.status.fatal {
            self.bad_since = None;
            return Ok(None);
        }
        let since = *self.bad_since.get_or_insert_with(Instant::now);
        let final_ = matches!(pod.status.state, State::Failed | State::Succeeded);
        if !final_ && since.elapsed() < self.options.settle {
            return Ok(None);
        }
        let mut diagnosis = vec![pod.status.to_string()];
        for warning in self.warnings.iter().rev().take(QUOTED_WARNINGS).rev() {
            if !diagnosis.iter().any(|known| known.contains(warning.as_str())) {
                diagnosis.push(warning.clone());
            }
        }
        Err(Error::StartFailed { id: self.id.clone(), diagnosis })
    }

    fn hear(&mut self, pod: &WorkspacePod, event: &PodEvent) {
        let text = format!("{}: {}", event.reason, event.message);
        if event.is_warning() && !self.warnings.contains(&text) {
            self.warnings.push(text.clone());
        }
        self.tell(pod.status.state, text);
    }

    fn tell(&mut self, state: State, message: String) {
        self.step += 1;
        (self.report)(Progress { step: self.step, state, message });
    }
}
