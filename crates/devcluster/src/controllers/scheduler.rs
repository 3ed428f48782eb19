//! Binding pods to the node, if it fits.

use futures::StreamExt;
use serde_json::{Value, json};

use super::{Notice, notices, tolerate};
use crate::{
    events::{Recorder, Severity},
    kind::Kind,
    object::{self, list_at, text_at},
    resources::{
        claim::{self, Obstacle},
        pod,
    },
    status::Status,
    store::{Fate, Mode, Preconditions, Store, check_update},
    validate::entries,
};

/// The scheduler that pods name unless they name another.
const NAME: &str = "default-scheduler";

/// Why a pod that wants a claim for itself fits no node.
const TAKEN: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
/// Why no other pod makes room.
const UNHELPFUL: &str = "Preemption is not helpful for scheduling";
const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

pub(super) async fn run(store: Store) {
    let kinds = [Kind::Node, Kind::Pod, Kind::PersistentVolumeClaim];
    let mut notices = std::pin::pin!(notices(&store, &kinds));
    while let Some(notice) = notices.next().await {
        match notice {
            Notice::Present(Kind::Pod, pod) if !pod::has_ended(&pod) => schedule(&store, &pod),
            Notice::Present(Kind::Pod, pod) | Notice::Gone(Kind::Pod, pod) => {
                // Another pod may wait for its claims.
                if pod::claims(&pod).next().is_some() {
                    bind_users_of_claims(&store, object::namespace(&pod));
                }
            }
            Notice::Present(Kind::PersistentVolumeClaim, claim)
            | Notice::Gone(Kind::PersistentVolumeClaim, claim) => {
                bind_users_of_claims(&store, object::namespace(&claim));
            }
            // A node that changed may fit now.
            Notice::Present(..) => bind_all(&store),
            Notice::Gone(..) => {}
        }
    }
}

/// Binds the pods of a namespace that wait for their claims.
fn bind_users_of_claims(store: &Store, namespace: &str) {
    for pod in store.list(Kind::Pod, Some(namespace)).items {
        if pod::claims(&pod).next().is_some() {
            schedule(store, &pod);
        }
    }
}

/// Binds every pod that waits for it.
pub fn bind_all(store: &Store) {
    for pod in store.list(Kind::Pod, None).items {
        schedule(store, &pod);
    }
}

fn schedule(store: &Store, pod: &Value) {
    let waits = object::deletion_timestamp(pod).is_none()
        && text_at(pod, &["spec", "schedulerName"]) == NAME
        && condition_status(pod) != "True";
    if !waits {
        return;
    }
    if !list_at(pod, &["spec", "schedulingGates"]).is_empty() {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        set_condition(store, pod, "False", "SchedulingGated", message, None);
        return;
    }
    let nodes = store.list(Kind::Node, None).items;
    let total = nodes.len();
    let misfits: Vec<&str> = nodes.iter().filter_map(|node| misfit(pod, node)).collect();
    let fitting = nodes.iter().find(|node| misfit(pod, node).is_none());
    let (why, preemption) = match (store.read(|view| claim::obstacle(view, pod)), fitting) {
        _ if nodes.is_empty() => return refuse(store, pod, "no nodes available to schedule pods"),
        (Some(Obstacle::Anywhere(why)), _) => (why, UNHELPFUL),
        (_, None) => {
            (format!("{} {}", misfits.len(), misfits.first().copied().unwrap_or_default()), UNHELPFUL)
        }
        (Some(Obstacle::Taken), Some(_)) => (format!("{} {TAKEN}", total - misfits.len()), NO_VICTIMS),
        (Some(Obstacle::Soon), Some(_)) => return,
        (None, Some(node)) => return bind(store, pod, object::name(node)),
    };
    let message = format!(
        "0/{total} nodes are available: {why}. preemption: 0/{total} nodes are available: {total} {preemption}."
    );
    refuse(store, pod, &message);
}

fn refuse(store: &Store, pod: &Value, message: &str) {
    if set_condition(store, pod, "False", "Unschedulable", message, None) {
        let recorder = Recorder::new(store.clone(), NAME, None);
        recorder.record((Kind::Pod, pod), Severity::Warning, "FailedScheduling", message, None);
    }
}

fn bind(store: &Store, pod: &Value, node: &str) {
    if set_condition(store, pod, "True", "", "", Some(node)) {
        let message =
            format!("Successfully assigned {}/{} to {node}", object::namespace(pod), object::name(pod));
        let recorder = Recorder::new(store.clone(), NAME, None);
        recorder.record((Kind::Pod, pod), Severity::Normal, "Scheduled", &message, None);
    }
}

fn condition_status(pod: &Value) -> &str {
    let conditions = list_at(pod, &["status", "conditions"]);
    let scheduled = conditions.iter().find(|condition| text_at(condition, &["type"]) == "PodScheduled");
    scheduled.map_or("", |condition| text_at(condition, &["status"]))
}

/// Says of a pod whether it is scheduled, and where. Answers whether that is news.
fn set_condition(
    store: &Store,
    pod: &Value,
    status: &str,
    reason: &str,
    message: &str,
    node: Option<&str>,
) -> bool {
    let mut news = false;
    let same = Preconditions::uid(object::uid(pod));
    let (namespace, name) = (object::namespace(pod), object::name(pod));
    let result = store.modify(Kind::Pod, namespace, name, Mode::Commit, |view, pod| {
        check_update(Kind::Pod, name, pod, &same)?;
        if condition_status(pod) == "True" {
            return Ok(Fate::Stays);
        }
        if let Some(node) = node {
            // A claim may have been deleted a moment ago; its notice is on the way.
            if claim::obstacle(view, pod).is_some() {
                return Err(Status::modified(Kind::Pod, name));
            }
            object::child_mut(pod, "spec").insert("nodeName".into(), node.into());
        }
        let status_map = object::child_mut(pod, "status");
        let conditions = status_map.entry("conditions").or_insert_with(|| json!([]));
        let Some(conditions) = conditions.as_array_mut() else { return Ok(Fate::Stays) };
        let old = conditions.iter().position(|condition| text_at(condition, &["type"]) == "PodScheduled");
        let current = old.and_then(|index| conditions.get(index)).cloned().unwrap_or_default();
        let field = |name| text_at(&current, &[name]);
        if field("status") == status && field("message") == message {
            return Ok(Fate::Stays);
        }
        news = true;
        let mut condition = json!({
            "type": "PodScheduled", "status": status, "lastProbeTime": null, "lastTransitionTime": object::now(),
        });
        let map = object::as_map(&mut condition);
        for (name, text) in [("reason", reason), ("message", message)] {
            if !text.is_empty() {
                map.insert(name.into(), text.into());
            }
        }
        if let Some(place) = old.and_then(|index| conditions.get_mut(index)) {
            *place = condition;
        } else {
            conditions.push(condition);
        }
        Ok(Fate::Stays)
    });
    tolerate(result, "scheduling a pod");
    news
}

/// Why a pod can't run on a node, if it can't.
fn misfit(pod: &Value, node: &Value) -> Option<&'static str> {
    let wanted = text_at(pod, &["spec", "nodeName"]);
    if !wanted.is_empty() && wanted != object::name(node) {
        return Some("node(s) didn't match the requested node name");
    }
    if object::at(node, &["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        return Some("node(s) were unschedulable");
    }
    let tolerations = list_at(pod, &["spec", "tolerations"]);
    let tolerated = |taint: &Value| tolerations.iter().any(|toleration| tolerates(toleration, taint));
    let repels = |taint: &&Value| text_at(taint, &["effect"]) != "PreferNoSchedule";
    if !list_at(node, &["spec", "taints"]).iter().filter(repels).all(tolerated) {
        return Some("node(s) had untolerated taint(s)");
    }
    let selected = entries(object::at(pod, &["spec", "nodeSelector"]))
        .all(|(key, value)| object::label(node, key) == value.as_str());
    let required = [
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    ];
    let terms = list_at(pod, &required);
    if !selected || !(terms.is_empty() || terms.iter().any(|term| term_matches(term, node))) {
        return Some("node(s) didn't match Pod's node affinity/selector");
    }
    None
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (key, effect) = (text_at(toleration, &["key"]), text_at(toleration, &["effect"]));
    let same_value = text_at(toleration, &["value"]) == text_at(taint, &["value"]);
    (key.is_empty() || key == text_at(taint, &["key"]))
        && (effect.is_empty() || effect == text_at(taint, &["effect"]))
        && (text_at(toleration, &["operator"]) == "Exists" || (!key.is_empty() && same_value))
}

fn term_matches(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (list_at(term, &["matchExpressions"]), list_at(term, &["matchFields"]));
    // A term without requirements matches nothing.
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|requirement| {
            requirement_matches(requirement, object::label(node, text_at(requirement, &["key"])))
        })
        && fields.iter().all(|requirement| requirement_matches(requirement, Some(object::name(node))))
}

fn requirement_matches(requirement: &Value, actual: Option<&str>) -> bool {
    let values = list_at(requirement, &["values"]);
    let listed = |actual: &str| values.iter().any(|value| value == actual);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let bound = number(values.first().and_then(Value::as_str));
    match text_at(requirement, &["operator"]) {
        "In" => actual.is_some_and(listed),
        "NotIn" => !actual.is_some_and(listed),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => number(actual).zip(bound).is_some_and(|(actual, bound)| actual > bound),
        "Lt" => number(actual).zip(bound).is_some_and(|(actual, bound)| actual < bound),
        _ => false,
    }
}
