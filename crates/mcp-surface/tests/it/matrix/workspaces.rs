//! Who may do what with workspaces.

use serde_json::{Value, json};

use super::{
    ALL, Asked, Denied, Done, EVERYBODY, Gets, NotFound, READING, READING_HERS, Refused, Row, Scope, Unknown,
    WRITING, Who,
};

pub(super) const ROWS: &[Row] = &[
    Row { tool: "list_workspaces", arguments: |_| json!({}), gets: READING },
    Row { tool: "get_workspace", arguments: |name| json!({"id": name}), gets: READING_HERS },
    Row {
        tool: "get_workspace",
        arguments: |name| json!({"id": name, "includePod": true}),
        gets: READING_HERS,
    },
    Row { tool: "get_workspace_events", arguments: |name| json!({"id": name}), gets: READING_HERS },
    Row {
        tool: "stop_workspace",
        arguments: |name| json!({"id": name}),
        gets: [Unknown, Denied, NotFound, NotFound, Done, Done, Scope, Scope, Done, NotFound],
    },
    Row {
        tool: "upgrade_workspace",
        arguments: |name| json!({"id": name}),
        gets: [Unknown, Denied, NotFound, NotFound, Done, Done, Scope, Scope, Done, NotFound],
    },
    Row {
        tool: "upgrade_all_workspaces",
        arguments: |_| json!({}),
        gets: [Unknown, Denied, Denied, Scope, Denied, Scope, Scope, Scope, Done, Scope],
    },
    Row {
        tool: "spawn_workspace",
        arguments: |name| json!({"id": format!("new-{name}"), "templateRef": "default-agent-workspace"}),
        gets: [Unknown, Denied, Done, Done, Done, Done, Scope, Scope, Done, Done],
    },
];

/// Who starts pods of their own making: a role more than what a template's pod needs.
#[tokio::test]
async fn h01_raw_pods_asked_for_by_everybody() {
    const TEMPLATES: [Gets; ALL] = [Unknown, Denied, Done, Done, Done, Done, Scope, Scope, Done, Done];
    /// What only administrators bring: objects of the namespace, and whom a template's containers speak to.
    const FOREIGN: [Gets; ALL] =
        [Unknown, Denied, Denied, Refused, Denied, Refused, Scope, Scope, Done, Refused];
    fn from(kind: &str, source: Value) -> Value {
        json!({"name": "A", "valueFrom": {kind: source}})
    }
    fn of_template(member: &str, overrides: Value) -> Value {
        json!({"id": "new", "templateRef": "default-agent-workspace", member: overrides})
    }
    let asked = Asked::stateless().await;
    let template = container_of_the_template();
    let container = |change: Value| {
        let mut change = change;
        change["name"] = json!(template);
        of_template("containerOverrides", json!([change]))
    };
    let top = |change: Value| of_template("topLevelOverrides", change);
    for (number, (arguments, gets)) in [
        (json!({"id": "new", "spec": {"containers": [{"name": "a", "image": "i"}]}}), WRITING),
        (container(json!({"image": "i"})), WRITING),
        (container(json!({"command": ["sh"]})), WRITING),
        (container(json!({"args": ["-c"]})), WRITING),
        (container(json!({"volumeMounts": []})), WRITING),
        (container(json!({"envFrom": []})), WRITING),
        (top(json!({"volumes": [{"name": "workspace", "emptyDir": {}}]})), WRITING),
        (top(json!({"hostname": "x"})), WRITING),
        (top(json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["x"]}]})), FOREIGN),
        (
            container(
                json!({"env": [from("fileKeyRef", json!({"volumeName": "workspace", "path": "p", "key": "k"}))]}),
            ),
            WRITING,
        ),
        (container(json!({"env": [from("secretKeyRef", json!({"name": "s", "key": "k"}))]})), FOREIGN),
        (container(json!({"env": [from("configMapKeyRef", json!({"name": "c", "key": "k"}))]})), FOREIGN),
        (
            container(json!({
                "env": [
                    {"name": "ECHO_TEXT", "value": "b"},
                    {"name": "PORT", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "PORT", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                    {"name": "PORT", "value": "5678", "valueFrom": null},
                ],
                "resources": {"limits": {"memory": "64Mi"}},
            })),
            TEMPLATES,
        ),
        (container(json!({"env": [{"name": "BASH_ENV", "value": "/x"}]})), WRITING),
        (of_template("context", json!({"BASH_ENV": "/x"})), WRITING),
        (of_template("context", json!({"OTHER": "b"})), WRITING),
        (of_template("context", json!({"ECHO_TEXT": "b"})), TEMPLATES),
        (top(json!({"terminationGracePeriodSeconds": 5})), TEMPLATES),
    ]
    .into_iter()
    .enumerate()
    {
        for (who, gets) in EVERYBODY.into_iter().zip(gets) {
            let mut arguments = arguments.clone();
            arguments["id"] = json!(format!("new-{number}-{who:?}").to_lowercase());
            let outcome = asked.ask(who, "spawn_workspace", arguments.clone()).await;
            assert_eq!(outcome, gets, "{arguments} by {who:?}");
        }
    }
    // Containers come by no other way, whoever asks.
    for member in ["containers", "initContainers"] {
        let arguments = top(json!({member: [{"name": "a", "image": "i"}]}));
        let params = json!({"name": "spawn_workspace", "arguments": arguments});
        let reply = asked.request(Who::Viewer, "tools/call", params).await;
        let error = &reply["result"]["structuredContent"]["error"];
        assert_eq!(error["id"], "NCR0403", "{reply}");
        assert!(error["message"].as_str().unwrap().contains("the role `user` is missing"), "{reply}");
    }
}

/// The name of the first container of the built-in template.
fn container_of_the_template() -> String {
    let all = nocrd_spawner::templates::built_in(&nocrd_spawner::templates::BuiltInOptions::default());
    let template = all.iter().find(|template| template.name == "default-agent-workspace").unwrap();
    template.spec["containers"][0]["name"].as_str().unwrap().to_owned()
}
