use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    Running, patiently,
    socket::{close_code, connect, next},
};

#[tokio::test]
async fn websockets_are_told_that_the_workspace_goes_away() {
    let mut workspace = Running::start().await;
    let mut client = connect(&workspace).await;
    client.send(Message::text("a")).await.unwrap();
    next(&mut client).await;
    workspace.ask_to_stop();
    assert_eq!(close_code(&mut client).await, CloseCode::Away);
    assert!(patiently(client.next()).await.is_none());
    patiently(&mut workspace.server).await.unwrap();
    assert!(TcpStream::connect(workspace.addr).await.is_err());
}

#[tokio::test]
async fn a_request_under_way_is_answered() {
    let mut workspace = Running::start().await;
    let mut stream = TcpStream::connect(workspace.addr).await.unwrap();
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await
        .unwrap();
    // The server asks for the body: it has begun with the request.
    let mut interim = [0; 25];
    patiently(stream.read_exact(&mut interim)).await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 "));
    workspace.ask_to_stop();
    stream.write_all(b"ok").await.unwrap();
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""text":"ok""#), "{answer}");
    patiently(&mut workspace.server).await.unwrap();
}

#[tokio::test]
async fn idle_connections_do_not_keep_it() {
    let mut workspace = Running::start().await;
    let mut stream = TcpStream::connect(workspace.addr).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    workspace.ask_to_stop();
    patiently(&mut workspace.server).await.unwrap();
}

#[tokio::test]
async fn dropping_the_server_ends_its_connections() {
    let workspace = Running::start().await;
    let mut client = connect(&workspace).await;
    drop(workspace);
    // Reset or closed, but not left open.
    while let Some(Ok(_)) = patiently(client.next()).await {}
}
