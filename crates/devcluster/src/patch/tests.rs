use proptest::prelude::*;
use serde_json::json;

use super::{strategic::merge, *};

fn strategic(original: Value, patch: Value) -> Value {
    merge("PodSpec", original, patch).expect("merges")
}

#[test]
fn lists_with_a_key_merge_item_by_item() {
    let original = json!({ "containers": [
        { "name": "a", "image": "x", "env": [{ "name": "E", "value": "1" }, { "name": "F", "value": "2" }] },
        { "name": "b", "image": "y" },
    ] });
    let patch = json!({ "containers": [
        { "name": "a", "image": "z", "env": [{ "name": "F", "value": null, "valueFrom": {} }] },
        { "name": "c", "image": "w" },
    ] });
    // The order is that of `normalizeElementOrder`: "a" of the patch first, then the server's "b", which the server has
    // behind "a", and "c", which it doesn't know.
    let merged = strategic(original, patch);
    assert_eq!(
        merged,
        json!({ "containers": [
            { "name": "a", "image": "z", "env": [{ "name": "E", "value": "1" }, { "name": "F", "valueFrom": {} }] },
            { "name": "c", "image": "w" },
            { "name": "b", "image": "y" },
        ] })
    );
}

#[test]
fn lists_without_a_key_are_replaced() {
    let original =
        json!({ "tolerations": [{ "key": "a" }], "containers": [{ "name": "a", "args": ["1", "2"] }] });
    let patch = json!({ "tolerations": [{ "key": "b" }], "containers": [{ "name": "a", "args": ["3"] }] });
    assert_eq!(strategic(original, patch.clone()), patch);
}

#[test]
fn patch_delete_and_replace() {
    let original = json!({ "volumes": [{ "name": "a" }, { "name": "b", "emptyDir": {} }], "nodeSelector": { "x": "1" } });
    let merged = strategic(original.clone(), json!({ "volumes": [{ "name": "a", "$patch": "delete" }] }));
    assert_eq!(merged["volumes"], json!([{ "name": "b", "emptyDir": {} }]));
    let merged =
        strategic(original.clone(), json!({ "volumes": [{ "$patch": "replace" }, { "name": "c" }] }));
    assert_eq!(merged["volumes"], json!([{ "name": "c" }]));
    let merged = strategic(original.clone(), json!({ "nodeSelector": { "$patch": "replace", "y": "2" } }));
    assert_eq!(merged["nodeSelector"], json!({ "y": "2" }));
    let merged = strategic(original.clone(), json!({ "nodeSelector": { "$patch": "delete" } }));
    assert_eq!(merged["nodeSelector"], json!({}));
    let merged = strategic(
        original,
        json!({ "nodeSelector": null, "securityContext": { "a": null, "runAsUser": 1 } }),
    );
    assert_eq!(merged.get("nodeSelector"), None);
    assert_eq!(merged["securityContext"], json!({ "runAsUser": 1 }));
}

#[test]
fn retain_keys_switches_the_member_of_a_union() {
    let original = json!({ "volumes": [{ "name": "v", "emptyDir": {} }] });
    let patch = json!({ "volumes": [{ "name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": { "path": "/x" } }] });
    assert_eq!(
        strategic(original.clone(), patch)["volumes"],
        json!([{ "name": "v", "hostPath": { "path": "/x" } }])
    );
    let patch =
        json!({ "volumes": [{ "name": "v", "$retainKeys": ["name"], "hostPath": { "path": "/x" } }] });
    assert_eq!(merge("PodSpec", original, patch).expect_err("contradiction").code, 400);
}

#[test]
fn element_order_and_primitive_lists() {
    let original = json!({ "containers": [{ "name": "a" }, { "name": "b" }, { "name": "server" }] });
    let patch = json!({
        "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }, { "name": "new" }],
        "containers": [{ "name": "new", "image": "x" }],
    });
    assert_eq!(
        strategic(original.clone(), patch)["containers"],
        json!([{ "name": "b" }, { "name": "a" }, { "name": "new", "image": "x" }, { "name": "server" }])
    );
    let patch = json!({ "$setElementOrder/containers": [{ "name": "b" }, { "name": "a" }] });
    let names: Vec<Value> = strategic(original, patch)["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].clone())
        .collect();
    assert_eq!(names, ["b", "a", "server"]);

    let meta = json!({ "finalizers": ["x/a", "x/b"] });
    let patch = json!({ "$deleteFromPrimitiveList/finalizers": ["x/a"], "finalizers": ["x/c"] });
    assert_eq!(merge("ObjectMeta", meta, patch).expect("merges"), json!({ "finalizers": ["x/c", "x/b"] }));
}

#[test]
fn owner_references_merge_by_uid_and_conditions_by_type() {
    let meta = json!({ "ownerReferences": [{ "uid": "1", "name": "a" }] });
    let patch = json!({ "ownerReferences": [{ "uid": "2", "name": "b" }] });
    let merged = merge("ObjectMeta", meta, patch).expect("merges");
    assert_eq!(merged["ownerReferences"].as_array().map(Vec::len), Some(2));
    let status = json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": "x" }] });
    let patch = json!({ "conditions": [{ "type": "Ready", "status": "True", "reason": null }] });
    let merged = merge("PodStatus", status, patch).expect("merges");
    assert_eq!(merged, json!({ "conditions": [{ "type": "Ready", "status": "True" }] }));
}

#[test]
fn a_missing_merge_key_is_an_error() {
    let error = merge(
        "PodSpec",
        json!({ "containers": [{ "name": "a" }] }),
        json!({ "containers": [{ "image": "x" }] }),
    );
    assert_eq!(
        error.expect_err("no name").message,
        "map: {\"image\":\"x\"} does not contain declared merge key: name"
    );
}

#[test]
fn unknown_media_types_are_no_patches() {
    assert!(Patch::parse("application/json", json!({})).is_none());
    assert!(Patch::parse("application/merge-patch+json", json!([])).expect("a patch").is_err());
    let failing = json!([{ "op": "test", "path": "/a", "value": 1 }]);
    let patch = Patch::parse("application/json-patch+json", failing).expect("a patch").expect("well formed");
    assert_eq!(patch.apply("Pod", &mut json!({})).expect_err("the test fails").code, 422);
}

fn pod_spec() -> impl Strategy<Value = Value> {
    let container =
        ("[a-c]", proptest::option::of("[x-z]"), proptest::collection::btree_map("[A-C]", "[0-9]", 0..3));
    proptest::collection::vec(container, 0..4).prop_map(|containers| {
        let mut seen = std::collections::BTreeSet::new();
        let containers: Vec<Value> = containers
            .into_iter()
            .filter(|(name, ..)| seen.insert(name.clone()))
            .map(|(name, image, env)| {
                let env: Vec<Value> =
                    env.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
                let mut container = json!({ "name": name, "env": env });
                if let Some(image) = image {
                    container["image"] = image.into();
                }
                container
            })
            .collect();
        json!({ "containers": containers, "hostname": "h" })
    })
}

/// A value as a merge sees it: lists with keys as sets.
fn sorted(mut spec: Value) -> Value {
    let by_name = |items: &mut Vec<Value>| items.sort_by_key(|item| item["name"].to_string());
    if let Some(containers) = spec["containers"].as_array_mut() {
        by_name(containers);
        for container in containers {
            container["env"].as_array_mut().map(by_name);
        }
    }
    spec
}

proptest! {
    #[test]
    fn the_empty_patch_changes_nothing(spec in pod_spec()) {
        prop_assert_eq!(strategic(spec.clone(), json!({})), spec);
    }

    #[test]
    fn a_patch_into_nothing_is_the_patch(spec in pod_spec()) {
        prop_assert_eq!(strategic(json!({}), spec.clone()), spec);
    }

    #[test]
    fn merging_twice_is_merging_once(spec in pod_spec(), patch in pod_spec()) {
        let once = strategic(spec, patch.clone());
        prop_assert_eq!(sorted(strategic(once.clone(), patch)), sorted(once));
    }

    #[test]
    fn everything_of_the_patch_is_in_the_result(spec in pod_spec(), patch in pod_spec()) {
        let merged = strategic(spec, patch.clone());
        for container in patch["containers"].as_array().unwrap() {
            let found = merged["containers"].as_array().unwrap().iter().find(|c| c["name"] == container["name"]);
            let found = found.expect("the container is there");
            if let Some(image) = container.get("image") {
                prop_assert_eq!(&found["image"], image);
            }
        }
    }

    #[test]
    fn replace_leaves_nothing_of_the_original(spec in pod_spec(), patch in pod_spec()) {
        let mut replacing = patch.clone();
        replacing["$patch"] = "replace".into();
        prop_assert_eq!(strategic(spec, replacing), patch);
    }

    #[test]
    fn never_panics(original in "[a-z{}\\[\\]\":,$0-9]{0,40}", patch in "\\{[a-z{}\\[\\]\":,$0-9]{0,40}\\}") {
        if let (Ok(original), Ok(patch)) = (serde_json::from_str(&original), serde_json::from_str(&patch)) {
            let _ = merge("Pod", original, patch);
        }
    }
}
