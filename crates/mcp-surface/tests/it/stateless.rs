//! The protocol without sessions: version 2026-07-28, and older ones on a server that keeps none.

use futures::StreamExt;
use nocrd_mcp_surface::{HttpOptions, catalogue::TOOLS};
use reqwest::StatusCode;
use rmcp::{
    model::ProtocolVersion,
    service::{ClientLifecycleMode, serve_client_with_lifecycle},
    transport::StreamableHttpClientTransport,
};
use serde_json::{Value, json};

use crate::{
    http::{Server, call, initialize, json_of, kind},
    world::Client,
};

/// A request with everything the version asks for.
fn post(server: &Server, mut message: Value) -> reqwest::RequestBuilder {
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    message["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "t", "version": "1"});
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let method = message["method"].as_str().unwrap().to_owned();
    let mut request =
        server.post(&message).header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
    if let Some(name) = message["params"]["name"].as_str().or_else(|| message["params"]["uri"].as_str()) {
        request = request.header("mcp-name", name);
    }
    request
}

fn request(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": {}})
}

#[tokio::test]
async fn every_request_stands_alone() {
    // Whether or not the server keeps sessions for others.
    for stateless in [false, true] {
        let server = Server::new(HttpOptions { stateless, ..HttpOptions::default() }).await;
        let reply = json_of(post(&server, request("server/discover")).send().await.unwrap()).await;
        let versions = reply["result"]["supportedVersions"].as_array().unwrap();
        assert!(
            versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-06-18")),
            "{reply}"
        );
        assert!(reply["result"]["instructions"].is_string(), "{reply}");

        let response = post(&server, request("tools/list")).send().await.unwrap();
        assert!(!response.headers().contains_key("mcp-session-id"));
        let list = json_of(response).await["result"].clone();
        assert_eq!((&list["cacheScope"], &list["resultType"]), (&json!("private"), &json!("complete")));
        assert!(list["ttlMs"].is_u64(), "{list}");
        assert_eq!(list["tools"].as_array().unwrap().len(), TOOLS.len(), "{list}");

        let reply =
            json_of(post(&server, call(6, "current_namespace", json!({}))).send().await.unwrap()).await;
        assert_eq!(reply["result"]["structuredContent"]["namespace"], "nogoo9");
        // A session of another era that the client may remember means nothing.
        let stale = post(&server, call(6, "current_namespace", json!({}))).header("mcp-session-id", "stale");
        assert_eq!(stale.send().await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn t60_headers_must_match_the_message() {
    let server = Server::new(HttpOptions::default()).await;
    let message = call(6, "current_namespace", json!({}));
    for (header, value) in
        [("mcp-method", "tools/list"), ("mcp-name", "stop_workspace"), ("mcp-protocol-version", "2025-11-25")]
    {
        let mut request = post(&server, message.clone()).build().unwrap();
        request.headers_mut().insert(header, value.parse().unwrap());
        let response = server.http.execute(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{header}");
        assert_eq!(json_of(response).await["error"]["code"], -32020, "{header}");
    }
    for header in ["mcp-method", "mcp-name"] {
        let mut request = post(&server, message.clone()).build().unwrap();
        request.headers_mut().remove(header);
        assert_eq!(server.http.execute(request).await.unwrap().status(), StatusCode::BAD_REQUEST, "{header}");
    }
}

#[tokio::test]
async fn subscriptions_tell_of_changed_tools() {
    let server = Server::new(HttpOptions { max_streams: 1, ..HttpOptions::default() }).await;
    let mut listen = request("subscriptions/listen");
    listen["params"]["notifications"] = json!({"toolsListChanged": true, "promptsListChanged": true});
    let response = post(&server, listen.clone()).send().await.unwrap();
    assert_eq!((response.status(), kind(&response).as_str()), (StatusCode::OK, "text/event-stream"));
    let mut stream = response.bytes_stream();
    let mut next = async || -> Value {
        loop {
            let chunk = stream.next().await.unwrap().unwrap();
            let text = std::str::from_utf8(&chunk).unwrap();
            if let Some(json) = text.lines().find_map(|line| line.strip_prefix("data:")) {
                return serde_json::from_str(json).unwrap();
            }
        }
    };
    let acknowledged = next().await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], json!({"toolsListChanged": true}));
    assert_eq!(post(&server, listen).send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE, "t45");

    server.world.api.set_denied("list events", true);
    server.world.cluster.refresh_permissions().await;
    assert_eq!(next().await["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_server_without_sessions_serves_older_versions_too() {
    let server = Server::new(HttpOptions { stateless: true, ..HttpOptions::default() }).await;
    let response = server.post(&initialize("2024-11-05")).send().await.unwrap();
    assert!(!response.headers().contains_key("mcp-session-id"));
    assert_eq!(json_of(response).await["result"]["protocolVersion"], "2024-11-05");
    let reply = json_of(server.post(&call(3, "current_namespace", json!({}))).send().await.unwrap()).await;
    assert_eq!(reply["result"]["structuredContent"]["mode"], "cluster");
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let request = server.http.request(method, &server.url).header("accept", "text/event-stream");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn the_official_client_speaks_it() {
    let server = Server::new(HttpOptions::default()).await;
    let (ears, heard) = Client::ears();
    let transport = StreamableHttpClientTransport::from_uri(server.url.clone());
    let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let client =
        Client::of(serve_client_with_lifecycle(ears, transport, lifecycle).await.unwrap(), heard).await;
    let spec = json!({"containers": [{"name": "agent", "image": "i"}]});
    assert!(!client.call("spawn_workspace", json!({"id": "w1", "spec": spec})).await.failed);
    assert_eq!(client.call("list_workspaces", json!({})).await.structured["total"], 1);
    assert_eq!(client.call("get_workspace", json!({"id": "w2"})).await.error_id(), "NCR0301");
}
