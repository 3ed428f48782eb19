//! Streams of events end with what let their users in, like WebSockets.

use futures::StreamExt;
use nocrd_testkit::idp;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;

use super::{World, send};
use crate::support::{PATIENCE, initialize};

/// Begins an MCP session and listens to it.
async fn listen(world: &World, headers: &[(&str, &str)]) -> Response {
    let with = |request: RequestBuilder| {
        let request = request.header("accept", "application/json, text/event-stream");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let begun = with(world.ask(Method::POST, "/mcp", None).json(&initialize())).send().await.unwrap();
    assert_eq!(begun.status(), 200);
    let id = begun.headers()["mcp-session-id"].clone();
    let stream =
        with(world.ask(Method::GET, "/mcp", None)).header("mcp-session-id", id).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    stream
}

/// What a page of ours with this cookie sends.
fn page(cookie: &str) -> [(&str, &str); 2] {
    [("cookie", cookie), ("sec-fetch-site", "same-origin")]
}

/// Reads the stream to its end, which is one of its own and no broken connection.
async fn ends(stream: Response) {
    let reading = stream.bytes_stream().for_each(async |chunk| drop(chunk.unwrap()));
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
}

#[tokio::test]
async fn t16_signing_out_ends_streams_and_nobody_else_s() {
    let world = World::start(&[]).await;
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    let (gone, stays) = (world.session(&token).await, world.session(&token).await);
    let ending = listen(&world, &page(&gone)).await;
    let mut staying = tokio::spawn(ends(listen(&world, &page(&stays)).await));

    let request = world.ask(Method::POST, "/logout", None).header("cookie", &gone);
    assert_eq!(send(request.header("sec-fetch-site", "same-origin")).await.0, 200);
    ends(ending).await;
    let second = std::time::Duration::from_secs(1);
    assert!(tokio::time::timeout(second, &mut staying).await.is_err(), "it was somebody else's sign-in");
    let request = world.ask(Method::POST, "/logout", None).header("cookie", &stays);
    assert_eq!(send(request.header("sec-fetch-site", "same-origin")).await.0, 200);
    staying.await.unwrap();
    world.server.stop().await;
}

#[tokio::test]
async fn t19_a_stream_ends_when_the_token_has_ended_and_a_session_of_it_would_have() {
    let world = World::start(&[("PROXY_SESSION_TTL", "1")]).await;
    let claims = json!({
        "sub": "alice", "roles": ["user"], "scope": "nogoo9:read nogoo9:write", "exp": idp::now() + 3,
    });
    let token = world.idp.token(claims);
    let by_token = listen(&world, &[("authorization", &format!("Bearer {token}"))]).await;
    let cookie = world.session(&token).await;
    let by_session = listen(&world, &page(&cookie)).await;
    tokio::join!(ends(by_session), ends(by_token));
    world.server.stop().await;
}
