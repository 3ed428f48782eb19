//! WebSockets end with what let their users in.

use futures::StreamExt;
use nocrd_testkit::{User, idp};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use super::{World, send, set_cookie, sign_in::Browser};
use crate::{
    drain::echo,
    support::{PATIENCE, Running},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const SECRET: (&str, &str) = ("PROXY_SESSION_SECRET", "a secret of the tests, long enough");

/// A world with a workspace of alice, which echoes over WebSockets.
async fn with_echo(env: &[(&str, &str)]) -> World {
    let world = World::start(env).await;
    world.cluster.add_pod_of("w1", echo().await, "alice", &[]);
    world.cluster.make_ready("w1");
    reached(&world, &world.server).await;
    world
}

async fn reached(world: &World, server: &Running) {
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    // The pod answers a plain request with an error of its own.
    let answers = |status, body: &str| status != 503 && !body.contains("NCR0301");
    server.until_as(&token, "/route/w1/", answers).await;
}

/// Opens a WebSocket from a page of ours.
async fn open(server: &Running, header: (&'static str, &str)) -> Socket {
    let url = format!("{}/route/w1/", server.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("origin", server.base.parse().unwrap());
    request.headers_mut().insert(header.0, header.1.parse().unwrap());
    connect_async(request).await.unwrap().0
}

/// The code it is closed with.
async fn closed(mut socket: Socket) -> CloseCode {
    let closing = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code,
                Some(Ok(_)) => {}
                other => unreachable!("closed without a word: {other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, closing).await.unwrap()
}

#[tokio::test]
async fn t16_signing_out_closes_websockets_on_all_replicas_and_nobody_else_s() {
    let world = with_echo(&[]).await;
    let issuer = world.idp.issuer().to_owned();
    let fixed = [("AUTH_ENABLED", "true"), ("AUTH_ISSUER", &issuer), ("OAUTH_CLIENT_ID", idp::CLIENT_ID)];
    let other =
        Running::start(&world.cluster, &[&fixed[..], &[("HOST", "127.0.0.1"), SECRET]].concat()).await;
    reached(&world, &other).await;
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    let (gone, stays) = (world.session(&token).await, world.session(&token).await);
    let here = open(&world.server, ("cookie", &gone)).await;
    let there = open(&other, ("cookie", &gone)).await;
    let mut stays = open(&world.server, ("cookie", &stays)).await;

    let request = world.ask(Method::POST, "/logout", None).header("cookie", &gone);
    assert_eq!(send(request.header("sec-fetch-site", "same-origin")).await.0, 200);
    assert_eq!((closed(here).await, closed(there).await), (CloseCode::Policy, CloseCode::Policy));
    futures::SinkExt::send(&mut stays, Message::text("still there")).await.unwrap();
    assert_eq!(stays.next().await.unwrap().unwrap(), Message::text("still there"));
    drop(stays);
    other.stop().await;
    world.server.stop().await;
}

#[tokio::test]
async fn t19_websockets_end_when_the_token_has_ended_and_a_session_of_it_would_have() {
    let world = with_echo(&[("PROXY_SESSION_TTL", "1")]).await;
    let claims = json!({
        "sub": "alice", "roles": ["user"], "scope": "nogoo9:read nogoo9:write", "exp": idp::now() + 3,
    });
    let token = world.idp.token(claims);
    let cookie = world.session(&token).await;
    let by_session = open(&world.server, ("cookie", &cookie)).await;
    let by_token = open(&world.server, ("authorization", &format!("Bearer {token}"))).await;
    assert_eq!((closed(by_session).await, closed(by_token).await), (CloseCode::Policy, CloseCode::Policy));
    world.server.stop().await;
}

#[tokio::test]
async fn d47_a_websocket_opens_with_the_refresh_token_alone() {
    let world = with_echo(&[]).await;
    world.idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
    let mut browser = Browser::default();
    browser.sign_in(&world, "/").await;
    browser.forget("nocr_sess");
    let url = format!("{}/route/w1/", world.server.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("origin", world.server.base.parse().unwrap());
    request.headers_mut().insert("cookie", browser.cookies().parse().unwrap());
    let (_socket, answer) = connect_async(request).await.unwrap();
    assert!(set_cookie(answer.headers(), "nocr_sess").is_some());
    assert_eq!((world.idp.counts().refresh_grants, world.idp.counts().reuses), (1, 0));
    world.server.stop().await;
}
