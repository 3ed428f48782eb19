use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    kind::Kind,
    resources::{Part, check_create, check_update, prepare_create, prepare_update, set_defaults},
    schema::decode::decode,
};

fn pod(spec: Value) -> Value {
    let mut pod = decode("Pod", json!({ "metadata": { "name": "p", "namespace": "n" }, "spec": spec }))
        .expect("decodes")
        .value;
    set_defaults(Kind::Pod, &mut pod);
    pod
}

fn problems(spec: Value) -> Vec<String> {
    let causes = check_create(Kind::Pod, &pod(spec)).into_causes();
    causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn container(extra: Value) -> Value {
    let mut container = json!({ "name": "c", "image": "x" });
    container.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({ "containers": [container] })
}

#[test]
fn defaults_of_containers_and_volumes() {
    let mut spec = container(json!({
        "image": "x:1",
        "readinessProbe": { "httpGet": { "port": 80 } },
        "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
        "resources": { "limits": { "cpu": "1" } },
    }));
    spec["volumes"] = json!([{ "name": "v" }, { "name": "s", "secret": { "secretName": "s" } }]);
    spec["serviceAccountName"] = "sa".into();
    let pod = pod(spec);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(
        container["readinessProbe"],
        json!({ "httpGet": { "path": "/", "port": 80, "scheme": "HTTP" }, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 })
    );
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(container["resources"]["requests"], json!({ "cpu": "1" }));
    assert_eq!(pod["spec"]["volumes"][0], json!({ "name": "v", "emptyDir": {} }));
    assert_eq!(pod["spec"]["volumes"][1]["secret"]["defaultMode"], 420);
    assert_eq!(pod["spec"]["serviceAccount"], "sa");
}

#[test]
fn a_plain_pod_is_valid() {
    assert_eq!(problems(container(json!({}))), Vec::<String>::new());
}

#[test]
fn problems_are_named_as_by_a_real_server() {
    for (spec, expected) in [
        (
            container(json!({ "name": "C" })),
            "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label",
        ),
        (
            container(json!({ "ports": [{ "containerPort": 70000 }] })),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            container(json!({ "env": [{ "name": "A=B" }] })),
            "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name",
        ),
        (
            container(json!({ "imagePullPolicy": "x" })),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"x\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
        ),
        (
            container(json!({ "resources": { "limits": { "cpu": "1" }, "requests": { "cpu": "2" } } })),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            container(json!({ "readinessProbe": {} })),
            "spec.containers[0].readinessProbe: Required value: must specify a handler type",
        ),
        (
            container(json!({ "volumeMounts": [{ "name": "v", "mountPath": "/x" }] })),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            container(json!({ "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "x" } } }] })),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"x\"",
        ),
        (
            json!({ "containers": [{ "name": "c", "image": "x" }], "restartPolicy": "x" }),
            "spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"Never\", \"OnFailure\"",
        ),
        (
            json!({ "containers": [{ "name": "c", "image": "x" }], "initContainers": [{ "name": "c", "image": "x" }] }),
            "spec.initContainers[0].name: Duplicate value: \"c\"",
        ),
        (
            json!({ "containers": [{ "name": "c", "image": "x" }], "volumes": [{ "name": "v", "secret": {} }] }),
            "spec.volumes[0].secret.secretName: Required value",
        ),
        (
            json!({ "containers": [{ "name": "c", "image": "x" }], "volumes": [{ "name": "v", "emptyDir": {}, "hostPath": { "path": "/x" } }] }),
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        (
            json!({ "containers": [{ "name": "c", "image": "x" }], "terminationGracePeriodSeconds": -1 }),
            "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
    ] {
        let found = problems(spec);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

#[test]
fn quality_of_service_classes() {
    let class = |resources: Value| quality_of_service(&pod(container(json!({ "resources": resources }))));
    assert_eq!(class(json!({})), "BestEffort");
    assert_eq!(class(json!({ "limits": { "cpu": "1", "memory": "1Gi" } })), "Guaranteed");
    assert_eq!(class(json!({ "requests": { "cpu": "1" } })), "Burstable");
}

#[test]
fn only_images_deadlines_and_more_tolerations_may_change() {
    let mut old = pod(container(json!({ "env": [{ "name": "A", "value": "1" }] })));
    prepare_create(Kind::Pod, &mut old);
    admit(&mut old);
    let refusals = |change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new["spec"]);
        prepare_update(Kind::Pod, Part::Object, &old, &mut new);
        let generation = new["metadata"]["generation"].as_i64().unwrap();
        (check_update(Kind::Pod, Part::Object, &old, &new).into_causes(), generation)
    };
    assert_eq!(refusals(&|_| {}), (Vec::new(), 1));
    for allowed in [
        (&|spec: &mut Value| spec["containers"][0]["image"] = "y".into()) as &dyn Fn(&mut Value),
        &|spec| spec["activeDeadlineSeconds"] = 5.into(),
        &|spec| spec["tolerations"].as_array_mut().unwrap().push(json!({ "key": "x", "operator": "Exists" })),
        &|spec| spec["tolerations"][0]["tolerationSeconds"] = 1.into(),
    ] {
        assert_eq!(refusals(allowed), (Vec::new(), 2));
    }
    for (refused, field) in [
        (
            (&|spec: &mut Value| spec["containers"][0]["env"][0]["value"] = "2".into())
                as &dyn Fn(&mut Value),
            "spec",
        ),
        (&|spec| spec["nodeName"] = "x".into(), "spec"),
        (&|spec| spec["tolerations"] = json!([]), "spec.tolerations"),
        (&|spec| spec["activeDeadlineSeconds"] = 0.into(), "spec.activeDeadlineSeconds"),
        (&|spec| spec["schedulingGates"] = json!([{ "name": "x" }]), "spec.schedulingGates[0].name"),
        (&|spec| spec["terminationGracePeriodSeconds"] = 1.into(), "spec"),
        (&|spec| spec["containers"][0]["image"] = "".into(), "spec.containers[0].image"),
        (&|spec| spec["containers"] = json!([]), "spec.containers"),
    ] {
        let causes = refusals(refused).0;
        assert_eq!(causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), [field]);
    }
}

#[test]
fn gates_are_only_ever_lifted() {
    let gates = |names: &[&str]| -> Value { names.iter().map(|name| json!({ "name": name })).collect() };
    let mut old = pod(container(json!({})));
    old["spec"]["schedulingGates"] = gates(&["x.io/a", "x.io/b"]);
    assert!(check_create(Kind::Pod, &old).into_causes().is_empty());
    let refusals = |names: &[&str]| {
        let mut new = old.clone();
        new["spec"]["schedulingGates"] = gates(names);
        let causes = check_update(Kind::Pod, Part::Object, &old, &new).into_causes();
        causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect::<Vec<_>>()
    };
    for fewer in [&["x.io/b"] as &[_], &[], &["x.io/b", "x.io/a"]] {
        assert!(refusals(fewer).is_empty(), "{fewer:?}");
    }
    assert_eq!(
        refusals(&["x.io/a", "x.io/c"]),
        [
            "spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x.io/c'"
        ]
    );
    old["spec"]["nodeName"] = "node".into();
    old["spec"]["schedulingGates"] = gates(&["x.io/a", "x.io/a"]);
    let causes = check_create(Kind::Pod, &old).into_causes();
    let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["spec.schedulingGates[1]", "spec.nodeName"]);
}

#[test]
fn only_cpu_and_memory_are_resized() {
    let resources = |cpu: &str, memory: &str| json!({ "requests": { "cpu": cpu, "memory": memory }, "limits": { "memory": "1Gi" } });
    let mut spec = container(json!({ "resources": resources("1", "1Gi") }));
    spec["initContainers"] = json!([{ "name": "i", "image": "x" }]);
    let mut old = pod(spec);
    prepare_create(Kind::Pod, &mut old);
    let resize = |change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        prepare_update(Kind::Pod, Part::Resize, &old, &mut new);
        let causes = check_update(Kind::Pod, Part::Resize, &old, &new).into_causes();
        let texts = causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message));
        (new, texts.collect::<Vec<_>>())
    };
    let (resized, refusals) =
        resize(&|pod| pod["spec"]["containers"][0]["resources"] = resources("2", "512Mi"));
    assert!(refusals.is_empty(), "{refusals:?}");
    assert_eq!(resized["spec"]["containers"][0]["resources"], resources("2", "512Mi"));
    assert_eq!(resized["metadata"]["generation"], 2);
    // What else was changed is not.
    let (same, refusals) = resize(&|pod| {
        pod["spec"]["containers"][0]["image"] = "y".into();
        pod["spec"]["nodeName"] = "n".into();
        pod["metadata"]["labels"] = json!({ "a": "b" });
        pod["status"] = json!({ "phase": "Failed" });
    });
    assert_eq!((&same, refusals), (&old, Vec::new()));
    for (change, expected) in [
        (
            (&|pod: &mut Value| pod["spec"]["containers"][0]["resources"] = json!({})) as &dyn Fn(&mut Value),
            vec![
                "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
                "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
            ],
        ),
        (
            &|pod| pod["spec"]["containers"][0]["resources"] = resources("1", "2Gi"),
            vec![
                "spec.containers[0].resources.requests: Invalid value: \"2Gi\": must be less than or equal to memory limit of 1Gi",
            ],
        ),
        (
            &|pod| pod["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] = "1Gi".into(),
            vec!["spec: Forbidden: only cpu and memory resources are mutable"],
        ),
        (
            &|pod| pod["spec"]["containers"][0]["name"] = "d".into(),
            vec!["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"],
        ),
        (
            &|pod| pod["spec"]["initContainers"] = json!([]),
            vec!["spec.initContainers: Forbidden: initContainers may not be added or removed on resize"],
        ),
    ] {
        assert_eq!(resize(change).1, expected);
    }
}

/// A pod with something of everything.
fn rich() -> Value {
    json!({
        "metadata": { "name": "p", "labels": { "a": "b" }, "annotations": { "c": "d" }, "finalizers": ["x.io/y"],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "u" }] },
        "spec": {
            "containers": [{
                "name": "c", "image": "x", "ports": [{ "containerPort": 80 }],
                "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }],
                "envFrom": [{ "configMapRef": { "name": "m" } }], "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
                "resources": { "limits": { "cpu": "1" }, "requests": { "cpu": "500m" } },
                "livenessProbe": { "httpGet": { "port": "web" } }, "lifecycle": { "preStop": { "exec": { "command": ["x"] } } },
                "securityContext": { "runAsUser": 1 },
            }],
            "initContainers": [{ "name": "i", "image": "x", "restartPolicy": "Always" }],
            "volumes": [{ "name": "v", "projected": { "sources": [{ "downwardAPI": { "items": [
                { "path": "p", "fieldRef": { "fieldPath": "metadata.name" } },
            ] } }] } }],
            "tolerations": [{ "key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3 }],
            "hostAliases": [{ "ip": "127.0.0.1", "hostnames": ["h"] }], "nodeSelector": { "a": "b" },
        },
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9./:'= -]{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!([null, 1, "x", {}])),
        Just(json!({})),
        Just(json!({ "name": 1, "x": null })),
    ]
}

/// Replaces the value that `path`, a list of choices, leads to.
fn replace(value: &mut Value, path: &[usize], with: &Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = with.clone();
        return;
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let index = step % map.len();
            replace(map.values_mut().nth(index).unwrap(), rest, with);
        }
        Value::Array(items) if !items.is_empty() => {
            let index = step % items.len();
            replace(&mut items[index], rest, with);
        }
        other => *other = with.clone(),
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_is_answered(
        changes in proptest::collection::vec((proptest::collection::vec(any::<usize>(), 1..8), any_value()), 1..4),
    ) {
        let mut sent = rich();
        for (path, with) in &changes {
            replace(&mut sent, path, with);
        }
        if let Ok(decoded) = decode("Pod", sent) {
            let mut new = decoded.value;
            set_defaults(Kind::Pod, &mut new);
            admit(&mut new);
            prepare_create(Kind::Pod, &mut new);
            let _ = check_create(Kind::Pod, &new).into_causes();
            let mut old = decode("Pod", rich()).unwrap().value;
            set_defaults(Kind::Pod, &mut old);
            prepare_create(Kind::Pod, &mut old);
            prepare_update(Kind::Pod, Part::Object, &old, &mut new);
            let _ = check_update(Kind::Pod, Part::Object, &old, &new).into_causes();
            // What is stored can be read again, and reads the same.
            let again = decode("Pod", new.clone()).expect("readable");
            prop_assert_eq!(again.value, new);
        }
    }
}

#[test]
fn the_pod_with_something_of_everything_is_valid() {
    let mut new = decode("Pod", rich()).unwrap().value;
    set_defaults(Kind::Pod, &mut new);
    let causes = check_create(Kind::Pod, &new).into_causes();
    assert!(causes.is_empty(), "{causes:?}");
}
