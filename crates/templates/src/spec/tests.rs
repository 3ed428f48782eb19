use proptest::prelude::*;
use serde_json::json;

use super::*;

fn good() -> Value {
    json!({"containers": [{"name": "a", "image": "i"}]})
}

#[test]
fn json_and_yaml_mean_the_same() {
    let yaml = "containers:\n- name: a\n  image: i\n";
    for text in
        [yaml, r#"{"containers": [{"name": "a", "image": "i"}]}"#, "{containers: [{name: a, image: i}]}"]
    {
        assert_eq!(parse_text(text).unwrap(), good(), "{text}");
    }
}

#[test]
fn octal_modes_read_as_kubernetes_reads_them() {
    assert_eq!(parse_text("defaultMode: 0644").unwrap(), json!({"defaultMode": 420}));
}

#[test]
fn unreadable_texts_are_refused_with_a_place() {
    for (text, needle) in [
        ("", "empty"),
        ("{\"a\": [}", "line 1"),
        ("a: b: c", "YAML"),
        ("a: 1\na: 2", "YAML"),
        ("a: 1\n---\nb: 2", "YAML"),
    ] {
        let error = parse_text(text).unwrap_err().to_string();
        assert!(error.contains(needle) && error.len() < 400, "{text:?}: {error}");
    }
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        laughs += &format!("a{level}: &a{level} [{}]\n", vec![previous; 10].join(","));
    }
    let deep_json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_yaml = (0..5_000).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>();
    let flow = format!("a: {}", "[".repeat(100_000));
    let big = format!("a: {}", "x".repeat(MAX_BYTES));
    let sixty_five = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    for (what, text) in [
        ("aliases", &laughs),
        ("deep JSON", &deep_json),
        ("deep YAML", &deep_yaml),
        ("deep flow", &flow),
        ("size", &big),
        ("one too deep", &sixty_five),
    ] {
        assert!(matches!(parse_text(text), Err(Error::Unreadable(_))), "{what}");
    }
    assert!(parse_text(&format!("{}1{}", "[".repeat(63), "]".repeat(63))).is_ok());
}

fn refused(spec: &Value) -> String {
    validate(spec).unwrap_err().to_string()
}

#[test]
fn names_the_field_that_does_not_fit() {
    let with = |key: &str, value: Value| {
        let mut spec = good();
        spec["containers"][0][key] = value;
        refused(&spec)
    };
    assert!(with("imagePulPolicy", json!("Always")).contains("containers[0].imagePulPolicy: unknown field"));
    let number = with("env", json!([{"name": "A", "value": 5}]));
    assert!(number.contains("containers[0].env[0].value") && number.contains("quotes"), "{number}");
    assert!(with("command", json!("sleep")).contains("containers[0].command"));
    let mut spec = good();
    spec["restartpolicy"] = json!("Never");
    assert!(refused(&spec).contains("restartpolicy: unknown field"), "{}", refused(&spec));
}

#[test]
fn t54_values_are_not_quoted() {
    let mut spec = good();
    spec["containers"][0]["env"] = json!("TOKEN=s3cretvalue");
    let message = refused(&spec);
    assert!(message.contains("containers[0].env") && !message.contains("s3cret"), "{message}");
    spec["labels"] = json!({"a": {"b": "s3cret"}});
    assert!(!refused(&spec).contains("s3cret"));
}

#[test]
fn asks_for_containers_images_and_distinct_names() {
    assert!(refused(&json!({"containers": []})).contains("at least one"));
    assert!(refused(&json!({})).contains("at least one"));
    assert!(refused(&json!({"containers": [{"name": "a"}]})).contains("image"));
    let twice =
        json!({"containers": [{"name": "a", "image": "i"}], "initContainers": [{"name": "a", "image": "i"}]});
    assert!(refused(&twice).contains("two containers"));
    assert!(refused(&json!([])).contains("object"));
    assert!(refused(&json!({"kind": "Pod", "metadata": {}, "spec": good()})).contains("whole object"));
}

#[test]
fn everything_a_pod_can_have_passes() {
    let spec = json!({
        "labels": {"a": "b"}, "annotations": {"c": "d"},
        "containers": [{"name": "a", "image": "i", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "resizePolicy": []}],
        "hostname": "h", "subdomain": "s", "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "shareProcessNamespace": true, "topologySpreadConstraints": [], "volumes": [{"name": "v", "emptyDir": {"sizeLimit": 5}}],
        "schedulingGates": [{"name": "x/y"}], "hostUsers": false, "enableServiceLinks": false,
    });
    validate(&spec).unwrap();
    let (labels, annotations, spec) = to_pod_parts(spec).unwrap();
    assert_eq!((labels["a"].as_str(), annotations["c"].as_str()), ("b", "d"));
    assert!(spec.get("labels").is_none());
    assert_eq!(spec["containers"][0]["resources"]["limits"]["cpu"], "1");
}

#[test]
fn labels_are_texts() {
    let mut spec = good();
    spec["labels"] = json!({"a": 1});
    assert!(refused(&spec).contains("labels.a"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        if let Ok(value) = parse_text(&text) {
            let _ = validate(&value);
        }
    }

    #[test]
    fn no_yaml_like_text_panics(text in "([a-c]: |- |\\{|\\}|\\[|\\]|&a |\\*a|\n|  |\"|'|[0-9]){0,40}") {
        if let Ok(value) = parse_text(&text) {
            let _ = validate(&value);
        }
    }
}
