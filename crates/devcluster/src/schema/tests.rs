use super::*;

#[test]
fn every_line_of_the_table_is_understood() {
    let options = ["set", "retain", "atomic"];
    for line in SOURCE.lines().filter(|line| line.starts_with(' ')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words.len() >= 2, "{line}");
        for option in &words[2..] {
            assert!(
                options.contains(option) || option.starts_with("key=") || option.starts_with("ssa="),
                "{line}"
            );
        }
    }
    let types = parse(SOURCE);
    assert_eq!(types.len(), TYPES.len(), "type names are unique");
    for object in types {
        assert!(!object.fields.is_empty(), "{}", object.name);
        for field in &object.fields {
            let mut shape = &field.shape;
            while let Shape::List(item) | Shape::Map(item) = shape {
                shape = item;
            }
            if let Shape::Object(name) = shape {
                assert!(object_type(name).is_some(), "{}.{}: {name}", object.name, field.name);
            }
            if let (Some(key), Some(item)) = (field.merge_key, field.shape.object()) {
                assert!(item.field(key).is_some(), "{}.{}: {key}", object.name, field.name);
            }
        }
    }
}

#[test]
fn merge_keys_are_those_of_the_real_server() {
    let key = |object: &str, field: &str| object_type(object).unwrap().field(field).unwrap().merge_key;
    assert_eq!(key("PodSpec", "containers"), Some("name"));
    assert_eq!(key("PodSpec", "volumes"), Some("name"));
    assert_eq!(key("PodSpec", "tolerations"), None, "replaced as a whole");
    assert_eq!(key("Container", "ports"), Some("containerPort"));
    assert_eq!(key("Container", "volumeMounts"), Some("mountPath"));
    assert_eq!(key("ObjectMeta", "ownerReferences"), Some("uid"));
    assert_eq!(key("PodStatus", "conditions"), Some("type"));
    assert!(object_type("ObjectMeta").unwrap().field("finalizers").unwrap().merge_set);
}
