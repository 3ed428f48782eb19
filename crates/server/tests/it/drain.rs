use futures::{SinkExt, StreamExt};
use nocrd_server::Error;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_tungstenite::{
    accept_async, connect_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use crate::support::{Cluster, PATIENCE, Running, status_and_json};

/// A pod that echoes over WebSockets.
pub(crate) async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn d60_websockets_are_told_1001_and_streams_end() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    cluster.add_pod("w1", echo().await);
    cluster.make_ready("w1");
    // The pod answers a plain request with an error of its own: it is reached.
    server.until("/route/w1/", |status, body| status != 503 && !body.contains("NCR0301")).await;
    let url = format!("{}/route/w1/", server.base.replacen("http", "ws", 1));
    let (mut socket, _) = connect_async(&url).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));

    let session = server.initialize().await.headers()["mcp-session-id"].clone();
    let stream = server.get("/mcp").header("accept", "text/event-stream").header("mcp-session-id", session);
    let stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), 200);

    let base = server.base.clone();
    server.shutdown.requested.cancel();
    let closed = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code,
                Some(Ok(_)) => {}
                other => unreachable!("closed without a word: {other:?}"),
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, closed).await.unwrap(), CloseCode::Away);
    tokio::time::timeout(PATIENCE, stream.bytes()).await.unwrap().unwrap();
    server.stop().await;
    assert!(reqwest::Client::builder().no_proxy().build().unwrap().get(base).send().await.is_err());
}

#[tokio::test]
async fn an_order_to_stop_at_once_is_followed() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    server.shutdown.forced.cancel();
    let ended = tokio::time::timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
}

#[tokio::test]
async fn calls_under_way_are_answered() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("STATELESS", "true")]).await;
    let arguments = json!({ "id": "w1", "templateRef": "default-agent-workspace", "wait": true });
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "spawn_workspace", "arguments": arguments },
    });
    let call = tokio::spawn(server.post_mcp(&call).send());
    server.until("/route/w1/", |status, _| status == 503).await;

    server.shutdown.requested.cancel();
    // No connection is accepted any more: the server is draining.
    while server.get("/livez").send().await.is_ok() {}
    cluster.make_ready("w1");
    let (status, body) = status_and_json(call.await.unwrap().unwrap()).await;
    assert_eq!(
        (status, body["result"]["structuredContent"]["status"].as_str()),
        (200, Some("running")),
        "{body}"
    );
    server.stop().await;
}
