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
fn scalars_read_as_kubernetes_reads_them() {
    for (text, value) in [
        ("0o644", json!(420)),
        ("0x1F", json!(31)),
        ("1_000", json!(1000)),
        ("22:30", json!("22:30")),
        ("2001-01-01", json!("2001-01-01")),
        ("no", json!(false)),
        ("!!str 5", json!("5")),
        ("~", json!(null)),
    ] {
        assert_eq!(parse_text(&format!("a: {text}")).unwrap(), json!({"a": value}), "{text}");
    }
    assert_eq!(parse_text("x: &x {a: 1}\ny: {<<: *x, b: 2}").unwrap()["y"], json!({"a": 1, "b": 2}));
    assert_eq!(parse_text("---\na: 1\n...\n").unwrap(), json!({"a": 1}));
}

#[test]
fn unreadable_texts_are_refused_with_a_place() {
    for (text, needle) in [
        ("", "empty"),
        ("{\"a\": [}", "line 1"),
        ("{a: 1, b: [}", "YAML: mismatched bracket"),
        ("a: b: c", "line 1, column 5"),
        ("a: 1\na: 2", "line 2 column 1: the key \"a\" stands twice"),
        ("{\"a\": {\"b\": 1,\n\"b\": 1}}", "the key \"b\" stands twice at line 2"),
        ("{a: 1, a: 1}", "the key \"a\" stands twice"),
        ("a: 1\n---\nb: 2", "line 2 column 1: there are several documents"),
        ("{\"a\": 1}\n{\"b\": 2}", "line 2"),
        ("a: .nan", "line 1, column 4"),
        ("a: &a [*a]", "line 1, column 8"),
        ("a:\n\tb: 1", "line 2, column 2"),
    ] {
        let error = parse_text(text).unwrap_err().to_string();
        assert!(error.contains(needle) && error.len() < 400, "{text:?}: {error}");
    }
}

#[test]
fn the_reason_does_not_repeat_the_text() {
    let error = parse_text("env:\n- name: A\n  value: s3cret\n   bad: 1\n").unwrap_err().to_string();
    assert!(!error.contains("s3cret"), "{error}");
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
    assert!(refused(&json!({"containers": [{"name": "a"}]})).contains("containers[0].image"));
    assert!(refused(&json!({"containers": [{"image": "i"}]})).contains("containers[0].name"));
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

/// Trees without fractions, which JSON and YAML may write with different digits.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "(no|yes|~|null|0644|0x1f|1e3|- a|a: b|# a|&a|\\*a|!a|<<)".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let object = prop::collection::btree_map("[a-z0-9/.<~ ]{1,6}", inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            object.prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_tree_reads_the_same_from_json_and_yaml(tree in tree()) {
        let tree = json!({"a": tree});
        let text = tree.to_string();
        prop_assert_eq!(parse_text(&text).unwrap(), tree.clone());
        // Behind a comment the same text is YAML in flow style.
        prop_assert_eq!(parse_text(&format!("# YAML\n{text}")).unwrap(), tree.clone());
        let block = serde_saphyr::to_string(&tree).unwrap();
        prop_assert_eq!(parse_text(&block).unwrap(), tree, "{}", block);
    }

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
