//! The older protocol versions, with sessions.

use std::time::Duration;

use futures::StreamExt;
use nocrd_mcp_surface::{HttpOptions, catalogue::TOOLS};
use reqwest::StatusCode;
use rmcp::{ServiceExt, transport::StreamableHttpClientTransport};
use serde_json::{Value, json};

use crate::{
    api::ready,
    http::{Server, call, initialize, json_of, kind},
    world::{Client, until},
};

#[tokio::test]
async fn the_dashboard_of_earlier_versions_is_served_in_plain_json() {
    let server = Server::new(HttpOptions::default()).await;
    let session = server.begin("2024-11-05").await;
    // It never sends notifications/initialized.
    let request = server.post(&call(7, "list_workspaces", json!({"jwtPayload": {"sub": "x"}})));
    let request = request.header("mcp-protocol-version", "2024-11-05").header("mcp-session-id", &session);
    let reply = json_of(request.send().await.unwrap()).await;
    assert_eq!((&reply["id"], &reply["result"]["structuredContent"]["workspaces"]), (&json!(7), &json!([])));
    assert!(reply["result"].get("resultType").is_none(), "{reply}");
}

#[tokio::test]
async fn all_dated_versions_are_spoken() {
    let server = Server::new(HttpOptions::default()).await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = server.begin(version).await;
        let list = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"});
        let request =
            server.post(&list).header("mcp-session-id", session).header("mcp-protocol-version", version);
        let reply = json_of(request.send().await.unwrap()).await;
        let tools = reply["result"]["tools"].as_array().unwrap();
        assert_eq!((tools.len(), &reply["id"]), (TOOLS.len(), &json!("a")));
    }
    // An unknown version is answered with one that is known.
    let reply = json_of(server.post(&initialize("2099-01-01")).send().await.unwrap()).await;
    assert_eq!(reply["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn d34_sessions_that_are_unknown_or_over_are_not_found() {
    let server = Server::new(HttpOptions::default()).await;
    let session = server.begin("2025-06-18").await;
    let status = async |id: &str| {
        let request = server.post(&call(2, "current_namespace", json!({}))).header("mcp-session-id", id);
        request.send().await.unwrap().status()
    };
    assert_eq!(status(&session).await, StatusCode::OK);
    assert_eq!(status("nonsense").await, StatusCode::NOT_FOUND);
    let response = server.post(&call(2, "current_namespace", json!({}))).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "no session at all");
    let ended = server.http.delete(&server.url).header("mcp-session-id", &session).send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::OK);
    assert_eq!(status(&session).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn d34_idle_sessions_end() {
    let server =
        Server::new(HttpOptions { session_idle: Duration::from_millis(50), ..HttpOptions::default() }).await;
    let session = server.begin("2025-06-18").await;
    loop {
        // A question would keep it alive; to end it is none.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let request =
            server.post(&call(2, "current_namespace", json!({}))).header("mcp-session-id", &session);
        if request.send().await.unwrap().status() == StatusCode::NOT_FOUND {
            break;
        }
    }
}

#[tokio::test]
async fn t45_sessions_and_streams_are_bounded() {
    let options = HttpOptions { max_sessions: 2, max_streams: 1, ..HttpOptions::default() };
    let server = Server::new(options).await;
    let (first, second) = (server.begin("2025-06-18").await, server.begin("2025-06-18").await);
    let refused = server.post(&initialize("2025-06-18")).send().await.unwrap();
    assert_eq!(
        (refused.status(), refused.headers().contains_key("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, true)
    );
    assert_eq!(json_of(refused).await["id"], 1);

    let listen = |session: &str| {
        let request = server.http.get(&server.url).header("accept", "text/event-stream");
        request.header("mcp-session-id", session).send()
    };
    let open = listen(&first).await.unwrap();
    assert_eq!((open.status(), kind(&open).as_str()), (StatusCode::OK, "text/event-stream"));
    assert_eq!(listen(&second).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(open);
    let mut again = listen(&second).await.unwrap();
    while again.status() != StatusCode::OK {
        again = listen(&second).await.unwrap();
    }

    server.http.delete(&server.url).header("mcp-session-id", first).send().await.unwrap();
    server.begin("2025-06-18").await;
}

#[tokio::test]
async fn t45_parallel_sessions_of_one_caller_end_with_exactly_the_limit() {
    let options = HttpOptions { max_sessions_per_caller: 3, ..HttpOptions::default() };
    let server = Server::new(options).await;
    let begin = |user: &'static str| {
        let request = server.post(&initialize("2025-06-18")).header("x-test-user", user);
        async { request.send().await.unwrap() }
    };
    let all = futures::future::join_all((0..20).map(|_| begin("alice"))).await;
    let count = |status| all.iter().filter(|response| response.status() == status).count();
    assert_eq!((count(StatusCode::OK), count(StatusCode::TOO_MANY_REQUESTS)), (3, 17));
    assert_eq!(begin("bob").await.status(), StatusCode::OK);
    // Those who are nobody in particular share no limit but the total.
    for _ in 0..5 {
        assert_eq!(server.post(&initialize("2025-06-18")).send().await.unwrap().status(), StatusCode::OK);
    }
    let first = all.iter().find(|response| response.status() == StatusCode::OK).unwrap();
    let end = server.http.delete(&server.url).header("x-test-user", "alice");
    end.header("mcp-session-id", &first.headers()["mcp-session-id"]).send().await.unwrap();
    assert_eq!(begin("alice").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn t61_d34_a_session_is_its_owners_alone() {
    let server = Server::new(HttpOptions::default()).await;
    let begun = server.post(&initialize("2025-06-18")).header("x-test-user", "alice").send().await.unwrap();
    let session = begun.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let status = async |user: Option<&str>| {
        let request =
            server.post(&call(2, "current_namespace", json!({}))).header("mcp-session-id", &session);
        let request = user.iter().fold(request, |request, user| request.header("x-test-user", *user));
        request.send().await.unwrap().status()
    };
    assert_eq!(status(Some("alice")).await, StatusCode::OK);
    assert_eq!(status(Some("bob")).await, StatusCode::NOT_FOUND);
    assert_eq!(status(None).await, StatusCode::NOT_FOUND);
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let request = server.http.request(method, &server.url).header("accept", "text/event-stream");
        let request = request.header("mcp-session-id", &session).header("x-test-user", "bob");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(status(Some("alice")).await, StatusCode::OK);
}

#[tokio::test]
async fn progress_travels_in_a_stream_before_the_answer() {
    let server = Server::new(HttpOptions::default()).await;
    let session = server.begin("2025-06-18").await;
    let spec = json!({"containers": [{"name": "agent", "image": "i"}]});
    let mut message = call(2, "spawn_workspace", json!({"id": "w1", "spec": spec, "wait": true}));
    message["params"]["_meta"] = json!({"progressToken": "t-1"});
    let response = server.post(&message).header("mcp-session-id", session).send().await.unwrap();
    assert_eq!(kind(&response), "text/event-stream");

    let (mut stream, mut text) = (response.bytes_stream(), String::new());
    while let Some(chunk) = stream.next().await {
        text += std::str::from_utf8(&chunk.unwrap()).unwrap();
        if text.contains("Pending") && !text.contains("Running") {
            let name = server.world.api.objects("pods")[0]["metadata"]["name"].as_str().unwrap().to_owned();
            server.world.api.set_status(&name, ready());
        }
    }
    let messages: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok()).collect();
    let (answer, steps) = messages.split_last().unwrap();
    assert_eq!(answer["result"]["structuredContent"]["status"], "running", "{text}");
    assert!(!steps.is_empty());
    for step in steps {
        assert_eq!(
            (&step["method"], &step["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!("t-1"))
        );
    }
}

#[tokio::test]
async fn the_official_client_does_the_whole_round() {
    let server = Server::new(HttpOptions::default()).await;
    let (ears, heard) = Client::ears();
    let transport = StreamableHttpClientTransport::from_uri(server.url.clone());
    let mut client = Client::of(ears.serve(transport).await.unwrap(), heard).await;
    let api = server.world.api.clone();
    tokio::spawn(async move {
        until("a pod", || !api.objects("pods").is_empty()).await;
        let name = api.objects("pods")[0]["metadata"]["name"].as_str().unwrap().to_owned();
        api.set_status(&name, ready());
    });
    let arguments = json!({"id": "w1", "templateRef": "default-agent-workspace", "wait": true});
    let reply = client.call("spawn_workspace", arguments).await;
    assert_eq!(reply.structured["status"], "running", "{}", reply.text);
    assert!(matches!(client.hears().await, crate::world::Heard::Progress(..)));
    assert_eq!(client.call("list_workspaces", json!({})).await.structured["total"], 1);
    assert_eq!(client.call("get_workspace", json!({"id": "w1"})).await.structured["ready"], true);
    assert!(!client.call("stop_workspace", json!({"id": "w1"})).await.failed);

    // What the server has to say of its own accord comes through the session's own stream.
    server.world.api.set_denied("list events", true);
    server.world.cluster.refresh_permissions().await;
    while client.hears().await != crate::world::Heard::ToolsChanged {}
}

#[tokio::test]
async fn versions_that_nobody_knows_lead_past_no_gate() {
    let server = Server::new(HttpOptions::default()).await;
    let status = async |version: &str| {
        let request =
            server.post(&call(2, "current_namespace", json!({}))).header("mcp-session-id", "nonsense");
        request.header("mcp-protocol-version", version).send().await.unwrap().status()
    };
    for version in ["2026-07-29", "9999-01-01", "zzzz", "2026-07-28x"] {
        assert_eq!(status(version).await, StatusCode::NOT_FOUND, "{version}");
    }
    // There the header means nothing.
    assert_ne!(status("2026-07-28").await, StatusCode::NOT_FOUND);
}
