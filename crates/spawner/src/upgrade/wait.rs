//! Waiting for an upgrade to end.

use nocrd_model::{Subject, WorkspaceId};
use tokio::time::Instant;

use crate::{Error, Progress, Spawner, WaitOptions, Workspace};

impl Spawner {
    /// Waits until the upgrade of a workspace has ended, with `owner` only if it is theirs, telling `report` of every step. Dropping
    /// the future stops the waiting; the upgrade goes on. Of the options the time limit counts alone.
    ///
    /// # Errors
    /// [`Error::UpgradeFailed`] when the workspace is as it was; [`Error::StartTimeout`] when the time limit is over, and the
    /// upgrade perhaps not; [`Error::NotFound`] when the workspace is not there or was stopped.
    pub async fn wait_upgraded(
        &self,
        id: &WorkspaceId,
        owner: Option<&Subject>,
        options: WaitOptions,
        mut report: impl FnMut(Progress) + Send,
    ) -> Result<Workspace, Error> {
        let started = Instant::now();
        let deadline = started + options.timeout;
        let (mut step, mut last) = (0, String::new());
        loop {
            let pods = self.pods_of(id, owner)?;
            let workspace = self.describe_all(&pods).ok_or_else(|| Error::NotFound { id: id.clone() })?;
            let status = workspace.status().to_string();
            if status != last {
                step += 1;
                report(Progress { step, state: workspace.status().state, message: status.clone() });
                last = status;
            }
            if workspace.upgrade().is_none() && workspace.pod().deleting {
                return Err(Error::NotFound { id: id.clone() });
            }
            if workspace.upgrade().is_none() {
                return match workspace.last_upgrade_error() {
                    Some(reason) => Err(Error::UpgradeFailed { id: id.clone(), reason: reason.to_owned() }),
                    None => Ok(workspace),
                };
            }
            let versions: Vec<_> = pods.iter().map(|pod| pod.resource_version.clone()).collect();
            let left = deadline.saturating_duration_since(Instant::now());
            let changed = self.cluster().workspaces().wait_for(id, left, |now| {
                let now = now.iter().filter(|pod| owner.is_none_or(|owner| pod.owner == *owner));
                !now.map(|pod| &pod.resource_version).eq(&versions)
            });
            if changed.await.is_err() {
                return Err(Error::StartTimeout { id: id.clone(), waited: started.elapsed(), last });
            }
        }
    }
}
