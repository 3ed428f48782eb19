//! Secrets that a template needs: from the client's call over the page where a person gives them to the workspace.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{browser::Browser, sign_in::Site};
use crate::{dev::PATIENCE, kubectl::Kubectl};

const SECRET: &str = "hunter2 &<b>ü";

/// Calls `spawn_workspace` by a script of the page, as a client that leads its user to addresses. `state` is what the answer
/// to the first call brought.
fn spawn(browser: &mut Browser, state: Option<&str>) -> Value {
    let mut params = json!({
        "name": "spawn_workspace", "arguments": { "id": "w1", "templateRef": "needs" },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "url": {} } },
        },
    });
    if let Some(state) = state {
        params["requestState"] = json!(state);
        params["inputResponses"] = json!({ "context": { "action": "accept" } });
    }
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let headers = json!({
        "content-type": "application/json", "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "spawn_workspace",
    });
    let request = json!({ "method": "POST", "headers": headers, "body": message.to_string() });
    browser.evaluate(&format!("fetch('/mcp', {request}).then((answer) => answer.json())"))["result"].clone()
}

/// Waits until the page says something.
fn until(browser: &mut Browser, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !browser.text().contains(text) {
        assert!(Instant::now() < deadline, "never {text:?}: {}", browser.text());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_secret_goes_from_its_owner_to_the_workspace_and_past_the_client() {
    let site = Site::open(&[]);
    let kubectl = Kubectl::at(site.server.kubeconfig());
    kubectl.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "needs", "labels": { "nogoo9/pod-template": "true" },
            "annotations": { "nogoo9/required-context": "API_TOKEN,mail.password" },
        },
        "data": { "spec": "containers: [{name: agent, image: busybox}]" },
    }));
    let mut client = site.sign_in("alice");
    let deadline = Instant::now() + PATIENCE;
    let asked = loop {
        let answer = spawn(&mut client, None);
        if answer["resultType"] == "input_required" {
            break answer;
        }
        // The server hears of the template through a watch.
        assert_eq!(answer["structuredContent"]["error"]["code"], 404, "{answer}");
        assert!(Instant::now() < deadline);
    };
    let url = asked["inputRequests"]["context"]["params"]["url"].as_str().unwrap().to_owned();
    let state = asked["requestState"].as_str().unwrap();

    // For somebody else there is no such page.
    assert_eq!(site.sign_in("bob").go(&url), 404);

    let mut alice = Browser::open();
    assert_eq!(alice.go(&url), 200);
    assert!(alice.address().starts_with(site.provider.issuer()), "{}", alice.address());
    alice.fill("Name", "alice");
    alice.fill("Password", "alice");
    alice.press("Sign in", &url);
    let text = alice.text();
    for part in ["Values for your call", "needs", "w1", "alice", "API_TOKEN", "mail.password"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    alice.fill("API_TOKEN", SECRET);
    alice.fill("mail.password", "k");
    assert!(!alice.text().contains("hunter2"));
    alice.press("Give these values", &url);
    until(&mut alice, "The values were taken");
    // Once.
    assert_eq!(alice.go(&url), 404);

    let done = spawn(&mut client, Some(state));
    assert_eq!(done["structuredContent"]["id"], "w1", "{done}");
    assert!(!done.to_string().contains("hunter2"));
    let secret = format!("secret/{}", {
        let pod = kubectl.get(&format!("pod/{}", done["structuredContent"]["podName"].as_str().unwrap()));
        pod["metadata"]["annotations"]["nogoo9/context-secret"].as_str().unwrap().to_owned()
    });
    let decoded =
        kubectl.run(&["get", &secret, "--output=go-template={{index .data \"API_TOKEN\" | base64decode}}"]);
    assert_eq!(decoded, SECRET);
    site.server.stop();
}
