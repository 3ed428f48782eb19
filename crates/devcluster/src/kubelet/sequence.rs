//! The order in which a pod's containers run.

use std::sync::Arc;

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{
    container::{Container, Role},
    pod::{Pod, Stage, Stop},
    supervisor::{End, Supervisor},
};
use crate::events::Severity;

/// A sidecar that runs beside the others, and how to stop it.
struct Sidecar {
    stop: watch::Sender<Option<Stop>>,
    task: JoinHandle<End>,
}

/// Sidecars are stopped with everything else when the pod is given up.
impl Drop for Sidecar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes the volumes, then runs the init containers one after the other and the main ones side by side, until all are
/// done or told to stop; then stops the sidecars, the last one first.
pub(super) async fn run(pod: Arc<Pod>, mut stop: watch::Receiver<Option<Stop>>) {
    if !set_up_volumes(&pod, &mut stop).await {
        return;
    }
    let mut sidecars = Vec::new();
    if initialize(&pod, &stop, &mut sidecars).await {
        pod.enter(Stage::Running);
        let mut mains: JoinSet<End> = JoinSet::new();
        for container in pod.of_role(true) {
            mains.spawn(Supervisor::new(pod.clone(), container.clone(), stop.clone()).run());
        }
        while mains.join_next().await.is_some() {}
    }
    while let Some(sidecar) = sidecars.pop() {
        stop_sidecar(&pod, sidecar, &mut stop).await;
    }
}

/// Answers whether all volumes are there; if not, the pod was told to stop.
async fn set_up_volumes(pod: &Arc<Pod>, stop: &mut watch::Receiver<Option<Stop>>) -> bool {
    let mut sources = pod.node.sources.clone();
    let mut said = None;
    loop {
        sources.borrow_and_update();
        let attempt = tokio::task::spawn_blocking({
            let pod = pod.clone();
            move || pod.set_up_volumes()
        });
        let failure = match attempt.await {
            Ok(Ok(())) => break,
            Ok(Err(failure)) => failure,
            // The runtime is going away.
            Err(_) => return false,
        };
        if said.as_ref() != Some(&failure) {
            let message =
                format!("MountVolume.SetUp failed for volume {:?} : {}", failure.volume, failure.why);
            pod.event(Severity::Warning, "FailedMount", &message, None);
            said = Some(failure);
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(Option::is_some) => return false,
            Ok(()) = sources.changed() => {}
            () = tokio::time::sleep(super::RETRY) => {}
        }
    }
    if stop.borrow().is_some() {
        return false;
    }
    pod.enter(Stage::Initializing);
    true
}

/// Runs the init containers. Answers whether the main ones may start.
async fn initialize(
    pod: &Arc<Pod>,
    stop: &watch::Receiver<Option<Stop>>,
    sidecars: &mut Vec<Sidecar>,
) -> bool {
    for container in pod.of_role(false) {
        if container.role == Role::Sidecar {
            let (sender, receiver) = watch::channel(None);
            let task = tokio::spawn(Supervisor::new(pod.clone(), container.clone(), receiver).run());
            sidecars.push(Sidecar { stop: sender, task });
            if !has_started(container, stop.clone()).await {
                return false;
            }
        } else if Supervisor::new(pod.clone(), container.clone(), stop.clone()).run().await
            != End::Finished(0)
        {
            return false;
        }
    }
    stop.borrow().is_none()
}

/// Waits until a sidecar has started; answers whether it did before the pod was told to stop.
async fn has_started(container: &Container, mut stop: watch::Receiver<Option<Stop>>) -> bool {
    let mut record = container.record.subscribe();
    tokio::select! {
        biased;
        _ = stop.wait_for(Option::is_some) => false,
        started = record.wait_for(|record| record.started) => started.is_ok(),
    }
}

async fn stop_sidecar(pod: &Pod, mut sidecar: Sidecar, stop: &mut watch::Receiver<Option<Stop>>) {
    let grace = pod.latest().spec.termination_grace_period_seconds.unwrap_or(30);
    let own = Stop::within(std::time::Duration::from_secs(grace));
    loop {
        // The pod's deadline, if it has one, holds for all its containers together.
        let deadline = stop.borrow_and_update().unwrap_or(own);
        sidecar.stop.send_replace(Some(deadline));
        tokio::select! {
            _ = &mut sidecar.task => return,
            changed = stop.changed() => {
                if changed.is_err() {
                    let _ = (&mut sidecar.task).await;
                    return;
                }
            }
        }
    }
}
