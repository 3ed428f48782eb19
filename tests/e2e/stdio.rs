//! MCP over standard input and output.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{dev::Dev, program::Program};

fn messages() -> [Value; 3] {
    let hello = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "e2e", "version": "1" },
    });
    [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "list_workspaces", "arguments": {} } }),
    ]
}

/// Every line is a message of the protocol; gives the ids that were answered.
fn answered(stdout: &str) -> Vec<u64> {
    let message = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not the protocol: {line}"))
    };
    let messages: Vec<Value> = stdout.lines().map(message).collect();
    assert!(messages.iter().all(|message| message["jsonrpc"] == "2.0"), "{stdout}");
    let mut ids: Vec<u64> = messages.iter().filter_map(|message| message["id"].as_u64()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn t65_nothing_but_protocol_is_written_and_no_port_is_opened() {
    let dev = Dev::start();
    let kubeconfig = dev.kubeconfig();
    let env = [
        ("KUBECONFIG", kubeconfig.to_str().unwrap()),
        ("LOG_LEVEL", "debug"),
        ("THEMES_CONFIGMAP", "themes"),
    ];
    let mut server = Program::start(&["--transport=stdio"], &env);
    server.says("ready");
    assert_eq!(server.listens_on(), []);
    for message in messages() {
        server.write_line(&message.to_string());
    }
    server.answers("\"id\":2");
    server.close_input();
    let ended = server.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(answered(&ended.stdout), [1, 2]);
    // What an operator should know stands in the log.
    assert!(ended.stderr.contains("THEMES_CONFIGMAP is set, but"), "{}", ended.stderr);
    dev.stop();
}

#[test]
fn t65_with_an_embedded_cluster_too() {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    let mut server =
        Program::start(&["dev", "--transport=stdio", "--kubeconfig", kubeconfig.to_str().unwrap()], &[]);
    server.says("ready");
    // The cluster's own API.
    assert_eq!(server.listens_on().len(), 1);
    for message in messages() {
        server.write_line(&message.to_string());
    }
    server.answers("\"id\":2");
    // A session ends with a signal as well.
    let ended = server.stop();
    assert_eq!(answered(&ended.stdout), [1, 2]);
}

#[test]
fn both_transports_in_one_process() {
    let dev = Dev::start();
    let kubeconfig = dev.kubeconfig();
    let env = [("KUBECONFIG", kubeconfig.to_str().unwrap())];
    // Without a client on standard input, as in a container, it serves HTTP on.
    let mut server = Program::start(&["--transport=both", "--port=0"], &env);
    server.close_input();
    server.base();
    server.says("serving HTTP only");
    assert_eq!(server.listens_on().len(), 1);
    server.signal(Signal::TERM);
    let ended = server.end();
    assert!(ended.status.success() && ended.stdout.is_empty(), "{}{}", ended.stdout, ended.stderr);

    // With one it ends with its client.
    let mut server = Program::start(&["--transport=both", "--port=0"], &env);
    server.base();
    for message in messages() {
        server.write_line(&message.to_string());
    }
    server.answers("\"id\":2");
    server.close_input();
    let ended = server.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(answered(&ended.stdout), [1, 2]);
    dev.stop();
}
