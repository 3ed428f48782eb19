use serde_json::{Value, json};

use super::*;

fn pod() -> Value {
    json!({
        "metadata": {
            "name": "job", "namespace": "nogoo9", "uid": "u-1", "resourceVersion": "42",
            "creationTimestamp": "2026-11-22T12:16:03Z",
            "labels": {"nogoo9/managed-by": "nogoo9-spawner", "nogoo9/user-sub": "alice-ff8d", "app": "job"},
            "annotations": {"nogoo9/user-sub": "alice@example.com", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {
            "nodeName": "n1", "restartPolicy": "Never", "schedulerName": "mine", "serviceAccountName": "sa",
            "hostNetwork": true,
            "initContainers": [{"name": "before", "image": "i"}],
            "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}],
            "nominatedNodeName": "n2",
            "initContainerStatuses": [
                {"name": "before", "image": "i", "imageID": "", "ready": true, "restartCount": 1, "state": {}},
            ],
            "containerStatuses": [
                {"name": "a", "image": "i", "imageID": "", "ready": true, "restartCount": 2, "state": {}},
                {"name": "b", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {}},
            ],
        },
    })
}

fn parse(pod: Value) -> Result<PodSummary, Incomplete> {
    PodSummary::parse(serde_json::from_value(pod).unwrap())
}

#[test]
fn keeps_what_is_listed() {
    let pod = parse(pod()).unwrap();
    assert_eq!((pod.ready_containers, pod.containers, pod.restarts), (1, 2, 3));
    assert_eq!(pod.owner.as_ref().unwrap().as_str(), "alice@example.com");
    assert!(pod.is_managed() && !pod.gated && pod.workspace.is_none() && !pod.deleting);
    assert_eq!(pod.annotations.len(), 1);
    assert_eq!(ManagedPod::of(pod).unwrap().name, "job");
}

#[test]
fn all_fields_of_the_list_and_no_others_are_known() {
    let full = parse(pod()).unwrap();
    let texts: Vec<String> =
        PodSummary::FIELDS.iter().map(|name| full.field(name).expect(name).into_owned()).collect();
    let expected = [
        "job",
        "nogoo9",
        "n1",
        "Never",
        "mine",
        "sa",
        "true",
        "Running",
        "10.0.0.7",
        "10.0.0.7,fd00::7",
        "n2",
    ];
    assert_eq!(texts, expected);
    assert_eq!((full.field("status.reason"), full.field("")), (None, None));

    let mut bare = pod();
    bare["spec"] = json!({"containers": [], "schedulingGates": [{"name": "g"}]});
    bare["status"] = json!({});
    let bare = parse(bare).unwrap();
    assert!(bare.gated);
    let texts: Vec<String> =
        PodSummary::FIELDS.iter().skip(2).map(|name| bare.field(name).expect(name).into_owned()).collect();
    assert_eq!(texts, ["", "Always", "default-scheduler", "", "false", "Pending", "", "", ""]);
}

#[test]
fn selectors_select() {
    let pod = parse(pod()).unwrap();
    let selects = |labels: &str, fields: &str| {
        pod.is_selected(&LabelSelector::parse(labels).unwrap(), &FieldSelector::parse(fields).unwrap())
    };
    assert!(selects("", "") && selects("app in (job)", "status.phase=Running,spec.hostNetwork!=false"));
    assert!(!selects("app!=job", "") && !selects("", "spec.nodeName!=n1"));
    assert!(selects("", "status.podIPs=10.0.0.7\\,fd00::7"));
}

#[test]
fn t49_the_annotation_names_the_owner_and_the_mark_decides_what_is_ours() {
    let mut unmarked = pod();
    unmarked["metadata"]["labels"]["nogoo9/managed-by"] = json!("nogoo9-spawner2");
    let unmarked = parse(unmarked).unwrap();
    assert!(!unmarked.is_managed() && ManagedPod::of(unmarked).is_none());

    let mut of_old = pod();
    of_old["metadata"]["annotations"]["nogoo9/user-sub"] = json!("");
    assert_eq!(parse(of_old.clone()).unwrap().owner.unwrap().as_str(), "alice-ff8d");
    of_old["metadata"]["labels"]["nogoo9/user-sub"] = json!("");
    assert_eq!(parse(of_old).unwrap().owner, None);

    let mut nameless = pod();
    nameless["metadata"]["uid"] = Value::Null;
    assert_eq!(parse(nameless).unwrap_err(), Incomplete("uid"));
}

#[test]
fn only_a_whole_workspace_has_an_id() {
    let mut workspace = pod();
    workspace["metadata"]["labels"]["nogoo9/type"] = json!("workspace");
    workspace["metadata"]["labels"]["nogoo9/workspace-id"] = json!("w1");
    assert_eq!(parse(workspace.clone()).unwrap().workspace.unwrap().as_str(), "w1");
    for (label, value) in
        [("nogoo9/type", "job"), ("nogoo9/managed-by", "me"), ("nogoo9/workspace-id", "W_1")]
    {
        let mut other = workspace.clone();
        other["metadata"]["labels"][label] = json!(value);
        assert_eq!(parse(other).unwrap().workspace, None, "{label}");
    }
}
