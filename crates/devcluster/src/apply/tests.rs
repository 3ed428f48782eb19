use serde_json::json;

use super::*;

fn manager(name: &str, applies: bool) -> Manager {
    Manager { name: name.into(), applies, subresource: String::new() }
}

fn managed(object: &Value) -> Vec<(String, Value)> {
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| (entry["manager"].as_str().unwrap().to_owned(), entry["fieldsV1"].clone()))
        .collect()
}

fn created(kind: Kind, mut object: Value, by: &str) -> Value {
    record_update(kind, None, &mut object, &manager(by, false));
    object
}

#[test]
fn an_update_takes_what_it_changes_and_forgets_what_it_removes() {
    let old = created(
        Kind::ConfigMap,
        json!({ "metadata": { "name": "c", "labels": { "a": "1" } }, "data": { "k": "v" } }),
        "one",
    );
    assert_eq!(
        managed(&old),
        [(
            "one".into(),
            json!({ "f:data": { ".": {}, "f:k": {} }, "f:metadata": { "f:labels": { ".": {}, "f:a": {} } } })
        )]
    );
    let mut new = json!({ "metadata": { "name": "c" }, "data": { "k": "w", "n": "1" } });
    record_update(Kind::ConfigMap, Some(&old), &mut new, &manager("two", false));
    assert_eq!(
        managed(&new),
        [
            ("one".into(), json!({ "f:data": {} })),
            ("two".into(), json!({ "f:data": { "f:k": {}, "f:n": {} } }))
        ]
    );
}

#[test]
fn list_items_are_known_by_their_keys() {
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [{
        "name": "c", "image": "x", "resources": {}, "ports": [{ "containerPort": 80, "protocol": "TCP" }],
    }] }, "status": {} });
    assert_eq!(
        managed(&created(Kind::Pod, pod, "one"))[0].1,
        json!({ "f:spec": { "f:containers": { "k:{\"name\":\"c\"}": {
            ".": {}, "f:image": {}, "f:name": {}, "f:resources": {},
            "f:ports": { ".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {}, "f:protocol": {} } },
        } } } })
    );
}

#[test]
fn apply_conflicts_unless_forced_and_then_takes_over() {
    let empty = json!({ "metadata": { "name": "c" } });
    let config = |value: &str| json!({ "metadata": { "name": "c" }, "data": { "a": value } });
    let first = apply(Kind::ConfigMap, &empty, &config("1"), &manager("m1", true), false).expect("applies");
    assert_eq!(managed(&first), [("m1".into(), json!({ "f:data": { "f:a": {} } }))]);
    let same = apply(Kind::ConfigMap, &first, &config("1"), &manager("m2", true), false).expect("shares");
    assert_eq!(managed(&same).len(), 2);
    let refused =
        apply(Kind::ConfigMap, &first, &config("2"), &manager("m2", true), false).expect_err("conflicts");
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"m1\": .data.a");
    let forced = apply(Kind::ConfigMap, &first, &config("2"), &manager("m2", true), true).expect("forced");
    assert_eq!(managed(&forced), [("m2".into(), json!({ "f:data": { "f:a": {} } }))]);
    assert_eq!(forced["data"], json!({ "a": "2" }));
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let live = created(
        Kind::ConfigMap,
        json!({ "metadata": { "name": "c" }, "data": { "a": "1", "b": "1" } }),
        "kubectl",
    );
    let config = json!({ "data": { "a": "2", "b": "2" } });
    let refused = apply(Kind::ConfigMap, &live, &config, &manager("m", true), false).expect_err("conflicts");
    let start = "Apply failed with 2 conflicts: conflicts with \"kubectl\" using v1 at ";
    assert!(
        refused.message.starts_with(start) && refused.message.ends_with(":\n- .data.a\n- .data.b"),
        "{refused}"
    );
    assert_eq!(refused.details.expect("details").causes.len(), 2);
}

#[test]
fn what_is_no_longer_applied_goes_unless_somebody_else_set_it() {
    let empty = json!({ "metadata": { "name": "p" }, "spec": { "containers": [] } });
    let config = |names: &[&str]| {
        let containers: Vec<Value> = names.iter().map(|name| json!({ "name": name, "image": "x" })).collect();
        json!({ "metadata": { "labels": { "a": "1" } }, "spec": { "containers": containers } })
    };
    let m = manager("m", true);
    let mut live = apply(Kind::Pod, &empty, &config(&["a", "b"]), &m, false).expect("applies");
    // The server fills in defaults, which belong to nobody.
    live["spec"]["containers"][1]["imagePullPolicy"] = "Always".into();
    let less = apply(Kind::Pod, &live, &config(&["a"]), &m, false).expect("applies");
    assert_eq!(less["spec"]["containers"], json!([{ "name": "a", "image": "x" }]));

    let mut shared = live.clone();
    shared["metadata"]["labels"]["b"] = "2".into();
    record_update(Kind::Pod, Some(&live), &mut shared, &manager("other", false));
    let bare =
        json!({ "spec": { "containers": [{ "name": "a", "image": "x" }, { "name": "b", "image": "x" }] } });
    let after = apply(Kind::Pod, &shared, &bare, &m, false).expect("applies");
    assert_eq!(after["metadata"]["labels"], json!({ "b": "2" }));
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let empty = json!({ "metadata": { "name": "c" } });
    let config = json!({ "metadata": { "labels": { "a": "1" } }, "data": { "a": "1" } });
    let once = apply(Kind::ConfigMap, &empty, &config, &manager("m", true), false).expect("applies");
    let twice = apply(Kind::ConfigMap, &once, &config, &manager("m", true), false).expect("applies");
    assert!(same_but_for_times(&once, &twice));
    assert!(!same_but_for_times(&once, &empty));
}
