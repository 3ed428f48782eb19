use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn as_listed() -> Value {
    json!({"tools": listed().iter().map(|listed| &listed.tool).collect::<Vec<_>>()})
}

#[test]
fn tools_list() {
    insta::assert_json_snapshot!(as_listed());
}

#[test]
fn reference() {
    insta::assert_snapshot!(reference_markdown());
}

/// All 24 tools are to stay within 32 KB of a model's context.
#[test]
fn tools_list_is_small() {
    let bytes = as_listed().to_string().len();
    assert!(bytes <= 32 * 1024, "{bytes} bytes");
}

#[test]
fn k58_every_tool_says_what_a_model_and_a_user_need() {
    let mut names = BTreeSet::new();
    for Listed { entry, tool } in listed() {
        assert!(names.insert(entry.name), "{} is listed twice", entry.name);
        assert!(!entry.title.is_empty() && entry.description.len() > 80, "{}", entry.name);
        let hints = tool.annotations.clone().unwrap();
        assert!(hints.read_only_hint.is_some() && hints.destructive_hint.is_some());
        assert!(hints.idempotent_hint.is_some() && hints.open_world_hint.is_some());
        assert_eq!(tool.input_schema["additionalProperties"], false, "{}", entry.name);
        assert_eq!(tool.input_schema["type"], "object");
        assert!(tool.input_schema.get("properties").is_some_and(Value::is_object));
        assert!(!tool.input_schema["properties"].as_object().unwrap().contains_key("jwtPayload"));
        let output = tool.output_schema.clone().unwrap();
        assert_eq!(output["type"], "object", "{}", entry.name);
        assert!(!output["anyOf"][0]["required"].as_array().unwrap().is_empty(), "{}", entry.name);
    }
}

#[test]
fn schemas_are_valid_and_self_contained() {
    for Listed { tool, .. } in listed() {
        for schema in [&tool.input_schema, tool.output_schema.as_ref().unwrap()] {
            let schema = Value::Object((**schema).clone());
            jsonschema::draft202012::new(&schema).unwrap();
            let text = schema.to_string();
            assert!(!text.contains("$ref") && !text.contains("null") && !text.contains("$schema"), "{text}");
        }
    }
}

#[test]
fn permissions_are_known_for_every_tool() {
    for tool in TOOLS {
        assert!(nocrd_cluster::permissions::TOOLS.contains(&tool.name), "{}", tool.name);
    }
    let needs = |name: &str| -> Vec<String> {
        let all = find(name).unwrap().entry.needs();
        all.map(|need| format!("{} {}", need.verb, need.full_resource())).collect()
    };
    assert!(needs("get_workspace_events").contains(&"list events".to_owned()));
    assert!(needs("spawn_workspace").contains(&"create pods".to_owned()));
    assert!(needs("list_templates").is_empty() && needs("current_namespace").is_empty());
}

#[test]
fn tools_that_reach_beyond_the_cluster_say_so() {
    let open = listed().iter().filter(|listed| {
        listed.tool.annotations.as_ref().is_some_and(|hints| hints.open_world_hint == Some(true))
    });
    assert_eq!(open.map(|listed| listed.entry.name).collect::<Vec<_>>(), ["list_registry_images"]);
}

#[test]
fn t64_destructive_tools_say_so() {
    let destructive: Vec<&str> =
        TOOLS.iter().filter(|tool| tool.effect == Effect::Destroy).map(|tool| tool.name).collect();
    assert_eq!(destructive, ["delete_template", "delete_pod", "stop_workspace"]);
    let changing: Vec<&str> =
        TOOLS.iter().filter(|tool| tool.effect == Effect::Change).map(|tool| tool.name).collect();
    assert_eq!(changing, ["update_template", "patch_pod", "upgrade_workspace", "upgrade_all_workspaces"]);
    for Listed { entry, tool } in listed() {
        let hints = tool.annotations.clone().unwrap();
        assert_eq!(hints.destructive_hint, Some(entry.effect.is_destructive()), "{}", entry.name);
    }
    let writes: Vec<&str> =
        TOOLS.iter().filter(|tool| tool.effect != Effect::Read).map(|tool| tool.name).collect();
    assert_eq!(
        writes,
        [
            "create_template",
            "update_template",
            "delete_template",
            "create_pod",
            "create_pod_from_template",
            "patch_pod",
            "delete_pod",
            "stop_workspace",
            "spawn_workspace",
            "upgrade_workspace",
            "upgrade_all_workspaces"
        ]
    );
}
