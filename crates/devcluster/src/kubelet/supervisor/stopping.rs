//! Ending a container: its hook, a request, and at the end of the grace period no more asking.

use std::{future::Future, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{sync::watch, time::Instant};

use super::Supervisor;
use crate::{
    events::Severity,
    kubelet::{container::Running, hooks, pod::Stop, process::Process, spec},
};

/// A container is given this long after its hook, even if that used up the grace period.
const MIN_AFTER_HOOK: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Ends the container's process within the time the pod has left, or within `grace` if that is shorter. Answers
    /// its exit code.
    pub(super) async fn stop_process(
        &mut self,
        process: &mut Process,
        running: &Arc<Running>,
        spec: &spec::Container,
        grace: Option<Duration>,
    ) -> i32 {
        let own = grace.map(|grace| Instant::now() + grace);
        let mut deadline = Deadline { stop: self.stop.clone(), own, extra: None };
        if deadline.is_forced() || deadline.is_due() {
            return process.end().await;
        }
        if let Some(hook) = &spec.lifecycle.pre_stop {
            let hook = hooks::run(&self.pod, running, spec, hook);
            let done = tokio::select! {
                biased;
                code = process.wait() => {
                    process.clear().await;
                    return code;
                }
                outcome = deadline.limit(hook) => outcome,
            };
            if let Some(Err(why)) = done {
                self.event(Severity::Warning, "FailedPreStopHook", &format!("PreStopHook failed: {why}"));
            }
            if deadline.is_forced() {
                return process.end().await;
            }
            deadline.extra = Some(Instant::now() + MIN_AFTER_HOOK);
        }
        process.signal(Signal::TERM);
        let ended = deadline.limit(process.wait()).await;
        match ended {
            Some(code) => {
                process.clear().await;
                code
            }
            None => process.end().await,
        }
    }
}

/// When asking ends. The pod's part of it may come closer while we wait.
struct Deadline {
    stop: watch::Receiver<Option<Stop>>,
    own: Option<Instant>,
    /// Not before this, unless the pod is deleted by force.
    extra: Option<Instant>,
}

impl Deadline {
    fn at(&self) -> Option<Instant> {
        let pods = self.stop.borrow().map(|stop| stop.deadline);
        let at = [pods, self.own].into_iter().flatten().min()?;
        Some(self.extra.map_or(at, |extra| at.max(extra)))
    }

    fn is_due(&self) -> bool {
        self.at().is_some_and(|at| at <= Instant::now())
    }

    /// Whether somebody decided that there is no grace at all.
    fn is_forced(&self) -> bool {
        self.stop.borrow().is_some_and(|stop| stop.forced)
    }

    /// Waits for something until the deadline.
    async fn limit<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(what);
        loop {
            let at = if self.is_forced() { Some(Instant::now()) } else { self.at() };
            let due = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut what => return Some(done),
                () = due => return None,
                changed = self.stop.changed() => {
                    if changed.is_err() {
                        // Nobody is left to change it.
                        return tokio::time::timeout_at(at.unwrap_or_else(Instant::now), what).await.ok();
                    }
                }
            }
        }
    }
}
