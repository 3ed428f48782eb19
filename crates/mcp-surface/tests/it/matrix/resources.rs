//! Every resource and prompt, asked for by everybody.

use std::collections::BTreeSet;

use nocrd_mcp_surface::HttpOptions;
use serde_json::{Value, json};

use super::{ALL, Asked, EVERYBODY, Who};
use crate::http::initialize;

/// What they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    /// It.
    It,
    /// Nothing: as if it were not there.
    Nothing,
    /// That they are not known.
    Unknown,
}

use Sees::{It, Nothing, Unknown};

const READING: [Sees; ALL] = [Unknown, Nothing, It, It, It, It, It, Nothing, It, It];
const READING_HERS: [Sees; ALL] = [Unknown, Nothing, Nothing, Nothing, It, It, It, Nothing, It, Nothing];
const STARTING: [Sees; ALL] = [Unknown, Nothing, It, It, It, It, Nothing, Nothing, It, It];

struct Row {
    /// The template of its URIs, or its only URI.
    kind: &'static str,
    uri: &'static str,
    /// The part that is completed, and with what.
    completes: Option<(&'static str, &'static str)>,
    /// In the order of [`EVERYBODY`].
    sees: [Sees; ALL],
}

const ROWS: &[Row] = &[
    Row { kind: "ui://nogoo9/app", uri: "ui://nogoo9/app", completes: None, sees: READING },
    Row {
        kind: "pod-template://{namespace}/{name}",
        uri: "pod-template://nogoo9/default-agent-workspace",
        completes: Some(("name", "default-agent-workspace")),
        sees: READING,
    },
    Row {
        kind: "pod-template://{namespace}/{name}",
        uri: "pod-template://nogoo9/hers",
        completes: Some(("name", "hers")),
        sees: READING,
    },
    Row {
        kind: "pod-template://{namespace}/{name}",
        uri: "pod-template://nogoo9/hers-restricted",
        completes: Some(("name", "hers-restricted")),
        sees: READING_HERS,
    },
    Row {
        kind: "workspace://{namespace}/{id}",
        uri: "workspace://nogoo9/hers",
        completes: Some(("id", "hers")),
        sees: READING_HERS,
    },
];

struct Prompt {
    name: &'static str,
    arguments: fn() -> Value,
    /// In the order of [`EVERYBODY`].
    sees: [Sees; ALL],
}

const PROMPTS: &[Prompt] = &[
    Prompt { name: "spawn-workspace", arguments: || json!({"task": "t"}), sees: STARTING },
    Prompt { name: "diagnose-workspace", arguments: || json!({"id": "hers"}), sees: READING },
];

/// What an answer amounts to; `absent` is the code for what is not there.
fn seen(reply: &Value, absent: i64) -> Sees {
    match reply["error"]["code"].as_i64() {
        None => It,
        Some(-32600) => Unknown,
        Some(code) if code == absent => Nothing,
        Some(_) => panic!("{reply}"),
    }
}

/// The entries of a list, by a member.
fn names(reply: &Value, list: &str, member: &str) -> BTreeSet<String> {
    let entries = reply["result"][list].as_array().unwrap_or_else(|| panic!("{reply}"));
    entries.iter().map(|entry| entry[member].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn t50_every_resource_read_listed_and_completed_by_everybody() {
    let asked = Asked::stateless().await;
    for (at, who) in EVERYBODY.into_iter().enumerate() {
        let list = asked.request(who, "resources/list", json!({})).await;
        let kinds = asked.request(who, "resources/templates/list", json!({})).await;
        for row in ROWS {
            let sees = row.sees[at];
            let read = asked.request(who, "resources/read", json!({"uri": row.uri})).await;
            assert_eq!(seen(&read, -32002), sees, "{} by {who:?}: {read}", row.uri);
            if sees == Unknown {
                assert_eq!((seen(&list, 0), seen(&kinds, 0)), (Unknown, Unknown));
                continue;
            }
            assert_eq!(names(&list, "resources", "uri").contains(row.uri), sees == It, "{who:?}: {list}");
            let Some((argument, value)) = row.completes else { continue };
            let is_listed = names(&kinds, "resourceTemplates", "uriTemplate").contains(row.kind);
            assert_eq!(is_listed, READING[at] == It, "{who:?}: {kinds}");
            let reference = json!({"type": "ref/resource", "uri": row.kind});
            let params = json!({"ref": reference, "argument": {"name": argument, "value": ""}});
            let completed = asked.request(who, "completion/complete", params).await;
            assert_eq!(seen(&completed, -32602), READING[at], "{who:?}: {completed}");
            if READING[at] == It {
                let values = completed["result"]["completion"]["values"].as_array().unwrap();
                assert_eq!(values.contains(&json!(value)), sees == It, "{who:?}: {completed}");
            }
        }
    }
}

#[tokio::test]
async fn t50_every_prompt_asked_for_by_everybody() {
    let asked = Asked::stateless().await;
    for (at, who) in EVERYBODY.into_iter().enumerate() {
        let list = asked.request(who, "prompts/list", json!({})).await;
        for Prompt { name, arguments, sees } in PROMPTS {
            let sees = sees[at];
            let got =
                asked.request(who, "prompts/get", json!({"name": name, "arguments": arguments()})).await;
            assert_eq!(seen(&got, -32602), sees, "{name} by {who:?}: {got}");
            let argument = arguments().as_object().unwrap().keys().next().unwrap().clone();
            let reference = json!({"type": "ref/prompt", "name": name});
            let params = json!({"ref": reference, "argument": {"name": argument, "value": ""}});
            let completed = asked.request(who, "completion/complete", params).await;
            assert_eq!(seen(&completed, -32602), sees, "{name} by {who:?}: {completed}");
            if sees == Unknown {
                assert_eq!(seen(&list, 0), Unknown);
                continue;
            }
            assert_eq!(names(&list, "prompts", "name").contains(*name), sees == It, "{who:?}: {list}");
            // Alice's workspace is embedded for those who may see it.
            let reveals =
                got.to_string().contains("Workspace of alice") || completed.to_string().contains("hers");
            assert_eq!(
                reveals,
                *name == "diagnose-workspace" && READING_HERS[at] == It,
                "{name} by {who:?}: {got}"
            );
        }
    }
}

#[tokio::test]
async fn subscriptions_of_everybody() {
    let asked = Asked::new(HttpOptions::default()).await;
    for (at, who) in EVERYBODY.into_iter().enumerate() {
        let message = initialize("2025-11-25");
        let begun =
            asked.post(who, &message).header("mcp-protocol-version", "2025-11-25").send().await.unwrap();
        let session = begun.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        for row in ROWS {
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": row.uri}});
            let reply: Value = asked
                .post(who, &message)
                .header("mcp-session-id", &session)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            assert_eq!(seen(&reply, -32002), row.sees[at], "{} by {who:?}: {reply}", row.uri);
        }
    }
}

#[tokio::test]
async fn everything_that_is_offered_has_a_row() {
    let asked = Asked::stateless().await;
    let list = asked.request(Who::Admin, "resources/list", json!({})).await;
    let kinds = asked.request(Who::Admin, "resources/templates/list", json!({})).await;
    let scheme = |uri: &str| uri.split("://").next().unwrap().to_owned();
    let mut offered = names(&kinds, "resourceTemplates", "uriTemplate");
    let schemes: BTreeSet<String> = offered.iter().map(|kind| scheme(kind)).collect();
    // Resources of no kind stand for themselves.
    let others = names(&list, "resources", "uri").into_iter().filter(|uri| !schemes.contains(&scheme(uri)));
    offered.extend(others);
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.kind.to_owned()).collect();
    assert_eq!(offered, rows, "who may read what? A row tells");
    let prompts = names(&asked.request(Who::Admin, "prompts/list", json!({})).await, "prompts", "name");
    assert_eq!(
        prompts,
        PROMPTS.iter().map(|prompt| prompt.name.to_owned()).collect(),
        "a row tells who sees it"
    );
}
