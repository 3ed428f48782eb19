//! A client of MCP in a few lines, for tests about something else.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderValue};
use serde_json::{Value, json};

use crate::dev::{Dev, PATIENCE};

const PROTOCOL: &str = "2025-11-25";
const SESSION: &str = "mcp-session-id";

/// A client in a session.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    session: Option<HeaderValue>,
}

impl Client {
    /// Opens a session.
    pub(crate) async fn connect(dev: &Dev) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut client = Self { http, url: format!("{}/mcp", dev.base()), session: None };
        let hello = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": { "name": "no-crd-e2e", "version": env!("CARGO_PKG_VERSION") },
        });
        client.request("initialize", hello).await;
        client
    }

    /// The structured result of a tool that must succeed.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.attempt(tool, arguments).await;
        assert_ne!(result["isError"], true, "{tool} failed: {result}");
        result["structuredContent"].clone()
    }

    /// The structured result of a tool that succeeds before long: the server hears of things through watches.
    pub(crate) async fn until(&mut self, tool: &str, arguments: Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let result = self.attempt(tool, arguments.clone()).await;
            if result["isError"] != true {
                return result["structuredContent"].clone();
            }
            assert!(Instant::now() < deadline, "{tool} keeps failing: {result}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the server has heard, through a watch, that a workspace is gone.
    pub(crate) async fn until_gone(&mut self, id: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let result = self.attempt("get_workspace", json!({ "id": id })).await;
            if result["structuredContent"]["error"]["code"] == 404 {
                return;
            }
            assert!(Instant::now() < deadline, "{id} is still there: {result}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The error of a tool that must fail.
    pub(crate) async fn refusal(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.attempt(tool, arguments).await;
        assert_eq!(result["isError"], true, "{tool} succeeded: {result}");
        result["structuredContent"]["error"].clone()
    }

    async fn attempt(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    async fn request(&mut self, method: &str, params: Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request =
            self.http.post(&self.url).header(ACCEPT, "application/json, text/event-stream").json(&message);
        if let Some(session) = &self.session {
            request = request.header(SESSION, session).header("mcp-protocol-version", PROTOCOL);
        }
        let response = request.send().await.unwrap();
        if let Some(session) = response.headers().get(SESSION) {
            self.session = Some(session.clone());
        }
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert!(answer["result"].is_object(), "{method} was answered {status}: {answer}");
        answer["result"].clone()
    }
}
