use super::*;
use crate::{
    kind::Kind,
    resources::{Part, check_create, check_update, prepare_create, prepare_update, set_defaults},
    schema::decode::decode,
};

const KIND: Kind = Kind::PersistentVolumeClaim;

fn claim(spec: Value) -> Value {
    let meta = json!({ "name": "c", "namespace": "n", "uid": "u" });
    let mut claim = decode(KIND.name(), json!({ "metadata": meta, "spec": spec })).expect("decodes").value;
    set_defaults(KIND, &mut claim);
    claim
}

fn spec(modes: &[&str], size: &str) -> Value {
    json!({ "accessModes": modes, "resources": { "requests": { "storage": size } } })
}

fn texts(problems: Problems) -> Vec<String> {
    let causes = problems.into_causes();
    causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

#[test]
fn problems_are_named_as_by_a_real_server() {
    let with = |field: &str, value: Value| {
        let mut spec = spec(&["ReadWriteOnce"], "1Gi");
        spec[field] = value;
        spec
    };
    for (spec, expected) in [
        (spec(&[], "1Gi"), "spec.accessModes: Required value: at least 1 access mode is required"),
        (
            spec(&["Mine"], "1Gi"),
            "spec.accessModes: Unsupported value: \"Mine\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
        ),
        (
            spec(&["ReadWriteOncePod", "ReadWriteMany"], "1Gi"),
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
        ),
        (json!({ "accessModes": ["ReadWriteOnce"] }), "spec.resources[storage]: Required value"),
        (
            spec(&["ReadWriteOnce"], "0"),
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
        ),
        (with("storageClassName", "A".into()), "spec.storageClassName: Invalid value: \"A\": "),
        (
            with("volumeMode", "Tape".into()),
            "spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"",
        ),
        (with("dataSource", json!({ "kind": "X" })), "spec.dataSource.name: Required value"),
    ] {
        let found = texts(check_create(KIND, &claim(spec)));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
    assert!(texts(check_create(KIND, &claim(spec(&["ReadWriteOnce"], "1Gi")))).is_empty());
}

#[test]
fn only_the_size_may_change_and_only_grow() {
    let mut old = claim(spec(&["ReadWriteOnce"], "1Gi"));
    prepare_create(KIND, &mut old);
    let refusals = |old: &Value, change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        prepare_update(KIND, Part::Object, old, &mut new);
        texts(check_update(KIND, Part::Object, old, &new))
    };
    let resize = |size: &'static str| {
        move |claim: &mut Value| claim["spec"]["resources"]["requests"]["storage"] = size.into()
    };
    let immutable = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
    assert_eq!(refusals(&old, &resize("2Gi")), [immutable], "there is no volume yet");
    assert!(refusals(&old, &|claim| claim["spec"]["volumeName"] = "v".into()).is_empty());
    bind(&mut old);
    assert_eq!(old["spec"]["volumeName"], format!("pvc-{}", object::uid(&old)));
    assert_eq!(old["status"]["capacity"], json!({ "storage": "1Gi" }));
    assert!(refusals(&old, &|_| {}).is_empty());
    assert!(refusals(&old, &resize("2Gi")).is_empty());
    assert!(refusals(&old, &|claim| claim["status"] = json!({ "phase": "Lost" })).is_empty());
    assert_eq!(
        refusals(&old, &resize("1Mi")),
        ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    );
    for (field, value) in [("volumeName", json!("v")), ("accessModes", json!(["ReadWriteMany"]))] {
        assert_eq!(refusals(&old, &|claim| claim["spec"][field] = value.clone()), [immutable], "{field}");
    }
}
