//! The program with authentication on.

use std::path::{Path, PathBuf};

use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::Program;

/// Environment variables.
#[derive(Clone, Default)]
pub(crate) struct Env(Vec<(String, String)>);

impl Env {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With those of `more`, which win.
    fn and(mut self, more: &Self) -> Self {
        self.0.extend(more.0.iter().cloned());
        self
    }

    pub(crate) fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (&name[..], &value[..])).collect()
    }
}

/// A server on an embedded cluster of its own, with authentication on and no sessions of MCP.
pub(crate) struct Server {
    program: Program,
    base: String,
    directory: TempDir,
}

impl Server {
    /// Starts it with what else it must know, and waits until it is ready.
    pub(crate) fn start(env: &Env) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = defaults(env);
        let kubeconfig = directory.path().join("kubeconfig");
        let program = Program::dev(&kubeconfig, &["--api-port=0"], &env.pairs());
        let base = program.base();
        program.says("ready");
        Self { program, base, directory }
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Stops it; it must end well.
    pub(crate) fn stop(self) {
        self.program.stop();
    }
}

/// Another server for a cluster that is there.
pub(crate) struct Replica {
    program: Program,
    base: String,
}

impl Replica {
    pub(crate) fn start(kubeconfig: &Path, env: &Env) -> Self {
        let env = defaults(env)
            .with("KUBECONFIG", kubeconfig.to_str().unwrap())
            // Pods of the embedded cluster have addresses of this machine.
            .with("POD_CIDRS", "127.0.0.0/8");
        let program = Program::start(&["--port=0"], &env.pairs());
        let base = program.base();
        program.says("ready");
        Self { program, base }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn stop(self) {
        self.program.stop();
    }
}

/// What tests want of every server, with this.
pub(crate) fn defaults(env: &Env) -> Env {
    Env::new()
        .with("AUTH_ENABLED", "true")
        .with("STATELESS", "true")
        // Tests ask more often than people do.
        .with("RATE_LIMIT_MAX", "1000000")
        .and(env)
}

/// Asks the server with a token, or without.
pub(crate) struct Agent {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Agent {
    pub(crate) fn new(base: &str, token: Option<&str>) -> Self {
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { http, base: base.to_owned(), token: token.map(str::to_owned) }
    }

    /// Calls a tool. The HTTP answer.
    pub(crate) async fn post(&self, tool: &str, arguments: Value) -> reqwest::Response {
        let mut request = self.http.post(format!("{}/mcp", self.base));
        request = request.header(ACCEPT, "application/json, text/event-stream");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.json(&call(tool, arguments)).send().await.unwrap()
    }

    /// The status of a request for MCP.
    pub(crate) async fn status(&self) -> u16 {
        self.post("list_workspaces", json!({})).await.status().as_u16()
    }

    /// The structured result of a tool, which may be an error.
    pub(crate) async fn tool(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.post(tool, arguments).await;
        assert_eq!(answer.status(), 200, "{tool}: {}", answer.text().await.unwrap());
        let answer: Value = answer.json().await.unwrap();
        answer["result"]["structuredContent"].clone()
    }

    /// Whom the server takes the caller for.
    pub(crate) async fn who(&self) -> Value {
        let mut request = self.http.get(format!("{}/auth/session", self.base));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }
}

/// The message that calls a tool.
pub(crate) fn call(tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
}
