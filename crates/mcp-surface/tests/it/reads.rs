//! The tools that read.

use nocrd_mcp_surface::{Options, catalogue::TOOLS};
use nocrd_model::{Caller, Role};
use serde_json::{Value, json};

use crate::{
    api::{Api, pod, ready, waiting},
    world::{World, until},
};

#[tokio::test(start_paused = true)]
async fn the_server_introduces_itself() {
    let client = World::new().await.synced().await.client().await;
    let info = client.mcp.peer_info().unwrap();
    let server = info.server_info.clone().unwrap();
    assert_eq!((server.name.as_str(), server.version.as_str()), ("nogoo9", env!("CARGO_PKG_VERSION")));
    assert_eq!(info.capabilities.tools.clone().unwrap().list_changed, Some(true));
    assert!(info.instructions.clone().unwrap().contains("spawn_workspace"));
}

#[tokio::test(start_paused = true)]
async fn diagnostics() {
    let options = Options { version: "1.2.3".to_owned(), ..Options::default() };
    let client = World::with(Api::default(), options).await.synced().await.client().await;
    let reply = client.call("current_namespace", json!({})).await;
    assert_eq!(reply.structured, json!({"namespace": "nogoo9", "mode": "cluster"}));
    assert_eq!(reply.text, "Namespace: nogoo9\nMode: cluster");

    let reply = client.call("get_capabilities", json!({})).await;
    let (mut enabled, mut listed) =
        (reply.structured["enabledTools"].as_array().unwrap().clone(), client.tools());
    enabled.sort_by_key(ToString::to_string);
    listed.sort_unstable();
    assert_eq!(Value::Array(enabled), json!(listed));
    assert_eq!(reply.structured["version"], "1.2.3");
    assert_eq!(
        (&reply.structured["authEnabled"], &reply.structured["managedOnly"]),
        (&json!(false), &json!(true))
    );
}

fn template(name: &str, spec: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "nogoo9", "uid": name, "labels": {"nogoo9/pod-template": "true"},
            "annotations": {"nogoo9/description": "Runs\u{1b}[31m things", "nogoo9/required-context": "KEY, "}},
        "data": {"spec": spec},
    })
}

#[tokio::test(start_paused = true)]
async fn templates_of_all_sources_are_listed_and_broken_ones_reported() {
    let api = Api::default();
    api.put("configmaps", template("mine", "containers: [{name: agent, image: i}]"));
    api.put("configmaps", template("broken", "containers: [}"));
    let client = World::with(api, Options::default()).await.synced().await.client().await;

    let reply = client.call("list_templates", json!({})).await;
    let named = |name: &str| {
        let all = reply.structured["templates"].as_array().unwrap();
        all.iter().find(|template| template["name"] == name).cloned().unwrap_or_default()
    };
    let mine = named("mine");
    assert_eq!(mine["description"], "Runs things");
    assert_eq!((&mine["requiredContext"], &mine["isLocal"]), (&json!(["KEY"]), &json!(false)));
    assert_eq!((&mine["namespace"], &mine["version"]), (&json!("nogoo9"), &json!("1.0.0")));
    assert_eq!(named("default-agent-workspace")["isLocal"], true);
    assert_eq!(named("broken"), Value::Null);
    assert_eq!(reply.structured["problems"][0]["name"], "broken");
    assert!(reply.text.starts_with("mine\tRuns things\n"), "{}", reply.text);
    assert!(reply.text.contains("⚠ broken: no valid YAML"), "{}", reply.text);

    let reply = client.call("get_template", json!({"name": "mine"})).await;
    assert_eq!(reply.structured["spec"]["containers"][0]["image"], "i");
    let shown: Value = serde_json::from_str(&reply.text).unwrap();
    assert_eq!(shown["metadata"]["name"], "mine");
    assert_eq!(client.call("get_template", json!({"name": "nogoo9/mine"})).await.structured["name"], "mine");

    assert_eq!(client.call("get_template", json!({"name": "nope"})).await.error_id(), "NCR0201");
    assert_eq!(client.call("get_template", json!({"name": "broken"})).await.error_id(), "NCR0202");
    assert_eq!(client.call("get_template", json!({"name": "../../etc/passwd"})).await.error_id(), "NCR0209");
}

#[tokio::test(start_paused = true)]
async fn templates_come_in_pages() {
    let api = Api::default();
    for n in 0..7 {
        api.put("configmaps", template(&format!("t{n}"), "containers: [{name: a, image: i}]"));
    }
    let client = World::with(api, Options::default()).await.synced().await.client().await;
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let reply = client.call("list_templates", json!({"limit": 4, "cursor": cursor})).await;
        let page = reply.structured["templates"].as_array().unwrap().clone();
        assert!(page.len() <= 4);
        names.extend(page.iter().map(|template| template["name"].as_str().unwrap().to_owned()));
        cursor = reply.structured["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            assert_eq!(reply.structured["total"], names.len());
            break;
        }
    }
    let mut unique = names.clone();
    unique.dedup();
    assert!(unique == names && names.len() == 10, "{names:?}");
    assert_eq!(client.call("list_templates", json!({"cursor": "bm9uZQ"})).await.error_id(), "NCR0102");
    assert_eq!(client.call("list_templates", json!({"limit": 0})).await.error_id(), "NCR0102");
}

#[tokio::test(start_paused = true)]
async fn workspaces_are_listed_slim() {
    let api = Api::default();
    for n in 0..450 {
        let mut pod = pod(&format!("agent-workspace-{n:03}"), "alice@example.com");
        pod["metadata"]["annotations"]["nogoo9/description"] =
            json!("A rather long description. ".repeat(20));
        if n >= 200 {
            pod["metadata"]["annotations"]["nogoo9/last-upgrade-error"] = json!("x".repeat(1_000));
            pod["status"] = waiting("CreateContainerConfigError", &"the secret is not there ".repeat(20));
        }
        api.put("pods", pod);
    }
    let client = World::with(api, Options::default()).await.synced().await.client().await;
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let reply = client.call("list_workspaces", json!({"limit": 1_000, "cursor": cursor})).await;
        let bytes = reply.structured.to_string().len() + json!(reply.text).to_string().len();
        assert!(bytes <= 64 * 1024, "{bytes} bytes");
        let page = reply.structured["workspaces"].as_array().unwrap();
        assert!(page.len() == 200 || !ids.is_empty(), "{}", page.len());
        ids.extend(page.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        assert_eq!(reply.structured["total"], 450);
        assert!(reply.text.starts_with("ID\tNAME\tSTATUS\nagent-workspace-"), "{}", reply.text);
        cursor = reply.structured["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert!(ids.is_sorted() && ids.len() == 450);
    let page = client.call("list_workspaces", json!({})).await;
    assert_eq!(page.structured["workspaces"].as_array().unwrap().len(), 50);
    let entry = &page.structured["workspaces"][0];
    assert_eq!((&entry["status"], &entry["userSub"]), (&json!("Running"), &json!("alice@example.com")));
    assert!(
        entry.get("pod").is_none()
            && entry.get("annotations").is_none()
            && entry.get("description").is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn lists_can_be_narrowed_to_a_namespace() {
    let api = Api::default();
    api.put("pods", pod("here", "alice"));
    let mut elsewhere = pod("there", "alice");
    elsewhere["metadata"]["namespace"] = json!("other");
    api.put("pods", elsewhere);
    let client = World::with(api, Options::default()).await.synced().await.client().await;
    let ids = async |arguments: Value| -> Value {
        let list = client.call("list_workspaces", arguments).await.structured["workspaces"].clone();
        list.as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect()
    };
    assert_eq!(ids(json!({})).await, json!(["here", "there"]));
    assert_eq!(ids(json!({"namespace": "other"})).await, json!(["there"]));
    assert_eq!(ids(json!({"namespace": "empty"})).await, json!([]));
    assert_eq!(client.call("list_workspaces", json!({"namespace": "empty"})).await.text, "(no workspaces)");
    assert_eq!(client.call("list_workspaces", json!({"namespace": "No!"})).await.error_id(), "NCR0103");

    assert!(!client.call("get_workspace", json!({"id": "there"})).await.failed);
    assert!(!client.call("get_workspace", json!({"id": "there", "namespace": "other"})).await.failed);
    assert_eq!(
        client.call("get_workspace", json!({"id": "there", "namespace": "nogoo9"})).await.error_id(),
        "NCR0301"
    );
}

#[tokio::test(start_paused = true)]
async fn details_of_a_workspace() {
    let api = Api::default();
    let mut pod = pod("w1", "alice");
    let annotations = &mut pod["metadata"]["annotations"];
    annotations["nogoo9/workspace-path"] = json!("/lab");
    annotations["nogoo9/workspace-port"] = json!("8888");
    annotations["nogoo9/api.terminal.port"] = json!("7681");
    annotations["nogoo9/api.bad.port"] = json!("x");
    annotations["note"] = json!("hidden\u{202e}text");
    pod["metadata"]["managedFields"] = json!([{"manager": "m"}]);
    api.put("pods", pod);
    let options = Options { base_url: "https://ws.example/a".to_owned(), ..Options::default() };
    let client = World::with(api, options).await.synced().await.client().await;

    let reply = client.call("get_workspace", json!({"id": "w1"})).await;
    let seen = &reply.structured;
    for (member, expected) in [
        ("id", json!("w1")),
        ("name", json!("Workspace of alice")),
        ("namespace", json!("nogoo9")),
        ("status", json!("Running")),
        ("ready", json!(true)),
        ("restarts", json!(0)),
        ("url", json!("https://ws.example/a/route/w1/lab")),
        ("podName", json!("ws-alice-w1")),
        ("podIP", json!("10.0.0.7")),
        ("port", json!("8888")),
        ("workspacePath", json!("/lab")),
        ("workspaceType", json!("html")),
        ("previewPath", json!("/lab")),
        ("previewType", json!("html")),
        ("userSub", json!("alice")),
        ("owner", json!("alice")),
        ("templateRef", json!("default-agent-workspace")),
        ("templateVersion", json!("1.0.0")),
        ("creationTime", json!("2026-11-22T12:00:00Z")),
    ] {
        assert_eq!(seen[member], expected, "{member}");
    }
    assert_eq!(
        seen["apis"],
        json!([{"name": "terminal", "port": "7681", "path": "/", "visibility": "private"}])
    );
    assert!(seen["problems"][0].as_str().unwrap().contains("nogoo9/api.bad.port"), "{seen}");
    assert_eq!(seen["annotations"]["note"], "hiddentext");
    assert!(seen.get("pod").is_none());
    assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), *seen);

    let reply = client.call("get_workspace", json!({"id": "w1", "includePod": true})).await;
    let pod = &reply.structured["pod"];
    assert_eq!(pod["spec"]["containers"][0]["env"][0], json!({"name": "TOKEN", "value": "[redacted]"}));
    assert!(pod["metadata"].get("managedFields").is_none());
    assert!(!reply.text.contains("s3cret"), "{}", reply.text);

    assert_eq!(client.call("get_workspace", json!({"id": "w2"})).await.error_id(), "NCR0301");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_not_running_gives_the_reason() {
    let world = World::new().await.synced().await;
    world.api.put("pods", pod("w1", "alice"));
    world.api.set_status("ws-alice-w1", waiting("ImagePullBackOff", "Back-off pulling\u{7} image \"i\""));
    until("the pod", || world.cluster.workspaces().all().iter().any(|pod| !pod.ready)).await;
    let client = world.client().await;
    let seen = client.call("get_workspace", json!({"id": "w1"})).await.structured;
    assert_eq!((&seen["status"], &seen["reason"]), (&json!("Degraded"), &json!("ImagePullBackOff")));
    assert!(seen["message"].as_str().unwrap().contains("Back-off pulling image"), "{seen}");
    assert_eq!(seen["ready"], false);
    let list = client.call("list_workspaces", json!({})).await;
    assert_eq!(list.structured["workspaces"][0]["reason"], "ImagePullBackOff");
    assert_eq!(list.text, "ID\tNAME\tSTATUS\nw1\tWorkspace of alice\tDegraded");
    world.api.set_status("ws-alice-w1", ready());
}

fn event(n: u32, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("e{n}"), "namespace": "nogoo9", "uid": format!("e{n}")},
        "involvedObject": {"kind": "Pod", "name": "ws-alice-w1", "namespace": "nogoo9", "uid": "uid-alice-w1"},
        "type": "Warning", "reason": "BackOff", "message": message, "count": n,
        "firstTimestamp": "2026-11-22T12:00:00Z",
        "lastTimestamp": format!("2026-11-22T{:02}:{:02}:00Z", 12 + n / 60, n % 60),
        "source": {"component": "kubelet"},
    })
}

#[tokio::test(start_paused = true)]
async fn t63_k04_events_are_clean_and_few() {
    let api = Api::default();
    api.put("pods", pod("w1", "alice"));
    let client = World::with(api.clone(), Options::default()).await.synced().await.client().await;
    assert_eq!(client.call("get_workspace_events", json!({"id": "w1"})).await.text, "(no events)");
    for n in 1..=150 {
        api.put("events", event(n, &format!("\u{1b}[2J{} {n}", "again ".repeat(500))));
    }
    let reply = client.call("get_workspace_events", json!({"id": "w1"})).await;
    let events = reply.structured["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[99]["count"]), (100, &json!(150)), "the newest");
    let last = &events[99];
    assert_eq!(last["timestamp"], "2026-11-22T14:30:00Z");
    assert_eq!((&last["type"], &last["source"]), (&json!("Warning"), &json!("kubelet")));
    assert_eq!(last["podName"], "ws-alice-w1");
    let message = last["message"].as_str().unwrap();
    assert!(message.starts_with("again ") && message.len() < 1_100, "{}", message.len());
    assert_eq!(client.call("get_workspace_events", json!({"id": "w2"})).await.error_id(), "NCR0301");
}

#[tokio::test(start_paused = true)]
async fn t63_a_template_shows_what_it_is_and_is_whole() {
    let long = "x".repeat(5_000);
    let mut map = template("mine", "containers: [{name: a, image: i, args: [\"\\u202e\\e[31m\\x9b\"]}]");
    map["metadata"]["annotations"]["nogoo9/init-command"] = json!(long);
    map["metadata"]["annotations"]["nogoo9/user-sub"] = json!("ad\u{202e}a");
    let api = Api::default();
    api.put("configmaps", map);
    let client = World::with(api, Options::default()).await.synced().await.client().await;
    let reply = client.call("get_template", json!({"name": "mine"})).await;
    assert!(!reply.failed, "{}", reply.text);
    assert_eq!(reply.structured["annotations"]["nogoo9/init-command"], long);
    assert_eq!(reply.structured["spec"]["containers"][0]["args"][0], "\u{1b}[31m\u{9b}");
    assert_eq!(reply.structured["userSub"], "ada");
    let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!reply.text.chars().any(hidden), "{:?}", reply.text);
    assert!(!reply.structured.to_string().contains('\u{202e}'));
}

/// A client that starts the server itself calls before the server has read anything.
#[tokio::test(start_paused = true)]
async fn the_first_call_waits_for_what_it_goes_by() {
    for (tool, arguments) in [
        ("list_workspaces", json!({})),
        ("list_pods", json!({})),
        ("get_workspace", json!({"id": "w1"})),
        ("get_template", json!({"name": "mine"})),
        ("create_pod_from_template", json!({"name": "p", "templateRef": "mine", "context": {"KEY": "x"}})),
    ] {
        let api = Api::default();
        api.put("pods", pod("w1", "alice"));
        api.put("configmaps", template("mine", "containers: [{name: a, image: i}]"));
        let client = World::with(api, Options::default()).await.client().await;
        let reply = client.call(tool, arguments).await;
        assert!(!reply.failed, "{tool}: {}", reply.text);
        assert!(tool != "list_pods" || reply.structured["unmanagedCount"] == 0, "{}", reply.structured);
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_errors_say_so() {
    let api = Api::default();
    api.set_down(true);
    let world = World::with(api, Options::default()).await;
    let client = world.client().await;
    assert_eq!(client.tools().len(), TOOLS.len(), "nothing is known to be forbidden");
    for (tool, arguments) in [
        ("list_workspaces", json!({})),
        ("get_workspace", json!({"id": "w1"})),
        ("stop_workspace", json!({"id": "w1"})),
        ("spawn_workspace", json!({"id": "w1", "templateRef": "default-agent-workspace"})),
    ] {
        let reply = client.call(tool, arguments).await;
        assert_eq!(
            (reply.error_id().as_str(), &reply.structured["error"]["code"]),
            ("NCR0506", &json!(503)),
            "{tool}"
        );
    }
    let reply = client.call("list_templates", json!({})).await;
    assert!(
        reply.text.contains("default-agent-workspace"),
        "built-in templates need no cluster: {}",
        reply.text
    );
}

#[tokio::test(start_paused = true)]
async fn t61_a_cursor_of_somebody_else_s_list_shows_nothing_of_it() {
    let api = Api::default();
    for n in 0..6 {
        api.put("pods", pod(&format!("a-{n}"), "alice"));
        api.put("pods", pod(&format!("b-{n}"), "bob"));
    }
    let world = World::with(api, Options::default()).await.synced().await;
    let of = |name: &str| world.client_of(Caller::verified(name.into(), Role::User));
    let (alice, bob) = (of("alice").await, of("bob").await);
    let page = alice.call("list_workspaces", json!({"limit": 2})).await;
    let cursor = page.structured["nextCursor"].clone();
    assert!(cursor.is_string(), "{page:?}");
    let read = bob.call("list_workspaces", json!({"cursor": cursor})).await;
    assert_eq!(read.structured["workspaces"].as_array().unwrap().len(), 6, "{read:?}");
    assert!(!read.text.contains("a-") && !read.structured["workspaces"].to_string().contains("alice"));
}
