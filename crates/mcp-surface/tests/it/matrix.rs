//! Every tool, asked by everybody; likewise every resource and prompt.

mod diagnostics;
mod pods;
mod resources;
mod templates;
mod workspaces;

use std::{collections::BTreeSet, sync::Arc};

use nocrd_authz::{
    challenge::Challenge,
    claims::Identity,
    policy::{Action, Policy},
};
use nocrd_devcluster::kind::Kind;
use nocrd_mcp_surface::{
    HttpOptions, Options,
    catalogue::{Effect, TOOLS},
};
use serde_json::{Value, json};

use crate::{
    dev::{DevWorld, raw_pod, template, workspace},
    http::{Server, call},
};

/// Who asks. What is called `hers` is Alice's.
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
    /// Alice, who may have workspaces and no more.
    Owner,
    /// Alice, with the role `user`.
    OwningUser,
    /// Alice, with a token that may read only.
    ReadOnly,
    /// Alice, with a token for something else.
    WrongScope,
    /// Root.
    Admin,
    /// Root, with a token without the scope for it.
    LesserAdmin,
}

/// How many they are.
const ALL: usize = 10;

const EVERYBODY: [Who; ALL] = [
    Who::Anonymous,
    Who::NoRole,
    Who::Viewer,
    Who::User,
    Who::Owner,
    Who::OwningUser,
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
    /// They see it, and somebody else made it.
    NotTheirs,
    /// What they ask for is for no ordinary caller.
    Refused,
}

use Gets::{Denied, Done, NotFound, NotTheirs, Refused, Scope, Unknown};

/// A way to use a tool.
struct Row {
    tool: &'static str,
    /// Given the name of what is Alice's; see [`Asked::put`].
    arguments: fn(&str) -> Value,
    /// In the order of [`EVERYBODY`].
    gets: [Gets; ALL],
}

const READING: [Gets; ALL] = [Unknown, Denied, Done, Done, Done, Done, Done, Scope, Done, Done];
const READING_HERS: [Gets; ALL] =
    [Unknown, Denied, NotFound, NotFound, Done, Done, Done, Scope, Done, NotFound];
/// For those who may start pods of their own making, and store templates.
const WRITING: [Gets; ALL] = [Unknown, Denied, Denied, Done, Denied, Done, Scope, Scope, Done, Done];
const WRITING_HERS: [Gets; ALL] =
    [Unknown, Denied, Denied, NotFound, Denied, Done, Scope, Scope, Done, NotFound];

fn rows() -> Vec<&'static Row> {
    [diagnostics::ROWS, templates::ROWS, pods::ROWS, workspaces::ROWS].into_iter().flatten().collect()
}

fn identity(who: Who) -> Option<Identity> {
    let (subject, roles, scopes): (&str, &[&str], Option<&[&str]>) = match who {
        Who::Anonymous => return None,
        Who::NoRole => ("bob", &["zzz"], None),
        Who::Viewer => ("bob", &[], None),
        Who::User => ("bob", &["user"], Some(&["nogoo9:write"])),
        Who::Owner => ("alice", &["viewer"], None),
        Who::OwningUser => ("alice", &["user"], Some(&["nogoo9:write"])),
        Who::ReadOnly => ("alice", &["user"], Some(&["nogoo9:read"])),
        Who::WrongScope => ("alice", &["user"], Some(&["email"])),
        Who::Admin => ("root", &["admin"], Some(&["nogoo9:admin"])),
        Who::LesserAdmin => ("root", &["admin"], Some(&["nogoo9:read", "nogoo9:write"])),
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some(Identity { subject: subject.into(), roles: set(roles), scopes: scopes.map(set) })
}

/// One server for all of them: who asks, a header says.
struct Asked(Server<DevWorld>);

const WHO: &str = "x-test-who";

impl Asked {
    async fn new(http: HttpOptions) -> Self {
        let options = Options { auth_enabled: true, ui_page: Some("<p>hello".into()), ..Options::default() };
        let policy = Arc::clone(&options.policy);
        let allowed_metadata_prefixes = BTreeSet::from(["example.com".to_owned()]);
        let limits = nocrd_spawner::Config { allowed_metadata_prefixes, ..Default::default() };
        let world = DevWorld::with(limits, options, |_| {}).await;
        let server = Server::identified(world, http, move |request| {
            let metadata = "https://gw.example/.well-known/oauth-protected-resource/mcp".parse().unwrap();
            let name = request.headers()[WHO].to_str().unwrap();
            let who = EVERYBODY.into_iter().find(|who| format!("{who:?}") == name).unwrap();
            request.extensions_mut().insert(Challenge::new(&metadata, ["nogoo9:read"]));
            if let Some(identity) = identity(who) {
                request.extensions_mut().insert(policy.caller(&identity));
            }
        });
        let asked = Self(server.await);
        asked.put(["hers".to_owned()]).await;
        asked
    }

    async fn stateless() -> Self {
        Self::new(HttpOptions { stateless: true, ..HttpOptions::default() }).await
    }

    /// Gives Alice, for each name: a workspace with that id, a pod and a template with that name, and a template only for
    /// those with a certain role, with `-restricted` after the name.
    async fn put(&self, names: impl IntoIterator<Item = String>) {
        let world = &self.0.world;
        for name in names {
            world.apply("pods", &workspace(&name, "alice")).await;
            world.apply("pods", &raw_pod(&name, "alice")).await;
            world.create(Kind::ConfigMap, &template(&name, "alice", None));
            world.create(Kind::ConfigMap, &template(&format!("{name}-restricted"), "alice", Some("ml")));
        }
        world.caught_up().await;
    }

    fn post(&self, who: Who, message: &Value) -> reqwest::RequestBuilder {
        self.0.post(message).header(WHO, format!("{who:?}"))
    }

    /// Calls a tool.
    async fn ask(&self, who: Who, tool: &str, arguments: Value) -> Gets {
        outcome(self.post(who, &call(1, tool, pretending(arguments)))).await
    }

    /// Calls a tool with the protocol of 2026-07-28.
    async fn ask_modern(&self, who: Who, tool: &str, arguments: Value) -> Gets {
        let mut message = call(1, tool, pretending(arguments));
        message["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let request = self.post(who, &message).header("mcp-protocol-version", "2026-07-28");
        outcome(request.header("mcp-method", "tools/call").header("mcp-name", tool)).await
    }

    /// Any other request.
    async fn request(&self, who: Who, method: &str, params: Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let response = self.post(who, &message).send().await.unwrap();
        assert_eq!(response.status(), 200, "{method}");
        response.json().await.unwrap()
    }
}

/// What the cluster answers when it is asked for logs, as it runs no pods.
const NO_LOGS: &str = "no pods are run here";

/// What earlier clients send, and what it must not do.
fn pretending(mut arguments: Value) -> Value {
    arguments["jwtPayload"] =
        json!({"sub": "alice", "scope": "nogoo9:admin", "realm_access": {"roles": ["admin"]}});
    arguments
}

async fn outcome(request: reqwest::RequestBuilder) -> Gets {
    let response = request.send().await.unwrap();
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
    assert!(result.is_object(), "{reply}");
    if result["isError"] != true {
        return Done;
    }
    let error = &result["structuredContent"]["error"];
    let is_theirs = !reply.to_string().contains("not the creator");
    match (error["code"].as_u64(), error["id"].as_str()) {
        (Some(401), Some("NCR0404")) => Unknown,
        (Some(403), Some("NCR0403")) if is_theirs => Denied,
        (Some(403), Some("NCR0403")) => NotTheirs,
        (Some(404), Some("NCR0201" | "NCR0301" | "NCR0308")) => NotFound,
        (Some(403), Some("NCR0205")) => Refused,
        // Logs were asked for.
        _ if error["message"].as_str().is_some_and(|text| text.contains(NO_LOGS)) => Done,
        _ => panic!("{reply}"),
    }
}

#[tokio::test]
async fn t50_k01_every_tool_asked_by_everybody() {
    let asked = Asked::stateless().await;
    let rows = rows();
    for tool in TOOLS {
        let is_asked = rows.iter().any(|row| row.tool == tool.name);
        assert!(is_asked, "{} has no row: who may use it?", tool.name);
    }
    for (number, row) in rows.into_iter().enumerate() {
        assert!(TOOLS.iter().any(|tool| tool.name == row.tool), "{} is gone", row.tool);
        // What one of them deletes, the others find all the same.
        let name = |at: usize| format!("hers-{number}-{at}");
        if (row.arguments)("a") != (row.arguments)("b") {
            asked.put((0..ALL).map(name)).await;
        }
        for (at, (who, gets)) in EVERYBODY.into_iter().zip(row.gets).enumerate() {
            let arguments = (row.arguments)(&name(at));
            let got = asked.ask(who, row.tool, arguments.clone()).await;
            assert_eq!(got, gets, "{} {arguments} by {who:?}", row.tool);
        }
    }
}

/// Nor does the version of the protocol change who may do what.
#[tokio::test]
async fn t50_the_same_in_the_newest_protocol() {
    const SAMPLE: [&str; 5] =
        ["get_workspace", "delete_pod", "update_template", "create_pod", "spawn_workspace"];
    let asked = Asked::stateless().await;
    let rows = rows();
    for (number, row) in rows.into_iter().filter(|row| SAMPLE.contains(&row.tool)).enumerate() {
        let name = |at: usize| format!("hers-{number}-{at}");
        asked.put((0..ALL).map(name)).await;
        for (at, (who, gets)) in EVERYBODY.into_iter().zip(row.gets).enumerate() {
            let got = asked.ask_modern(who, row.tool, (row.arguments)(&name(at))).await;
            assert_eq!(got, gets, "{} by {who:?}", row.tool);
        }
    }
}

#[tokio::test]
async fn everybody_is_shown_what_they_may_use() {
    let asked = Asked::stateless().await;
    for (at, who) in EVERYBODY.into_iter().enumerate() {
        let reply = asked.request(who, "tools/list", json!({})).await;
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
        let is_for_them = |name: &str| {
            let rows = rows().into_iter().filter(|row| row.tool == name);
            rows.map(|row| !matches!(row.gets[at], Denied | Scope)).collect::<BTreeSet<_>>()
        };
        let expected: Vec<&str> =
            TOOLS.iter().map(|tool| tool.name).filter(|name| is_for_them(name).contains(&true)).collect();
        assert_eq!(shown, expected, "{who:?}");
        let params = json!({"name": "get_capabilities", "arguments": {}});
        let reply = asked.request(who, "tools/call", params).await;
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
        let reads = matches!(tool.action, None | Some(Action::Read));
        assert_eq!(tool.effect == Effect::Read, reads, "{}", tool.name);
    }
    // The policy of these tests is the one of a server that is told nothing.
    assert_eq!(*Options::default().policy, Policy::default());
}
