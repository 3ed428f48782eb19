use serde_json::{Value, json};

use super::*;
use crate::Phase;

fn pod() -> Value {
    json!({
        "metadata": {
            "name": "ws-alice-w1", "namespace": "nogoo9", "uid": "u-1", "resourceVersion": "42",
            "creationTimestamp": "2026-11-22T12:16:03Z",
            "labels": {
                "nogoo9/type": "workspace", "nogoo9/managed-by": "nogoo9-spawner",
                "nogoo9/workspace-id": "w1", "nogoo9/user-sub": "alice-example.com-ff8d",
            },
            "annotations": {
                "nogoo9/user-sub": "alice@example.com", "nogoo9/workspace-port": "8080",
                "nogoo9/api.t.port": "7681", "nogoo9/template-ref": "node",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
            "managedFields": [{"manager": "x"}],
        },
        "spec": {
            "serviceAccountName": "default",
            "containers": [{"name": "agent", "image": "i", "env": [{"name": "SUBFOLDER", "value": "/route/w1/"}]}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{
                "name": "agent", "image": "i", "imageID": "", "ready": true, "restartCount": 2,
                "state": {"running": {}},
            }],
        },
    })
}

fn parse(pod: Value) -> Result<WorkspacePod, NotAWorkspace> {
    WorkspacePod::parse(serde_json::from_value(pod).unwrap())
}

fn without(pointer: &str, key: &str) -> Value {
    let mut pod = pod();
    pod.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    pod
}

#[test]
fn keeps_what_is_needed() {
    let pod = parse(pod()).unwrap();
    assert_eq!((pod.id.as_str(), pod.owner.as_str()), ("w1", "alice@example.com"));
    assert_eq!((pod.ip.unwrap().to_string().as_str(), pod.port.unwrap().get()), ("10.0.0.7", 8080));
    assert!(pod.ready && pod.subfolder && !pod.host_network && !pod.deleting);
    assert_eq!((pod.restarts, pod.apis.len(), pod.template_ref.as_deref()), (2, 1, Some("node")));
    assert_eq!(pod.status.state, crate::State::Running);
    assert!(!pod.annotations.keys().any(|key| key.starts_with("kubectl")), "{:?}", pod.annotations);
}

#[test]
fn the_label_names_the_owner_of_pods_written_by_earlier_versions() {
    let pod = parse(without("/metadata/annotations", "nogoo9/user-sub")).unwrap();
    assert_eq!(pod.owner.as_str(), "alice-example.com-ff8d");
}

#[test]
fn what_is_not_ours_is_no_workspace() {
    for label in ["nogoo9/type", "nogoo9/managed-by", "nogoo9/workspace-id"] {
        assert!(matches!(parse(without("/metadata/labels", label)), Err(NotAWorkspace::Label(_))), "{label}");
    }
    let mut bad = pod();
    bad["metadata"]["labels"]["nogoo9/workspace-id"] = json!("Not_An_Id");
    assert!(matches!(parse(bad), Err(NotAWorkspace::Id(_))));
    let mut nobody = without("/metadata/annotations", "nogoo9/user-sub");
    nobody["metadata"]["labels"]["nogoo9/user-sub"] = json!("");
    assert_eq!(parse(nobody).unwrap_err(), NotAWorkspace::Owner);
    assert_eq!(parse(without("/metadata", "uid")).unwrap_err(), NotAWorkspace::Incomplete(Incomplete("uid")));
}

#[test]
fn d11_d12_unusable_ports_are_reported_and_leave_the_rest() {
    for port in ["80@evil.example", "0", "65536", "-1", "+80", "0x50", "8080/x", "8080 ", "8o8o", "1e3"] {
        let mut odd = pod();
        odd["metadata"]["annotations"]["nogoo9/workspace-port"] = json!(port);
        odd["metadata"]["annotations"]["nogoo9/api.t.port"] = json!("x");
        let pod = parse(odd).unwrap();
        // Blanks around it do no harm.
        let found = (port == "8080 ").then_some(8080);
        let problems = if found.is_some() { 1 } else { 2 };
        assert_eq!(
            (pod.port.map(NonZeroU16::get), pod.apis.len(), pod.problems.len()),
            (found, 0, problems),
            "{port}: {:?}",
            pod.problems
        );
    }
}

#[test]
fn d65_a_pod_that_is_being_deleted_is_not_ready() {
    let mut going = pod();
    going["metadata"]["deletionTimestamp"] = json!("2026-11-22T12:20:00Z");
    let pod = parse(going).unwrap();
    assert!(pod.deleting && !pod.ready);
    assert_eq!(pod.status.state, crate::State::Terminating);
}

#[test]
fn a_pod_nobody_has_looked_at_is_pending() {
    let pod = parse(without("", "status")).unwrap();
    assert_eq!((pod.phase, pod.status.state, pod.ip), (Phase::Pending, crate::State::Pending, None));
    let mut odd = self::pod();
    odd["status"]["phase"] = json!("Whatever");
    assert_eq!(parse(odd).unwrap().phase, Phase::Unknown);
}
