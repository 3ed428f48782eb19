//! A pod's row.

use serde_json::Value;

use super::{AGE, Column, NAME, age, column, or_none, wide};
use crate::object::{self, at, list_at, text_at};

pub(super) const COLUMNS: [Column; 9] = [
    NAME,
    column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    column("Status", "The aggregate status of the containers in this pod."),
    column(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    AGE,
    wide(
        "IP",
        "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
    ),
    wide(
        "Node",
        "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename",
    ),
    wide(
        "Nominated Node",
        "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods. This field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is scheduled.",
    ),
    wide(
        "Readiness Gates",
        "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates",
    ),
];

/// What the containers' statuses add up to.
struct Summary {
    reason: String,
    ready: usize,
    restarts: i64,
    /// When a container last ended that runs again.
    last_restart: String,
}

impl Summary {
    fn count_restarts(&mut self, status: &Value) {
        self.restarts += status.get("restartCount").and_then(Value::as_i64).unwrap_or_default();
        let ended = text_at(status, &["lastState", "terminated", "finishedAt"]);
        // Times of this form sort as text.
        if ended > self.last_restart.as_str() {
            ended.clone_into(&mut self.last_restart);
        }
    }
}

pub(super) fn cells(pod: &Value) -> Vec<Value> {
    let spec = |field| list_at(pod, &["spec", field]);
    let total = spec("containers").len() + spec("initContainers").iter().filter(|c| is_sidecar(c)).count();
    let summary = summarize(pod);
    let restarts = if summary.restarts != 0 && !summary.last_restart.is_empty() {
        format!("{} ({} ago)", summary.restarts, age::since(&summary.last_restart))
    } else {
        summary.restarts.to_string()
    };
    let gates = spec("readinessGates");
    let passed =
        gates.iter().filter(|gate| condition(pod, text_at(gate, &["conditionType"])) == "True").count();
    vec![
        object::name(pod).into(),
        format!("{}/{total}", summary.ready).into(),
        summary.reason.into(),
        restarts.into(),
        super::age(pod).into(),
        or_none(text_at(pod, &["status", "podIP"])),
        or_none(text_at(pod, &["spec", "nodeName"])),
        or_none(text_at(pod, &["status", "nominatedNodeName"])),
        or_none(&if gates.is_empty() { String::new() } else { format!("{passed}/{}", gates.len()) }),
    ]
}

fn is_sidecar(container: &Value) -> bool {
    text_at(container, &["restartPolicy"]) == "Always"
}

fn condition<'a>(pod: &'a Value, kind: &str) -> &'a str {
    list_at(pod, &["status", "conditions"])
        .iter()
        .find(|condition| text_at(condition, &["type"]) == kind)
        .map_or("", |condition| text_at(condition, &["status"]))
}

fn summarize(pod: &Value) -> Summary {
    let phase = text_at(pod, &["status", "phase"]);
    let own_reason = text_at(pod, &["status", "reason"]);
    let gated = list_at(pod, &["status", "conditions"])
        .iter()
        .any(|c| text_at(c, &["type"]) == "PodScheduled" && text_at(c, &["reason"]) == "SchedulingGated");
    let reason = match (gated, own_reason) {
        (true, _) => "SchedulingGated",
        (false, "") => phase,
        (false, own) => own,
    };
    let mut summary =
        Summary { reason: reason.to_owned(), ready: 0, restarts: 0, last_restart: String::new() };
    let mut sidecars = Summary { reason: String::new(), ready: 0, restarts: 0, last_restart: String::new() };
    let initializing = summarize_init(pod, &mut summary, &mut sidecars);
    if !initializing || condition(pod, "Initialized") == "True" {
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        summarize_main(pod, &mut summary);
    }
    if object::deletion_timestamp(pod).is_some() && !matches!(phase, "Succeeded" | "Failed") {
        "Terminating".clone_into(&mut summary.reason);
    }
    summary
}

/// How far the init containers are; true when they aren't through.
fn summarize_init(pod: &Value, summary: &mut Summary, sidecars: &mut Summary) -> bool {
    let containers = list_at(pod, &["spec", "initContainers"]);
    for (index, status) in list_at(pod, &["status", "initContainerStatuses"]).iter().enumerate() {
        summary.count_restarts(status);
        let name = text_at(status, &["name"]);
        let sidecar = containers.iter().any(|c| text_at(c, &["name"]) == name && is_sidecar(c));
        if sidecar {
            sidecars.count_restarts(status);
        }
        let waiting = text_at(status, &["state", "waiting", "reason"]);
        match ended(status) {
            Some((0, _)) => continue,
            _ if sidecar && status.get("started") == Some(&Value::Bool(true)) => {
                summary.ready += usize::from(status.get("ready") == Some(&Value::Bool(true)));
                continue;
            }
            Some((_, why)) => summary.reason = format!("Init:{why}"),
            None if !matches!(waiting, "" | "PodInitializing") => summary.reason = format!("Init:{waiting}"),
            None => summary.reason = format!("Init:{index}/{}", containers.len()),
        }
        return true;
    }
    false
}

fn summarize_main(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in list_at(pod, &["status", "containerStatuses"]).iter().rev() {
        summary.count_restarts(status);
        let waiting = text_at(status, &["state", "waiting", "reason"]);
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if let Some((_, why)) = ended(status) {
            summary.reason = why;
        } else if status.get("ready") == Some(&Value::Bool(true))
            && at(status, &["state", "running"]).is_some()
        {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && running {
        let reason = if condition(pod, "Ready") == "True" { "Running" } else { "NotReady" };
        reason.clone_into(&mut summary.reason);
    }
}

/// Exit code of a container that has ended, and why it did.
fn ended(status: &Value) -> Option<(i64, String)> {
    let terminated = at(status, &["state", "terminated"])?;
    let number = |field| terminated.get(field).and_then(Value::as_i64).unwrap_or_default();
    let why = match (text_at(terminated, &["reason"]), number("signal")) {
        ("", 0) => format!("ExitCode:{}", number("exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    };
    Some((number("exitCode"), why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(pod: &Value) -> (String, String, String) {
        let cells = cells(pod);
        let text = |index: usize| cells[index].as_str().unwrap().to_owned();
        (text(1), text(2), text(3))
    }

    fn pod(status: Value) -> Value {
        json!({
            "metadata": { "name": "p" }, "status": status,
            "spec": { "containers": [{ "name": "a" }, { "name": "b" }], "initContainers": [{ "name": "i" }, { "name": "j" }] },
        })
    }

    #[test]
    fn what_people_read() {
        let running = json!({ "ready": true, "restartCount": 0, "state": { "running": {} } });
        let done = json!({ "name": "i", "state": { "terminated": { "exitCode": 0 } } });
        for (status, ready, reason) in [
            (json!({ "phase": "Pending" }), "0/2", "Pending"),
            (
                json!({ "phase": "Pending", "initContainerStatuses": [done, { "name": "j", "state": { "running": {} } }] }),
                "0/2",
                "Init:1/2",
            ),
            (
                json!({ "phase": "Pending", "initContainerStatuses": [{ "name": "i", "state": { "terminated": { "exitCode": 3 } } }] }),
                "0/2",
                "Init:ExitCode:3",
            ),
            (
                json!({ "phase": "Pending", "initContainerStatuses": [{ "name": "i", "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] }),
                "0/2",
                "Init:CrashLoopBackOff",
            ),
            (json!({ "phase": "Running", "containerStatuses": [running, running] }), "2/2", "Running"),
            (
                json!({ "phase": "Running", "containerStatuses": [running, { "state": { "waiting": { "reason": "ImagePullBackOff" } } }] }),
                "1/2",
                "ImagePullBackOff",
            ),
            (
                json!({ "phase": "Failed", "containerStatuses": [{ "state": { "terminated": { "exitCode": 1, "reason": "Error" } } }] }),
                "0/2",
                "Error",
            ),
            (json!({ "phase": "Failed", "reason": "Evicted" }), "0/2", "Evicted"),
        ] {
            let (found_ready, found_reason, _) = row(&pod(status));
            assert_eq!((found_ready.as_str(), found_reason.as_str()), (ready, reason));
        }
        let mut terminating = pod(json!({ "phase": "Running" }));
        terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(row(&terminating).1, "Terminating");
    }

    #[test]
    fn restarts_say_when() {
        let status = json!({ "phase": "Running", "containerStatuses": [{
            "ready": true, "restartCount": 2, "state": { "running": {} },
            "lastState": { "terminated": { "finishedAt": "2020-01-01T00:00:00Z" } },
        }] });
        let restarts = row(&pod(status)).2;
        assert!(restarts.starts_with("2 (") && restarts.ends_with(" ago)"), "{restarts}");
    }
}
