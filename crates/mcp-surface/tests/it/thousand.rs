//! A thousand workspaces and a thousand other pods: lists come in pages of a bounded size, and reading costs no API call.

use std::collections::BTreeSet;

use nocrd_devcluster::kind::Kind;
use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Role};
use rmcp::model::CallToolRequestParams;
use serde_json::{Value, json};

use crate::{
    dev::{DevWorld, raw_pod, workspace},
    world::{Client, until},
};

const COUNT: usize = 1000;
/// Most bytes of a page, text and structured content together, as they are sent.
const PAGE: usize = 64 * 1024;

/// Alice has every other one of them, Bob the rest. They say much about themselves.
async fn world() -> DevWorld {
    let options = Options { auth_enabled: true, ..Options::default() };
    let world = DevWorld::with(Default::default(), options, |_| {}).await;
    for n in 0..COUNT {
        let owner = if n % 2 == 0 { "alice" } else { "bob" };
        for mut pod in [workspace(&format!("w{n:04}"), owner), raw_pod(&format!("p{n:04}"), owner)] {
            let metadata = &mut pod["metadata"];
            metadata["labels"]["app.kubernetes.io/name"] = json!("a-name-as-long-as-names-often-are");
            metadata["annotations"]["nogoo9/description"] =
                json!("\"quoted\" \u{e4}\u{f6}\u{fc} ".repeat(20));
            metadata["annotations"]["example.com/notes"] =
                json!("x".repeat(if n % 100 == 0 { 100_000 } else { 500 }));
            if n % 250 == 0 {
                for key in 0..2000 {
                    metadata["labels"][format!("example.com/label-{key}")] = json!("a value");
                    metadata["annotations"][format!("example.com/note-{key}")] = json!("a longer value");
                }
            }
            let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no ".repeat(200)}});
            let status = json!({"name": "agent", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
                "state": waiting});
            pod["status"] = json!({"phase": "Pending", "containerStatuses": [status]});
            world.create(Kind::Pod, &pod);
        }
    }
    world.caught_up().await;
    world
}

/// Goes through a list to its end: the names on its pages, and how many pages there were.
async fn all(client: &Client, tool: &'static str, list: &str, name: &str, limit: Option<u32>) -> Vec<String> {
    let (mut names, mut cursor, mut total) = (Vec::new(), None, None);
    loop {
        let mut params = CallToolRequestParams::new(tool);
        params.arguments = json!({"cursor": cursor, "limit": limit}).as_object().cloned();
        let result = client.mcp.call_tool(params).await.unwrap();
        let sent = serde_json::to_string(&result).unwrap().len();
        assert!(sent <= PAGE, "{tool}: a page of {sent} bytes");
        let page = result.structured_content.clone().unwrap_or_else(|| panic!("{result:?}"));
        let entries = page[list].as_array().unwrap();
        assert!(!entries.is_empty(), "{tool}: an empty page after {}", names.len());
        names.extend(entries.iter().map(|entry| entry[name].as_str().unwrap().to_owned()));
        assert_eq!(total.get_or_insert_with(|| page["total"].clone()), &page["total"]);
        match page.get("nextCursor") {
            Some(next) => cursor = Some(next.clone()),
            None => break,
        }
    }
    assert_eq!(total, Some(json!(names.len())), "{tool}");
    names
}

fn without_doubles(names: &[String]) -> bool {
    names.iter().collect::<BTreeSet<_>>().len() == names.len()
}

#[tokio::test]
async fn k41_k42_a_thousand_of_each_come_in_pages_and_cost_nothing() {
    let world = world().await;
    for (name, role, count, others) in [
        ("alice", Role::User, COUNT / 2, false),
        ("eve", Role::User, 0, false),
        ("root", Role::Admin, COUNT, true),
    ] {
        let client = world.client(Caller::verified(name.into(), role)).await;
        // How many pods there are that the server does not manage, is found out once.
        let mut counted = Value::Null;
        while counted.is_null() {
            counted =
                client.call("list_pods", json!({"limit": 1})).await.structured["unmanagedCount"].clone();
        }
        let before = world.cluster.api_calls();
        if count > 0 {
            for limit in [None, Some(200)] {
                let workspaces = all(&client, "list_workspaces", "workspaces", "id", limit).await;
                assert_eq!((workspaces.len(), without_doubles(&workspaces)), (count, true), "{name}");
                let pods = all(&client, "list_pods", "pods", "name", limit).await;
                assert_eq!((pods.len(), without_doubles(&pods)), (2 * count, true), "{name}");
            }
        } else {
            assert_eq!(client.call("list_workspaces", json!({})).await.structured["total"], 0);
            assert_eq!(client.call("list_pods", json!({})).await.structured["total"], 0);
        }
        assert_eq!(!client.call("get_workspace", json!({"id": "w0000"})).await.failed, count > 0);
        assert_eq!(!client.call("get_workspace", json!({"id": "w0001"})).await.failed, others);

        let uris: Vec<String> =
            client.uris().await.into_iter().filter(|uri| uri.starts_with("workspace://")).collect();
        assert_eq!((uris.len(), without_doubles(&uris)), (count, true), "{name}");
        assert_eq!(client.read("workspace://nogoo9/w0000").await.is_ok(), count > 0);
        let ids =
            client.mcp.complete_resource_simple("workspace://{namespace}/{id}", "id", "w").await.unwrap();
        assert_eq!(ids.len(), count.min(100), "{name}");
        let ids = client.mcp.complete_prompt_simple("diagnose-workspace", "id", "w000").await.unwrap();
        assert_eq!(ids.len(), [0, 5, 10][usize::from(count > 0) + usize::from(others)], "{name}");
        assert_eq!(world.cluster.api_calls(), before, "{name}");
    }
    world.stop().await;
}

/// What comes and goes while somebody turns the pages, moves nothing else.
#[tokio::test]
async fn k42_pages_of_a_list_that_changes() {
    let world = DevWorld::new().await;
    for n in 0..100 {
        world.create(Kind::Pod, &workspace(&format!("w{n:04}"), "alice"));
        world.create(Kind::Pod, &raw_pod(&format!("p{n:04}"), "alice"));
    }
    world.caught_up().await;
    let client = world.client(Caller::local()).await;
    for (tool, list, name, begins) in
        [("list_workspaces", "workspaces", "id", "w"), ("list_pods", "pods", "name", "p")]
    {
        let first = client.call(tool, json!({"limit": 10})).await.structured;
        let names = |page: &Value| -> Vec<String> {
            page[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry[name].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&first).last().unwrap(), &format!("{begins}0009"));
        // The very one at which the page ended, and one before it.
        for n in [9, 3] {
            let pod = if begins == "w" { format!("ws-w{n:04}") } else { format!("p{n:04}") };
            assert!(!client.call("delete_pod", json!({"name": pod, "gracePeriodSeconds": 0})).await.failed);
        }
        world.caught_up().await;
        let second = client.call(tool, json!({"limit": 10, "cursor": first["nextCursor"]})).await.structured;
        let expected: Vec<String> = (10..20).map(|n| format!("{begins}{n:04}")).collect();
        assert_eq!(names(&second), expected, "{tool}");
    }
    until("all is told", || world.cluster.pods().len() == 196).await;
    world.stop().await;
}
