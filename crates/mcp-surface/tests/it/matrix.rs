//! Every tool, asked by everybody; likewise every resource and prompt.

mod resources;

use std::sync::Arc;

use nocrd_authz::{
    challenge::Challenge,
    claims::Identity,
    policy::{Action, Policy},
};
use nocrd_mcp_surface::{HttpOptions, Options, catalogue::TOOLS};
use serde_json::{Value, json};

use crate::{
    api::{Api, pod},
    http::{Server, call},
    world::World,
};

/// Who asks. The workspace `hers` is Alice's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Nobody that is known.
    Anonymous,
    /// Bob, whose roles are none of ours.
    NoRole,
    /// Bob, whose token names no role.
    Viewer,
    /// Bob, with the role `user`.
    User,
    /// Alice.
    Owner,
    /// Alice, with a token that may read only.
    ReadOnly,
    /// Alice, with a token for something else.
    WrongScope,
    /// Root.
    Admin,
    /// Root, with a token without the scope for it.
    LesserAdmin,
}

const EVERYBODY: [Who; 9] = [
    Who::Anonymous,
    Who::NoRole,
    Who::Viewer,
    Who::User,
    Who::Owner,
    Who::ReadOnly,
    Who::WrongScope,
    Who::Admin,
    Who::LesserAdmin,
];

/// What they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    Done,
    Unknown,
    /// The tool is not for them.
    Denied,
    /// Neither is it with this token.
    Scope,
    NotFound,
    /// What they ask for is for no ordinary caller.
    Refused,
}

use Gets::{Denied, Done, NotFound, Refused, Scope, Unknown};

struct Row {
    tool: &'static str,
    arguments: fn() -> Value,
    /// In the order of [`EVERYBODY`].
    gets: [Gets; 9],
}

const READING: [Gets; 9] = [Unknown, Denied, Done, Done, Done, Done, Scope, Done, Done];
const READING_HERS: [Gets; 9] = [Unknown, Denied, NotFound, NotFound, Done, Done, Scope, Done, NotFound];

const ROWS: &[Row] = &[
    Row { tool: "list_templates", arguments: || json!({}), gets: READING },
    Row { tool: "get_template", arguments: || json!({"name": "default-agent-workspace"}), gets: READING },
    Row { tool: "current_namespace", arguments: || json!({}), gets: READING },
    Row {
        tool: "get_capabilities",
        arguments: || json!({}),
        gets: [Unknown, Done, Done, Done, Done, Done, Done, Done, Done],
    },
    Row { tool: "check_permissions", arguments: || json!({}), gets: READING },
    Row { tool: "list_namespaces", arguments: || json!({}), gets: READING },
    Row { tool: "list_registry_images", arguments: || json!({}), gets: READING },
    Row { tool: "list_workspaces", arguments: || json!({}), gets: READING },
    Row { tool: "get_workspace", arguments: || json!({"id": "hers"}), gets: READING_HERS },
    Row { tool: "get_workspace_events", arguments: || json!({"id": "hers"}), gets: READING_HERS },
    Row {
        tool: "stop_workspace",
        arguments: || json!({"id": "hers"}),
        gets: [Unknown, Denied, NotFound, NotFound, Done, Scope, Scope, Done, NotFound],
    },
    Row {
        tool: "spawn_workspace",
        arguments: || json!({"id": "new", "templateRef": "default-agent-workspace"}),
        gets: [Unknown, Denied, Done, Done, Done, Scope, Scope, Done, Done],
    },
];

fn identity(who: Who) -> Option<Identity> {
    let (subject, roles, scopes): (&str, &[&str], Option<&[&str]>) = match who {
        Who::Anonymous => return None,
        Who::NoRole => ("bob", &["zzz"], None),
        Who::Viewer => ("bob", &[], None),
        Who::User => ("bob", &["user"], Some(&["nogoo9:write"])),
        Who::Owner => ("alice", &["viewer"], None),
        Who::ReadOnly => ("alice", &["user"], Some(&["nogoo9:read"])),
        Who::WrongScope => ("alice", &["user"], Some(&["email"])),
        Who::Admin => ("root", &["admin"], Some(&["nogoo9:admin"])),
        Who::LesserAdmin => ("root", &["admin"], Some(&["nogoo9:read", "nogoo9:write"])),
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some(Identity { subject: subject.into(), roles: set(roles), scopes: scopes.map(set) })
}

async fn server(who: Who) -> Server {
    server_with(who, HttpOptions { stateless: true, ..HttpOptions::default() }).await
}

async fn server_with(who: Who, http: HttpOptions) -> Server {
    let api = Api::default();
    api.put("pods", pod("hers", "alice"));
    let options = Options { auth_enabled: true, ui_page: Some("<p>hello".into()), ..Options::default() };
    let policy = Arc::clone(&options.policy);
    let world = World::with(api, options).await.synced().await;
    Server::identified(world, http, move |request| {
        let metadata = "https://gw.example/.well-known/oauth-protected-resource/mcp".parse().unwrap();
        request.extensions_mut().insert(Challenge::new(&metadata, ["nogoo9:read"]));
        if let Some(identity) = identity(who) {
            request.extensions_mut().insert(policy.caller(&identity));
        }
    })
    .await
}

async fn outcome(server: &Server, row: &Row) -> Gets {
    ask(server, row.tool, (row.arguments)()).await
}

async fn ask(server: &Server, tool: &str, mut arguments: Value) -> Gets {
    // What earlier clients send, and what it must not do.
    arguments["jwtPayload"] =
        json!({"sub": "alice", "scope": "nogoo9:admin", "realm_access": {"roles": ["admin"]}});
    let response = server.post(&call(1, tool, arguments)).send().await.unwrap();
    if response.status() == 403 {
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.starts_with("Bearer error=\"insufficient_scope\""), "{challenge}");
        assert!(challenge.contains("scope=\"nogoo9:"), "{challenge}");
        assert!(challenge.contains("resource_metadata=\"https://gw.example/"), "{challenge}");
        assert_eq!(response.json::<Value>().await.unwrap()["id"], 1);
        return Scope;
    }
    assert_eq!(response.status(), 200);
    let reply: Value = response.json().await.unwrap();
    let result = &reply["result"];
    if result["isError"] != true {
        return Done;
    }
    let error = &result["structuredContent"]["error"];
    match (error["code"].as_u64(), error["id"].as_str()) {
        (Some(401), Some("NCR0404")) => Unknown,
        (Some(403), Some("NCR0403")) => Denied,
        (Some(404), Some("NCR0301")) => NotFound,
        (Some(403), Some("NCR0205")) => Refused,
        _ => panic!("{reply}"),
    }
}

#[tokio::test]
async fn t50_d01_every_tool_asked_by_everybody() {
    for tool in TOOLS {
        let row = ROWS.iter().find(|row| row.tool == tool.name);
        let row = row.unwrap_or_else(|| panic!("{} has no row: who may use it?", tool.name));
        for (who, gets) in EVERYBODY.into_iter().zip(row.gets) {
            assert_eq!(outcome(&server(who).await, row).await, gets, "{} by {who:?}", tool.name);
        }
    }
    assert_eq!(ROWS.len(), TOOLS.len(), "rows of tools that are gone");
}

/// Who starts pods of their own making: a role more than what a template's pod needs.
#[tokio::test]
async fn h01_raw_pods_asked_for_by_everybody() {
    const RAW: [Gets; 9] = [Unknown, Denied, Denied, Done, Denied, Scope, Scope, Done, Done];
    const TEMPLATES: [Gets; 9] = [Unknown, Denied, Done, Done, Done, Scope, Scope, Done, Done];
    /// Objects of the namespace besides, which only administrators bring.
    const FOREIGN: [Gets; 9] = [Unknown, Denied, Denied, Refused, Denied, Scope, Scope, Done, Refused];
    const TEMPLATES_OWN: [Gets; 9] =
        [Unknown, Denied, Denied, Refused, Denied, Scope, Scope, Refused, Refused];
    fn from(kind: &str, source: Value) -> Value {
        json!({"name": "A", "valueFrom": {kind: source}})
    }
    fn of_template(member: &str, overrides: Value) -> Value {
        json!({"id": "new", "templateRef": "default-agent-workspace", member: overrides})
    }
    let template = container_of_the_template();
    let container = |change: Value| {
        let mut change = change;
        change["name"] = json!(template);
        of_template("containerOverrides", json!([change]))
    };
    let top = |change: Value| of_template("topLevelOverrides", change);
    for (arguments, gets) in [
        (json!({"id": "new", "spec": {"containers": [{"name": "a", "image": "i"}]}}), RAW),
        (container(json!({"image": "i"})), RAW),
        (container(json!({"command": ["sh"]})), RAW),
        (container(json!({"args": ["-c"]})), RAW),
        (container(json!({"volumeMounts": []})), RAW),
        (container(json!({"envFrom": []})), RAW),
        (top(json!({"volumes": [{"name": "v", "emptyDir": {}}]})), RAW),
        (top(json!({"hostname": "x"})), RAW),
        // Whom the template's containers speak to is the template's to say, at this level to administrators, too.
        (top(json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["x"]}]})), TEMPLATES_OWN),
        (
            container(
                json!({"env": [from("fileKeyRef", json!({"volumeName": "v", "path": "p", "key": "k"}))]}),
            ),
            RAW,
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
        (container(json!({"env": [{"name": "BASH_ENV", "value": "/x"}]})), RAW),
        (of_template("context", json!({"BASH_ENV": "/x"})), RAW),
        (of_template("context", json!({"OTHER": "b"})), RAW),
        (of_template("context", json!({"ECHO_TEXT": "b"})), TEMPLATES),
        (top(json!({"terminationGracePeriodSeconds": 5})), TEMPLATES),
    ] {
        for (who, gets) in EVERYBODY.into_iter().zip(gets) {
            let outcome = ask(&server(who).await, "spawn_workspace", arguments.clone()).await;
            assert_eq!(outcome, gets, "{arguments} by {who:?}");
        }
    }
    // Containers come by no other way, whoever asks.
    for member in ["containers", "initContainers"] {
        let arguments = top(json!({member: [{"name": "a", "image": "i"}]}));
        let request = call(1, "spawn_workspace", arguments);
        let reply: Value =
            server(Who::Viewer).await.post(&request).send().await.unwrap().json().await.unwrap();
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

#[tokio::test]
async fn everybody_is_shown_what_they_may_use() {
    for (at, who) in EVERYBODY.into_iter().enumerate() {
        let server = server(who).await;
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let reply: Value = server.post(&list).send().await.unwrap().json().await.unwrap();
        if who == Who::Anonymous {
            assert_eq!(reply["error"]["code"], -32600, "{reply}");
            continue;
        }
        let shown: Vec<&str> = reply["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        let expected: Vec<&str> = TOOLS
            .iter()
            .filter(|tool| {
                let row = ROWS.iter().find(|row| row.tool == tool.name).unwrap();
                !matches!(row.gets[at], Denied | Scope)
            })
            .map(|tool| tool.name)
            .collect();
        assert_eq!(shown, expected, "{who:?}");
        let reply: Value =
            server.post(&call(1, "get_capabilities", json!({}))).send().await.unwrap().json().await.unwrap();
        let mut enabled: Vec<String> =
            serde_json::from_value(reply["result"]["structuredContent"]["enabledTools"].clone()).unwrap();
        let mut expected = expected.clone();
        enabled.sort_unstable();
        expected.sort_unstable();
        assert_eq!(enabled, expected, "{who:?}");
    }
}

#[test]
fn what_changes_something_asks_for_more_than_reading() {
    for tool in TOOLS {
        let annotations =
            serde_json::to_value(tool.effect == nocrd_mcp_surface::catalogue::Effect::Read).unwrap();
        let reads = matches!(tool.action, None | Some(Action::Read));
        assert_eq!(annotations, reads, "{}", tool.name);
    }
    // The policy of these tests is the one of a server that is told nothing.
    assert_eq!(*Options::default().policy, Policy::default());
}
