//! The status of a pod, in the shape a real kubelet gives it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    addresses::HOST,
    container::{Record, State, Termination},
    images,
    pod::Stage,
    spec::{Container, PodSpec, Resources, RestartPolicy},
};
use crate::object;

/// What is known of a pod.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) spec: &'a PodSpec,
    /// `metadata.generation`.
    pub(super) generation: Option<i64>,
    /// In the order of the spec.
    pub(super) init: Vec<Record>,
    /// In the order of the spec.
    pub(super) main: Vec<Record>,
    pub(super) ip: IpAddr,
    pub(super) started: Timestamp,
    pub(super) stage: Stage,
    /// Reason and message of a pod that was ended as a whole.
    pub(super) verdict: Option<(&'static str, String)>,
}

/// Brings a pod's status up to date. What others write there, such as conditions of their own, stays.
pub(super) fn write(status: &mut Map<String, Value>, report: &Report<'_>) {
    let phase = report.phase();
    status.insert("phase".into(), phase.into());
    match &report.verdict {
        Some((reason, message)) => {
            status.insert("reason".into(), (*reason).into());
            status.insert("message".into(), message.as_str().into());
        }
        None => {
            status.shift_remove("reason");
            status.shift_remove("message");
        }
    }
    write_conditions(status, report, phase);
    status.insert("hostIP".into(), HOST.to_string().into());
    status.insert("hostIPs".into(), json!([{ "ip": HOST.to_string() }]));
    status.insert("podIP".into(), report.ip.to_string().into());
    status.insert("podIPs".into(), json!([{ "ip": report.ip.to_string() }]));
    status.insert("startTime".into(), object::seconds(report.started).into());
    if !report.init.is_empty() {
        status.insert("initContainerStatuses".into(), statuses(&report.spec.init_containers, &report.init));
    }
    status.insert("containerStatuses".into(), statuses(&report.spec.containers, &report.main));
}

impl Report<'_> {
    fn init_containers(&self) -> impl Iterator<Item = (&Container, &Record)> {
        self.spec.init_containers.iter().zip(&self.init)
    }

    /// A sidecar that ends later does not undo this.
    fn has_initialized(&self) -> bool {
        self.stage == Stage::Running || self.main.iter().any(|record| record.termination().is_some())
    }

    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Names of the init containers that are not done: not ended well, or as a sidecar not started.
    fn uninitialized(&self) -> Vec<&str> {
        if self.has_initialized() {
            return Vec::new();
        }
        self.init_containers()
            .filter(|(container, record)| {
                if container.is_sidecar() {
                    !record.started
                } else {
                    record.termination().is_none_or(|end| end.exit_code != 0)
                }
            })
            .map(|(container, _)| container.name.as_str())
            .collect()
    }

    /// `status.phase`, by the rules of a real kubelet.
    fn phase(&self) -> &'static str {
        if self.verdict.is_some() {
            return "Failed";
        }
        let waits_for_init = !self.uninitialized().is_empty();
        let init_failed = self.init_containers().any(|(container, record)| {
            !container.is_sidecar() && record.termination().is_some_and(|end| end.exit_code != 0)
        });
        if waits_for_init
            && init_failed
            && (self.is_over() || self.spec.restart_policy == RestartPolicy::Never)
        {
            return "Failed";
        }
        if waits_for_init {
            return "Pending";
        }
        let sidecars_run =
            self.init_containers().any(|(container, record)| container.is_sidecar() && record.is_running());
        let (mut running, mut waiting, mut stopped, mut succeeded) = (0, 0, 0, 0);
        for record in &self.main {
            match &record.state {
                State::Running { .. } => running += 1,
                State::Waiting { .. } if record.last.is_some() => stopped += 1,
                State::Waiting { .. } => waiting += 1,
                State::Terminated(end) => {
                    stopped += 1;
                    succeeded += usize::from(end.exit_code == 0);
                }
            }
        }
        let ends = self.is_over() || self.spec.restart_policy != RestartPolicy::Always;
        match () {
            () if waiting > 0 => "Pending",
            () if running > 0 || stopped == 0 || sidecars_run => "Running",
            () if ends && stopped == succeeded => "Succeeded",
            () if self.is_over() || self.spec.restart_policy == RestartPolicy::Never => "Failed",
            () => "Running",
        }
    }
}

fn has_run(record: &Record) -> bool {
    !record.id.is_empty()
}

struct Condition {
    name: &'static str,
    /// Reason and message if the condition does not hold, or holds for a special reason.
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    fn of(name: &'static str, holds: bool, reason: &'static str, message: String) -> Self {
        Self { name, holds, reason, message }
    }

    fn holds(name: &'static str) -> Self {
        Self::of(name, true, "", String::new())
    }
}

fn write_conditions(status: &mut Map<String, Value>, report: &Report<'_>, phase: &str) {
    let old = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let now = object::now();
    let mut conditions: Vec<Value> = Vec::new();
    for condition in our_conditions(report, phase, &old) {
        let before = old.iter().find(|other| object::text_at(other, &["type"]) == condition.name);
        let state = if condition.holds { "True" } else { "False" };
        let since = before
            .filter(|before| object::text_at(before, &["status"]) == state)
            .map(|before| object::text_at(before, &["lastTransitionTime"]))
            .filter(|time| !time.is_empty());
        let mut value = json!({
            "type": condition.name, "status": state, "lastProbeTime": null,
            "lastTransitionTime": since.unwrap_or(&now),
        });
        let map = object::as_map(&mut value);
        if let Some(generation) = report.generation {
            map.insert("observedGeneration".into(), generation.into());
        }
        if !condition.reason.is_empty() {
            map.insert("reason".into(), condition.reason.into());
        }
        if !condition.message.is_empty() {
            map.insert("message".into(), condition.message.into());
        }
        conditions.push(value);
    }
    let ours = conditions.len();
    for other in old {
        let name = object::text_at(&other, &["type"]);
        if !conditions.iter().take(ours).any(|condition| object::text_at(condition, &["type"]) == name) {
            conditions.push(other);
        }
    }
    status.insert("conditions".into(), conditions.into());
    if let Some(generation) = report.generation {
        status.insert("observedGeneration".into(), generation.into());
    }
}

fn our_conditions(report: &Report<'_>, phase: &str, all: &[Value]) -> Vec<Condition> {
    let terminal = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => None,
    };
    let uninitialized = report.uninitialized();
    let initialized = if !uninitialized.is_empty() {
        let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
        Condition::of("Initialized", false, "ContainersNotInitialized", message)
    } else if phase == "Succeeded" {
        Condition::of("Initialized", true, "PodCompleted", String::new())
    } else {
        Condition::holds("Initialized")
    };
    let sidecars = report.init_containers().filter(|(container, _)| container.is_sidecar());
    let unready: Vec<&str> = sidecars
        .chain(report.spec.containers.iter().zip(&report.main))
        .filter(|(_, record)| !record.ready)
        .map(|(container, _)| container.name.as_str())
        .collect();
    let why_unready = match terminal {
        Some(reason) => Some((reason, String::new())),
        None if !unready.is_empty() => {
            Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))))
        }
        None => None,
    };
    let containers_ready = match &why_unready {
        Some((reason, message)) => Condition::of("ContainersReady", false, reason, message.clone()),
        None => Condition::holds("ContainersReady"),
    };
    let gates: Vec<String> = report
        .spec
        .readiness_gates
        .iter()
        .map(|gate| gate.condition_type.as_str())
        .filter_map(|gate| match all.iter().find(|condition| object::text_at(condition, &["type"]) == gate) {
            Some(condition) if object::text_at(condition, &["status"]) == "True" => None,
            Some(_) => Some(format!("the status of pod readiness gate {gate:?} is not \"True\"")),
            None => Some(format!("corresponding condition of pod readiness gate {gate:?} does not exist.")),
        })
        .collect();
    let ready = match why_unready {
        Some((reason, message)) => Condition::of("Ready", false, reason, message),
        None if !gates.is_empty() => {
            Condition::of("Ready", false, "ReadinessGatesNotReady", gates.join(", "))
        }
        None => Condition::holds("Ready"),
    };
    let set_up = Condition::of(
        "PodReadyToStartContainers",
        !matches!(report.stage, Stage::SettingUp | Stage::Over),
        "",
        String::new(),
    );
    vec![set_up, initialized, ready, containers_ready, Condition::holds("PodScheduled")]
}

fn statuses(containers: &[Container], records: &[Record]) -> Value {
    containers.iter().zip(records).map(|(container, record)| status_of(container, record)).collect()
}

fn status_of(container: &Container, record: &Record) -> Value {
    let run = has_run(record);
    let mut status = json!({
        "name": container.name,
        "state": state(record),
        "lastState": record.last.as_ref().map_or_else(|| json!({}), |end| json!({ "terminated": terminated(end) })),
        "ready": record.ready,
        "restartCount": record.restarts,
        "image": if run { images::canonical(&container.image) } else { container.image.clone() },
        "imageID": if run { images::id(&container.image) } else { String::new() },
        "started": record.started,
    });
    let map = object::as_map(&mut status);
    if run {
        map.insert("containerID".into(), record.id.as_str().into());
        // Nothing enforces them, so what is asked for is what there is.
        let Resources { limits, requests } = &container.resources;
        let mut resources = Map::new();
        for (which, amounts) in [("limits", limits), ("requests", requests)] {
            if !amounts.is_empty() {
                resources.insert(which.into(), json!(amounts));
            }
        }
        if let Some(requests) = resources.get("requests") {
            map.insert("allocatedResources".into(), requests.clone());
        }
        map.insert("resources".into(), resources.into());
    }
    let mounts: Vec<Value> = container
        .volume_mounts
        .iter()
        .map(|mount| {
            let mut value = json!({ "name": mount.name, "mountPath": mount.mount_path });
            if mount.read_only {
                object::as_map(&mut value).extend([
                    ("readOnly".to_owned(), true.into()),
                    ("recursiveReadOnly".to_owned(), "Disabled".into()),
                ]);
            }
            value
        })
        .collect();
    if !mounts.is_empty() {
        map.insert("volumeMounts".into(), mounts.into());
    }
    status
}

fn state(record: &Record) -> Value {
    match &record.state {
        State::Waiting { reason, message } if message.is_empty() => {
            json!({ "waiting": { "reason": reason } })
        }
        State::Waiting { reason, message } => json!({ "waiting": { "reason": reason, "message": message } }),
        State::Running { since } => json!({ "running": { "startedAt": object::seconds(*since) } }),
        State::Terminated(end) => json!({ "terminated": terminated(end) }),
    }
}

fn terminated(end: &Termination) -> Value {
    let mut value = json!({
        "exitCode": end.exit_code,
        "reason": end.reason,
        "startedAt": object::seconds(end.started.unwrap_or(Timestamp::UNIX_EPOCH)),
        "finishedAt": object::seconds(end.finished),
        "containerID": end.id,
    });
    if !end.message.is_empty() {
        object::as_map(&mut value).insert("message".into(), end.message.as_str().into());
    }
    value
}

#[cfg(test)]
mod tests;
