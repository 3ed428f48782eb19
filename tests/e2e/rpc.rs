//! Tool calls without a session, for a server with `STATELESS=true`: many of them at a time need no order.

use reqwest::header::ACCEPT;
use serde_json::{Value, json};

/// A caller of tools.
#[derive(Clone)]
pub(crate) struct Rpc {
    http: reqwest::Client,
    url: String,
}

impl Rpc {
    pub(crate) fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, url: format!("{base}/mcp") }
    }

    /// The result of a tool; `None` when the server goes away meanwhile.
    pub(crate) async fn attempt(&self, tool: &str, arguments: Value) -> Option<Value> {
        let params = json!({ "name": tool, "arguments": arguments });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = self.http.post(&self.url).header(ACCEPT, "application/json, text/event-stream");
        let answer: Value = request.json(&message).send().await.ok()?.json().await.ok()?;
        assert!(answer["result"].is_object(), "{tool}: {answer}");
        Some(answer["result"].clone())
    }

    /// The structured result of a tool that must succeed.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let result = self.attempt(tool, arguments).await.unwrap();
        assert_ne!(result["isError"], true, "{tool} failed: {result}");
        result["structuredContent"].clone()
    }

    /// The names of the tools that are offered.
    pub(crate) async fn tools(&self) -> Vec<String> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let request = self.http.post(&self.url).header(ACCEPT, "application/json, text/event-stream");
        let answer: Value = request.json(&message).send().await.unwrap().json().await.unwrap();
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The ids of all workspaces.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let arguments = cursor.map_or_else(|| json!({}), |cursor: Value| json!({ "cursor": cursor }));
            let page = self.call("list_workspaces", arguments).await;
            ids.extend(
                page["workspaces"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|entry| entry["id"].as_str().unwrap().to_owned()),
            );
            match page.get("nextCursor") {
                Some(next) if !next.is_null() => cursor = Some(next.clone()),
                _ => return ids,
            }
        }
    }
}

/// Arguments of `spawn_workspace` for a pod that costs nothing: its image is none, so no process is ever started.
pub(crate) fn idle(id: &str) -> Value {
    json!({ "id": id, "spec": { "containers": [{ "name": "agent", "image": "no-such-image" }] } })
}
