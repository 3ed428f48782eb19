//! Runs one container: again and again, as its pod's restart policy has it.

mod run;
mod stopping;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    RETRY,
    backoff::Backoff,
    container::{Container, Role},
    images::Image,
    pod::{Pod, Snapshot, Stop},
    spec::{self, RestartPolicy},
};
use crate::events::Severity;

/// Why a container runs no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ended by itself, with this code, and is not to be restarted.
    Finished(i32),
    /// It was told to stop.
    Stopped,
}

/// A container and who looks after it.
pub(super) struct Supervisor {
    pod: Arc<Pod>,
    container: Arc<Container>,
    /// Set when the container must stop; set again with an earlier deadline when it must stop sooner.
    stop: watch::Receiver<Option<Stop>>,
    backoff: Backoff,
}

/// How a run came to its end.
enum Run {
    Stopped,
    Ended {
        exit_code: i32,
        ran: Duration,
    },
    /// The container's spec is no longer the one it was started with.
    Outdated,
}

/// It was told to stop before it was done.
struct Interrupted;

impl Supervisor {
    pub(super) fn new(pod: Arc<Pod>, container: Arc<Container>, stop: watch::Receiver<Option<Stop>>) -> Self {
        let backoff = Backoff::new(pod.node.backoff);
        Self { pod, container, stop, backoff }
    }

    /// Runs the container until it is done or told to stop.
    pub(super) async fn run(mut self) -> End {
        loop {
            let Ok(image) = self.image().await else { return End::Stopped };
            match self.run_once(&image).await {
                Run::Stopped => return End::Stopped,
                Run::Outdated => {}
                Run::Ended { exit_code, ran } => {
                    if !self.restarts_after(exit_code) {
                        return End::Finished(exit_code);
                    }
                    let delay = self.backoff.after_run(ran);
                    if !delay.is_zero() && self.back_off(delay).await.is_err() {
                        return End::Stopped;
                    }
                }
            }
        }
    }

    fn restarts_after(&self, exit_code: i32) -> bool {
        let policy = self.pod.latest().spec.restart_policy;
        match self.container.role {
            Role::Sidecar => true,
            Role::Init => exit_code != 0 && policy != RestartPolicy::Never,
            Role::Main => match policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => exit_code != 0,
                RestartPolicy::Never => false,
            },
        }
    }

    /// The container's present spec.
    fn spec(&self, snapshot: &Snapshot) -> spec::Container {
        let containers = match self.container.role {
            Role::Main => &snapshot.spec.containers,
            Role::Init | Role::Sidecar => &snapshot.spec.init_containers,
        };
        containers.iter().find(|container| container.name == self.container.name).cloned().unwrap_or_default()
    }

    fn event(&self, severity: Severity, reason: &str, message: &str) {
        self.pod.event(severity, reason, message, Some(&self.container));
    }

    fn set_waiting(&self, reason: &str, message: &str) {
        self.container.set_waiting(reason, message);
        self.pod.changed.notify_one();
    }

    /// Waits for something, unless told to stop.
    async fn unless_stopped<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(Option::is_some) => Err(Interrupted),
            done = what => Ok(done),
        }
    }

    async fn back_off(&mut self, delay: Duration) -> Result<(), Interrupted> {
        let pod = self.pod.full_name();
        let seconds = delay.as_secs_f64();
        let name = &self.container.name;
        let waiting = format!("back-off {seconds}s restarting failed container={name} pod={pod}");
        let event = format!("Back-off restarting failed container {name} in pod {pod}");
        self.set_waiting("CrashLoopBackOff", &waiting);
        self.event(Severity::Warning, "BackOff", &event);
        self.unless_stopped(tokio::time::sleep(delay)).await
    }

    /// The container's image; waits, as for a registry, until the container names one that is known.
    async fn image(&mut self) -> Result<Image, Interrupted> {
        let mut backoff = Backoff::new(self.pod.node.backoff);
        let mut updates = self.pod.latest.subscribe();
        loop {
            let spec = self.spec(&updates.borrow_and_update().clone());
            let images = &self.pod.node.images;
            if let Some(image) = images.find(&spec.image) {
                let message = format!("Container image {:?} already present on machine", spec.image);
                let image = image.clone();
                self.event(Severity::Normal, "Pulled", &message);
                return Ok(image);
            }
            let why = images.unknown(&spec.image);
            if spec.image_pull_policy == "Never" {
                let message = format!(
                    "Container image {:?} is not present with pull policy of Never: {why}",
                    spec.image
                );
                self.event(Severity::Warning, "ErrImageNeverPull", &message);
                self.event(Severity::Warning, "Failed", "Error: ErrImageNeverPull");
                self.set_waiting("ErrImageNeverPull", &message);
            } else {
                self.event(Severity::Normal, "Pulling", &format!("Pulling image {:?}", spec.image));
                let failed = format!("Failed to pull image {:?}: {why}", spec.image);
                self.event(Severity::Warning, "Failed", &failed);
                self.event(Severity::Warning, "Failed", "Error: ErrImagePull");
                self.set_waiting("ErrImagePull", &why);
                // Long enough for whoever watches the pod to see the first state.
                self.unless_stopped(tokio::time::sleep(RETRY)).await?;
                let waiting = format!("Back-off pulling image {:?}: ErrImagePull: {why}", spec.image);
                self.event(Severity::Normal, "BackOff", &format!("Back-off pulling image {:?}", spec.image));
                self.event(Severity::Warning, "Failed", "Error: ImagePullBackOff");
                self.set_waiting("ImagePullBackOff", &waiting);
            }
            let delay = backoff.after_failed_pull();
            // The machine's programs don't change; the container's image may.
            let changed = async {
                let wanted = spec.image.clone();
                while updates.changed().await.is_ok() {
                    let snapshot = updates.borrow_and_update().clone();
                    if image_of(&snapshot, &self.container.name) != Some(&wanted) {
                        return;
                    }
                }
                std::future::pending().await
            };
            let mut stop = self.stop.clone();
            tokio::select! {
                biased;
                _ = stop.wait_for(Option::is_some) => return Err(Interrupted),
                () = changed => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
    }
}

/// The image a container of a pod names.
fn image_of<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a String> {
    let spec = &snapshot.spec;
    let mut all = spec.containers.iter().chain(&spec.init_containers);
    all.find(|container| container.name == name).map(|container| &container.image)
}
