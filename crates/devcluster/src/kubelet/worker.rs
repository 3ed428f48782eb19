//! Looks after one pod, from when it is assigned to this machine until it is gone.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    container::{Container, Record, Role, State, Termination},
    node::Node,
    pod::{self, Pod, Snapshot, Stage, Stop},
    sequence,
    spec::{PodSpec, RestartPolicy},
    status::{self, Report},
    volumes::Volumes,
};
use crate::{deletion, events::Severity, kind::Kind, object, store::Preconditions};

/// How often volumes are looked at whose content changes by time alone.
const RENEWAL: Duration = Duration::from_secs(60);

/// The pod's object as the store has it.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) object: Arc<Value>,
    /// It was removed from the store.
    pub(super) is_gone: bool,
}

/// What the worker knows beside the containers' records.
struct Worker {
    pod: Arc<Pod>,
    stop: watch::Sender<Option<Stop>>,
    /// The grace period that was last asked for, in seconds.
    grace: Option<u64>,
    verdict: Option<(&'static str, String)>,
    is_deleted: bool,
    is_gone: bool,
}

/// Runs the pod until it is gone or the kubelet shuts down.
pub(super) async fn run(node: Arc<Node>, mut updates: watch::Receiver<Update>) {
    let object = updates.borrow_and_update().object.clone();
    let snapshot = match Snapshot::read(object.clone()) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::warn!(pod = object::name(&object), %error, "a pod's spec can't be read");
            return wait_for_removal(&node, &mut updates).await;
        }
    };
    if is_terminal(&object) {
        return wait_for_removal(&node, &mut updates).await;
    }
    let pod = admit(node.clone(), snapshot);
    node.pods().insert(pod.uid.clone(), pod.clone());
    let mut worker = Worker {
        pod: pod.clone(),
        stop: watch::Sender::new(None),
        grace: None,
        verdict: None,
        is_deleted: false,
        is_gone: false,
    };
    worker.live(&mut updates).await;
    if !node.shutdown.is_cancelled() {
        worker.publish();
    }
    let is_gone = worker.is_gone;
    clean_up(&node, &pod).await;
    if !is_gone {
        wait_for_removal(&node, &mut updates).await;
    }
}

fn is_terminal(object: &Value) -> bool {
    matches!(object::text_at(object, &["status", "phase"]), "Succeeded" | "Failed")
}

/// A pod that does not run: removes it from the store when that is asked for.
async fn wait_for_removal(node: &Node, updates: &mut watch::Receiver<Update>) {
    loop {
        let Update { object, is_gone } = updates.borrow_and_update().clone();
        if is_gone || node.shutdown.is_cancelled() {
            return;
        }
        if object::deletion_timestamp(&object).is_some() {
            let (namespace, name) = (object::namespace(&object), object::name(&object));
            if let Err(error) = deletion::finish(&node.store, namespace, name, object::uid(&object)) {
                tracing::warn!(pod = name, %error, "a pod could not be removed");
            }
        }
        tokio::select! {
            changed = updates.changed() => if changed.is_err() { return },
            () = node.shutdown.cancelled() => return,
        }
    }
}

/// Makes room for a pod.
fn admit(node: Arc<Node>, snapshot: Snapshot) -> Arc<Pod> {
    let Snapshot { object, spec } = &snapshot;
    let uid = object::uid(object).to_owned();
    let dir = node.run_dir.path().join("pods").join(&uid);
    let ip = if spec.host_network { super::addresses::HOST } else { node.take_address() };
    let init = spec
        .init_containers
        .iter()
        .map(|container| (container, if container.is_sidecar() { Role::Sidecar } else { Role::Init }));
    let containers = init.chain(spec.containers.iter().map(|container| (container, Role::Main)));
    let containers: Vec<Arc<Container>> = containers
        .map(|(container, role)| {
            let record = restored(object, spec, role, &container.name);
            Arc::new(Container::new(&container.name, role, record))
        })
        .collect();
    Arc::new(Pod {
        uid,
        namespace: object::namespace(object).to_owned(),
        name: object::name(object).to_owned(),
        hostname: pod::hostname(object, spec),
        ip,
        started: Timestamp::now(),
        volumes: Volumes::new(dir.join("volumes")).into(),
        dir,
        containers,
        changed: Notify::new(),
        stage: watch::Sender::new(Stage::SettingUp),
        latest: watch::Sender::new(Arc::new(snapshot)),
        node,
    })
}

/// The state a container begins in. If it has run before this kubelet was started, that run was lost with the kubelet
/// before; its number of restarts goes on.
fn restored(object: &Value, spec: &PodSpec, role: Role, name: &str) -> Record {
    let has_init = !spec.init_containers.is_empty();
    let mut record = Record::waiting(if has_init { "PodInitializing" } else { "ContainerCreating" });
    let field = if role == Role::Main { "containerStatuses" } else { "initContainerStatuses" };
    let statuses = object::list_at(object, &["status", field]);
    let Some(before) = statuses.iter().find(|status| object::text_at(status, &["name"]) == name) else {
        return record;
    };
    let id = object::text_at(before, &["containerID"]);
    if id.is_empty() {
        return record;
    }
    record.id = id.to_owned();
    let restarts = object::at(before, &["restartCount"]).and_then(Value::as_u64).unwrap_or(0);
    record.restarts = u32::try_from(restarts).unwrap_or(u32::MAX);
    let lost = Termination {
        exit_code: 137,
        reason: "ContainerStatusUnknown".into(),
        message: "The container was lost when the cluster was stopped".into(),
        started: object::text_at(before, &["state", "running", "startedAt"]).parse().ok(),
        finished: Timestamp::now(),
        id: id.to_owned(),
    };
    if role == Role::Main && spec.restart_policy == RestartPolicy::Never {
        // It is not to run twice.
        record.state = State::Terminated(lost);
    } else {
        record.last = Some(lost);
    }
    record
}

impl Worker {
    /// Runs the containers; returns when nothing of the pod runs any more and it is to be removed.
    async fn live(&mut self, updates: &mut watch::Receiver<Update>) {
        let pod = self.pod.clone();
        let shutdown = pod.node.shutdown.clone();
        let mut sources = pod.node.sources.clone();
        let work = sequence::run(pod.clone(), self.stop.subscribe());
        tokio::pin!(work);
        if pod.of_role(true).any(|container| container.record.borrow().termination().is_some()) {
            pod.enter(Stage::Over);
        }
        let deadline = pod.latest().spec.active_deadline_seconds;
        let deadline = deadline.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut renewal = tokio::time::interval(RENEWAL);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if let Some(advice) = pod.node.isolation.advice() {
            pod.event(Severity::Warning, "NoIsolation", advice, None);
        }
        // The object may have changed since it was assigned to us.
        self.observe(&updates.borrow_and_update().clone());
        self.publish();
        loop {
            if self.is_over() && (self.is_deleted || self.is_gone) {
                return;
            }
            let is_late = async {
                match deadline.filter(|_| self.verdict.is_none() && !self.is_over()) {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut work, if !self.is_over() => {
                    pod.enter(Stage::Over);
                    self.publish();
                }
                () = pod.changed.notified() => self.publish(),
                changed = updates.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let update = updates.borrow_and_update().clone();
                    self.observe(&update);
                    self.refresh_volumes().await;
                    self.publish();
                }
                Ok(()) = sources.changed() => {
                    sources.borrow_and_update();
                    self.refresh_volumes().await;
                }
                // Tokens in volumes end, which nothing announces.
                _ = renewal.tick() => self.refresh_volumes().await,
                () = is_late => self.deadline_exceeded(),
                () = shutdown.cancelled() => {
                    // Nothing of this is written down: the pod is to start again with the cluster.
                    self.stop_by(Stop::now());
                    if !self.is_over() {
                        work.as_mut().await;
                    }
                    return;
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.pod.stage() == Stage::Over
    }

    fn stop_by(&self, stop: Stop) {
        self.stop.send_modify(|before| *before = Some(before.map_or(stop, |before| before.sooner(stop))));
    }

    /// Takes note of the pod's object.
    fn observe(&mut self, update: &Update) {
        self.is_gone = update.is_gone;
        match Snapshot::read(update.object.clone()) {
            Ok(snapshot) => {
                self.pod.latest.send_replace(Arc::new(snapshot));
            }
            Err(error) => tracing::warn!(pod = %self.pod.name, %error, "a change to a pod can't be read"),
        }
        if self.is_gone {
            self.stop_by(Stop::now());
        }
        if object::deletion_timestamp(&update.object).is_some() {
            self.is_deleted = true;
            let grace = object::at(&update.object, &["metadata", "deletionGracePeriodSeconds"]);
            let grace = grace.and_then(Value::as_u64).unwrap_or(30);
            // Only a shorter period than before is news.
            if self.grace.is_none_or(|before| grace < before) {
                self.grace = Some(grace);
                self.stop_by(Stop::within(Duration::from_secs(grace)));
            }
        }
    }

    fn deadline_exceeded(&mut self) {
        let message = "Pod was active on the node longer than the specified deadline";
        self.pod.event(Severity::Normal, "DeadlineExceeded", message, None);
        self.verdict = Some(("DeadlineExceeded", message.to_owned()));
        let grace = self.pod.latest().spec.termination_grace_period_seconds.unwrap_or(30);
        self.stop_by(Stop::within(Duration::from_secs(grace)));
        self.publish();
    }

    /// Brings content of ours up to date. What can't be had any more stays as it was.
    async fn refresh_volumes(&self) {
        let has_content = |volume: &super::spec::Volume| volume.source.keys().any(|kind| kind != "emptyDir");
        let wanted =
            self.pod.stage() > Stage::SettingUp && self.pod.latest().spec.volumes.iter().any(has_content);
        if !wanted || self.is_gone || self.is_over() {
            return;
        }
        let pod = self.pod.clone();
        let refreshed = tokio::task::spawn_blocking(move || pod.set_up_volumes()).await;
        if let Ok(Err(failure)) = refreshed {
            tracing::debug!(pod = %self.pod.name, volume = failure.volume, why = failure.why, "a volume was not refreshed");
        }
    }

    /// Writes the pod's status, if it is no longer what the store has.
    fn publish(&self) {
        if self.is_gone {
            return;
        }
        let snapshot = self.pod.latest();
        let records =
            |main| self.pod.of_role(main).map(|container| container.record()).collect::<Vec<Record>>();
        let report = Report {
            spec: &snapshot.spec,
            generation: object::at(&snapshot.object, &["metadata", "generation"]).and_then(Value::as_i64),
            init: records(false),
            main: records(true),
            ip: self.pod.ip,
            started: self.pod.started,
            stage: self.pod.stage(),
            verdict: self.verdict.clone(),
        };
        let write = |status: &mut Map<String, Value>| status::write(status, &report);
        let Pod { namespace, name, uid, node, .. } = &*self.pod;
        if let Err(error) =
            node.store.update_status(Kind::Pod, namespace, name, &Preconditions::uid(uid), write)
        {
            // Gone, or replaced by another of its name: the watch will tell.
            tracing::debug!(pod = %name, %error, "a pod's status was not written");
        }
    }
}

/// Removes everything of the pod from this machine.
async fn clean_up(node: &Node, pod: &Arc<Pod>) {
    node.pods().remove(&pod.uid);
    node.isolation.release(&pod.uid);
    let dir = pod.dir.clone();
    let _ = tokio::task::spawn_blocking(move || super::rundir::remove_tree(&dir)).await;
    node.claims.detach(&pod.uid);
    node.release_address(pod.ip);
}
