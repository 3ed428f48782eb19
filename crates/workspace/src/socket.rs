//! A WebSocket (RFC 6455) that sends back what it gets.

use std::{fmt::Display, future::Future, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        handshake::server::create_response_with_body,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    activity::Activity,
    app::{App, failure},
};

/// Largest message, in bytes.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Buffer of each direction of each socket, in bytes.
const BUFFER: usize = 16 * 1024;
/// Silence after which the client is asked whether it is still there. Proxies and address translators forget
/// connections that are silent for longer than a minute.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a client may take to receive a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Tells whether a request asks for a WebSocket, well-formed or not.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers the handshake, and starts to serve the socket.
pub(crate) fn upgrade(app: &App, mut request: Request) -> Response {
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => return refuse_handshake(&error),
    };
    let Ok(permit) = app.sockets.clone().try_acquire_owned() else {
        return failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "as many WebSockets are open as the workspace allows",
        );
    };
    let (upgraded, activity, drain) =
        (hyper::upgrade::on(&mut request), app.activity.clone(), app.tasks.drain.clone());
    app.tasks.spawn(async move {
        let _permit = permit;
        match upgraded.await {
            Ok(upgraded) => {
                let io = TokioIo::new(upgraded);
                echo(
                    WebSocketStream::from_raw_socket(io, Role::Server, Some(limits())).await,
                    &activity,
                    &drain,
                )
                .await;
            }
            Err(error) => tracing::debug!(%error, "no WebSocket after all"),
        }
    });
    response
}

fn refuse_handshake(error: &dyn Display) -> Response {
    let mut response =
        failure(StatusCode::UPGRADE_REQUIRED, &format!("no valid WebSocket handshake: {error}"));
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
}

/// Sends every message back before it reads the next one, so that a client that does not receive is not read from.
async fn echo(mut socket: Socket, activity: &Activity, drain: &CancellationToken) {
    let mut asked = false;
    loop {
        let next = tokio::select! {
            biased;
            () = drain.cancelled() => return close(socket, CloseCode::Away, "the workspace is stopping").await,
            next = tokio::time::timeout(SILENCE, socket.next()) => next,
        };
        let sent = match next {
            Err(_) if asked => return,
            Err(_) => {
                asked = true;
                in_time(socket.send(Message::Ping(Vec::new().into()))).await
            }
            Ok(None) => return,
            Ok(Some(Err(error))) => return refuse(socket, &error).await,
            Ok(Some(Ok(message))) => {
                asked = false;
                if message.is_text() || message.is_binary() {
                    activity.note();
                    in_time(socket.send(message)).await
                } else {
                    // Pings and close frames are answered by reading on.
                    true
                }
            }
        };
        if !sent {
            return;
        }
    }
}

async fn in_time(sending: impl Future<Output = Result<(), tungstenite::Error>>) -> bool {
    matches!(tokio::time::timeout(SEND_TIMEOUT, sending).await, Ok(Ok(())))
}

/// Says why, and waits for the client to say it understood.
async fn close(mut socket: Socket, code: CloseCode, reason: &'static str) {
    let frame = CloseFrame { code, reason: reason.into() };
    let closing = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

/// Tells the client what it did wrong. The rest of what it sends is read and forgotten for a moment: a connection that
/// is closed with data unread is reset, and the close frame lost.
async fn refuse(mut socket: Socket, error: &tungstenite::Error) {
    let (code, reason) = match error {
        tungstenite::Error::Capacity(_) => (CloseCode::Size, "the message is larger than 4 MiB"),
        tungstenite::Error::Utf8(_) => (CloseCode::Invalid, "the text is not UTF-8"),
        tungstenite::Error::Protocol(_) => (CloseCode::Protocol, "this is not RFC 6455"),
        _ => return,
    };
    let frame = CloseFrame { code, reason: reason.into() };
    let closing = async {
        if socket.close(Some(frame)).await.is_ok() {
            let mut rest = socket.get_mut().take(2 * MAX_MESSAGE as u64);
            let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        }
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}
