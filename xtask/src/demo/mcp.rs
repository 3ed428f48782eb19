//! A small MCP client over Streamable HTTP: JSON-RPC by POST, answered with JSON or an event stream.

use reqwest::{
    Response,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Value, json};

use crate::Result;

const PROTOCOL: &str = "2025-11-25";
const SESSION: &str = "mcp-session-id";

/// A client in an initialised session.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    session: Option<String>,
    server: String,
    last_id: u64,
}

impl Client {
    /// Opens a session.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut client = Self { http, url: url.to_owned(), session: None, server: String::new(), last_id: 0 };
        let hello = client
            .request(
                "initialize",
                json!({
                    "protocolVersion": PROTOCOL,
                    "capabilities": {},
                    "clientInfo": { "name": "no-crd-demo", "version": env!("CARGO_PKG_VERSION") },
                }),
            )
            .await?;
        client.server =
            format!("{} {}", text(&hello["serverInfo"]["name"]), text(&hello["serverInfo"]["version"]));
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let response = client.post(&ready).await?;
        if !response.status().is_success() {
            return Err(format!("notifications/initialized was answered {}", response.status()).into());
        }
        Ok(client)
    }

    /// Name and version the server gave.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Calls a tool and gives its structured result; a tool's error is an error here.
    pub(crate) async fn call_tool(&mut self, name: &str, arguments: Value) -> Result<Value> {
        let progress = json!({ "progressToken": format!("{name}-{}", self.last_id) });
        let result = self
            .request("tools/call", json!({ "name": name, "arguments": arguments, "_meta": progress }))
            .await?;
        let structured = result["structuredContent"].clone();
        if result["isError"] == true {
            let said = text(&result["content"][0]["text"]);
            return Err(format!("{name} failed: {said} {}", structured["error"]).into());
        }
        if structured.is_object() {
            Ok(structured)
        } else {
            Err(format!("{name} gave no structured content: {result}").into())
        }
    }

    /// Sends a request, and gives its result.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let mut response =
            self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await?;
        if let Some(session) = response.headers().get(SESSION) {
            self.session = Some(session.to_str()?.to_owned());
        }
        let status = response.status();
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !content_type.starts_with("text/event-stream") {
            let body = response.text().await?;
            let message = serde_json::from_str(&body).map_err(|_| format!("{method}: {status}: {body}"))?;
            return answer(message, id).unwrap_or_else(|| Err(format!("{method}: {status}: {body}").into()));
        }
        let mut events = Events::default();
        while let Some(chunk) = response.chunk().await? {
            for message in events.read(&chunk) {
                if let Some(result) = answer(serde_json::from_str(&message)?, id) {
                    return result;
                }
            }
        }
        Err(format!("{method}: the event stream ended without an answer").into())
    }

    async fn post(&self, message: &Value) -> Result<Response> {
        let mut request =
            self.http.post(&self.url).header(ACCEPT, "application/json, text/event-stream").json(message);
        if let Some(session) = &self.session {
            request = request.header(SESSION, session).header("mcp-protocol-version", PROTOCOL);
        }
        Ok(request.send().await?)
    }
}

/// The result of the request with this id, if the message is its answer. Progress is printed.
fn answer(message: Value, id: u64) -> Option<Result<Value>> {
    if message["method"] == "notifications/progress" {
        println!("  ... {}", text(&message["params"]["message"]));
    }
    if message["id"] != id {
        return None;
    }
    match message.get("result") {
        Some(result) => Some(Ok(result.clone())),
        None => Some(Err(format!("the server refused: {}", message["error"]).into())),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Reads server-sent events (WHATWG HTML, 9.2) out of chunks that break anywhere.
#[derive(Default)]
struct Events {
    rest: Vec<u8>,
    data: Vec<String>,
}

impl Events {
    /// The data of the events that are complete with this chunk.
    fn read(&mut self, chunk: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(chunk);
        let mut complete = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if let Some(data) = line.strip_prefix("data:") {
                self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
            } else if line.is_empty() {
                let data = std::mem::take(&mut self.data).join("\n");
                if !data.is_empty() {
                    complete.push(data);
                }
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_chunks_break() {
        let stream = "id: 1\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n: comment\ndata:\n\nevent: message\ndata: ü\n\ndata: cut";
        for size in 1..stream.len() {
            let mut events = Events::default();
            let read: Vec<_> = stream.as_bytes().chunks(size).flat_map(|chunk| events.read(chunk)).collect();
            assert_eq!(read, ["{\"a\":\n1}", "ü"], "chunks of {size}");
        }
    }

    #[test]
    fn answers_are_told_by_their_id() {
        assert!(answer(json!({ "method": "notifications/progress", "params": {} }), 1).is_none());
        assert!(answer(json!({ "id": 2, "result": {} }), 1).is_none());
        assert_eq!(answer(json!({ "id": 1, "result": { "x": 1 } }), 1).unwrap().unwrap(), json!({ "x": 1 }));
        let error = answer(json!({ "id": 1, "error": { "message": "no" } }), 1).unwrap().unwrap_err();
        assert!(error.to_string().contains("no"), "{error}");
    }
}
