//! The main job: a workspace is spawned through MCP, reached through the proxy, and stopped; nothing is left.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use crate::{
    dev::{Dev, PATIENCE},
    mcp::Client,
    processes,
    program::Program,
    rpc::Rpc,
};

const TEMPLATE: &str = "default-agent-workspace";

#[tokio::test]
async fn a_workspace_is_spawned_reached_and_stopped() {
    let dev = Dev::start();
    let mut client = Client::connect(&dev).await;
    let spawned =
        client.call("spawn_workspace", json!({ "id": "w1", "templateRef": TEMPLATE, "wait": true })).await;
    let url = spawned["url"].as_str().unwrap();
    assert_eq!(url, format!("{}/route/w1/", dev.base()));

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = http.get(url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("<!doctype html>"));
    let echo = http.post(format!("{url}echo/a%20b?c=d")).body("x".repeat(100_000)).send().await.unwrap();
    let echo: serde_json::Value = echo.json().await.unwrap();
    assert!(echo.to_string().contains("/echo/a%20b"), "{echo}");

    let (mut socket, _) = connect_async(format!("{}echo", url.replacen("http", "ws", 1))).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    socket.close(None).await.unwrap();

    client.call("stop_workspace", json!({ "id": "w1" })).await;
    let deadline = Instant::now() + PATIENCE;
    while http.get(url).send().await.unwrap().status() != 404 {
        assert!(Instant::now() < deadline, "the workspace is still there");
        sleep(Duration::from_millis(20)).await;
    }
    dev.stop();
}

#[tokio::test]
async fn d60_websockets_are_closed_with_1001_when_the_server_stops() {
    let dev = Dev::start();
    let mut client = Client::connect(&dev).await;
    client.call("spawn_workspace", json!({ "id": "w1", "templateRef": TEMPLATE, "wait": true })).await;
    let url = format!("{}/route/w1/echo", dev.base().replacen("http", "ws", 1));
    let (mut socket, _) = connect_async(url).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));

    let stopping = tokio::task::spawn_blocking(move || dev.stop());
    let mut closed = None;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            closed = frame.map(|frame| frame.code);
        }
    }
    assert_eq!(closed, Some(CloseCode::Away));
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let dev = Program::dev(&dir.path().join("kubeconfig"), &[], &[("STATELESS", "true")]);
    let rpc = Rpc::new(&dev.base());
    // It runs, and is never ready.
    let never = json!({ "exec": { "command": ["false"] } });
    let container =
        json!({ "name": "agent", "image": "busybox", "command": ["sleep", "1000"], "readinessProbe": never });
    let arguments = json!({ "id": "w1", "spec": { "containers": [container] }, "wait": true });
    let waiting = tokio::spawn(async move { rpc.attempt("spawn_workspace", arguments).await });
    dev.says("workspace spawned");

    dev.signal(Signal::TERM);
    dev.says("finishing open requests");
    let family = processes::descendants(dev.id());
    dev.signal(Signal::TERM);
    let ended = dev.end();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.stderr);
    let left = processes::still_alive(&family);
    assert!(left.is_empty(), "processes were left behind: {}", left.join(", "));
    assert_eq!(waiting.await.unwrap(), None);
}
