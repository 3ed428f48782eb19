use proptest::prelude::*;
use serde_json::json;

use super::*;

fn apply(overrides: Value) -> Result<Value, Error> {
    let mut spec = json!({"containers": [
        {"name": "a", "image": "i", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        {"name": "b", "image": "j"},
    ]});
    apply_container_overrides(&mut spec, &serde_json::from_value::<Vec<_>>(overrides).unwrap())?;
    Ok(spec)
}

#[test]
fn replaces_fields_and_merges_env() {
    let spec = apply(json!([{"name": "a", "image": "k", "env": [{"name": "Y", "value": "3"}, {"name": "Z", "value": "4"}]}]))
        .unwrap();
    assert_eq!(
        spec["containers"][0],
        json!({"name": "a", "image": "k", "env": [
            {"name": "X", "value": "1"}, {"name": "Y", "value": "3"}, {"name": "Z", "value": "4"}]})
    );
    assert_eq!(spec["containers"][1], json!({"name": "b", "image": "j"}));
}

#[test]
fn an_unknown_container_is_an_error_that_names_the_known_ones() {
    let error = apply(json!([{"name": "c"}])).unwrap_err().to_string();
    assert!(error.contains("containerOverrides[0].name") && error.contains("a, b"), "{error}");
    assert!(
        serde_json::from_value::<ContainerOverride>(json!({"name": "a", "securityContext": {}})).is_err()
    );
}

#[test]
fn top_level_merges_metadata_and_replaces_the_rest() {
    let mut spec = json!({"labels": {"a": "1"}, "nodeSelector": {"x": "y"}});
    let overrides = json!({"labels": {"b": "2"}, "nodeSelector": {"z": "w"}, "hostname": "h"});
    apply_top_level(&mut spec, overrides.as_object().unwrap()).unwrap();
    assert_eq!(spec, json!({"labels": {"a": "1", "b": "2"}, "nodeSelector": {"z": "w"}, "hostname": "h"}));
}

#[test]
fn k23_containers_do_not_slip_through_the_top_level() {
    for key in BY_CONTAINER {
        let overrides = json!({key: [{"name": "evil", "image": "i"}]});
        assert!(apply_top_level(&mut json!({}), overrides.as_object().unwrap()).is_err(), "{key}");
    }
}

fn variables() -> impl Strategy<Value = Vec<Map<String, Value>>> {
    let one = ("[A-D]", "[a-c]{0,2}").prop_map(|(name, value)| {
        Map::from_iter([("name".to_owned(), name.into()), ("value".to_owned(), value.into())])
    });
    prop::collection::vec(one, 0..4)
}

fn distinct(mut variables: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    let mut seen = std::collections::BTreeSet::new();
    variables.retain(|variable| seen.insert(variable["name"].to_string()));
    variables
}

fn names(env: &Value) -> Vec<&str> {
    env.as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap()).collect()
}

prop_compose! {
    fn an_override()(
        name in "[ab]", image in prop::option::of("[x-z]"), env in prop::option::of(variables()),
        args in prop::option::of(prop::collection::vec("[a-c]", 0..2)),
    ) -> ContainerOverride {
        ContainerOverride { name, image, env, args, ..ContainerOverride::default() }
    }
}

proptest! {
    #[test]
    fn overrides_change_what_they_name_and_nothing_else(
        base in variables(), overrides in prop::collection::vec(an_override(), 0..3),
    ) {
        let before = json!({"containers": [
            {"name": "a", "image": "i", "env": distinct(base)}, {"name": "b", "image": "j", "tty": true}, {"name": "c"},
        ], "hostname": "h"});
        let mut after = before.clone();
        apply_container_overrides(&mut after, &overrides).unwrap();

        prop_assert_eq!(&after["containers"][2], &before["containers"][2]);
        prop_assert_eq!((&after["containers"][1]["tty"], &after["hostname"]), (&json!(true), &json!("h")));
        for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
            prop_assert_eq!(&after["containers"][at]["name"], name);
            let image = overrides.iter().rev().filter(|o| o.name == name).find_map(|o| o.image.clone());
            let image = image.map_or_else(|| before["containers"][at]["image"].clone(), Value::from);
            prop_assert_eq!(&after["containers"][at]["image"], &image);
        }
        let (old, new) = (names(&before["containers"][0]["env"]), names(&after["containers"][0]["env"]));
        prop_assert!(new.starts_with(&old), "{new:?} does not begin with {old:?}");
        prop_assert_eq!(new.iter().collect::<std::collections::BTreeSet<_>>().len(), new.len());
        for variable in overrides.iter().filter(|o| o.name == "a").filter_map(|o| o.env.as_ref()).flatten() {
            prop_assert!(new.contains(&variable["name"].as_str().unwrap()));
        }

        let mut again = after.clone();
        apply_container_overrides(&mut again, &overrides).unwrap();
        prop_assert_eq!(again, after);
    }

    #[test]
    fn top_level_overrides_win_and_the_rest_stays(
        base in prop::collection::btree_map("[a-d]", any::<u8>(), 0..4),
        wanted in prop::collection::btree_map("[a-d]", any::<u8>(), 0..4),
    ) {
        let map = |of: &std::collections::BTreeMap<String, u8>| {
            of.iter().map(|(key, value)| (key.clone(), Value::from(value.to_string()))).collect::<Map<_, _>>()
        };
        let mut spec = map(&base);
        spec.insert("labels".into(), map(&base).into());
        let mut overrides = map(&wanted);
        overrides.insert("labels".into(), map(&wanted).into());
        let mut spec = Value::Object(spec);
        apply_top_level(&mut spec, &overrides).unwrap();
        for level in [&spec, &spec["labels"]] {
            for key in ["a", "b", "c", "d"] {
                let expected = wanted.get(key).or(base.get(key)).map(|value| Value::from(value.to_string()));
                prop_assert_eq!(level.get(key), expected.as_ref());
            }
        }
    }
}
