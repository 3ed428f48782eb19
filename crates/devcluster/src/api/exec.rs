//! Running commands in containers, over a WebSocket with the channels of Kubernetes' remote command protocol (`v4` and
//! `v5.channel.k8s.io`): each message begins with the number of its channel.

use std::{pin::Pin, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, future, stream::SplitStream};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use super::{Api, path::ObjectPath, pods, query::Query, render};
use crate::{
    kind::Kind,
    object::text_at,
    runtime::{ExecRequest, ExecSession, Exit, TerminalSize},
    status::Status,
};

/// Newest first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const RESULT: u8 = 3;
const RESIZE: u8 = 4;
/// The caller closes the channel that the message names (`v5` only).
const CLOSE: u8 = 255;

const CHUNK_BYTES: usize = 32 << 10;
/// Messages that wait to be sent; beyond them the command has to wait.
const QUEUE: usize = 8;
/// How long the caller may take to receive the end.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) async fn start(
    api: &Api,
    path: &ObjectPath,
    query: &Query,
    mut request: Request<Body>,
) -> Result<Response, Status> {
    let pod = api.store.get(Kind::Pod, &path.namespace, &path.name)?;
    let phase = text_at(&pod, &["status", "phase"]);
    if matches!(phase, "Succeeded" | "Failed") {
        let message = format!("cannot exec into a container in a completed pod; current phase is {phase}");
        return Err(Status::bad_request(message));
    }
    if text_at(&pod, &["spec", "nodeName"]).is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", path.name)));
    }
    let exec = ExecRequest {
        container: pods::container(&pod, query.get("container"))?,
        command: query.all("command").map(str::to_owned).collect(),
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr") && !query.flag("tty"),
        tty: query.flag("tty"),
    };
    if exec.command.is_empty() {
        return Err(Status::bad_request("you must specify at least 1 command for the container"));
    }
    if !exec.stdin && !exec.stdout && !exec.stderr {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let (response, protocol) = handshake(request.headers())?;
    let first_output = if exec.stdout { STDOUT } else { STDERR };
    let session = api.runtime.exec(pod, exec).await?;
    let upgrade = hyper::upgrade::on(&mut request);
    let closing = api.closing.clone();
    api.conversations.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let socket =
                    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                converse(socket, session, first_output, protocol, closing).await;
            }
            Err(error) => tracing::debug!(%error, "a command's connection was not upgraded"),
        }
    });
    Ok(response)
}

/// Answers a WebSocket handshake (RFC 6455, section 4.2).
fn handshake(headers: &HeaderMap) -> Result<(Response, &'static str), Status> {
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let key = text(header::SEC_WEBSOCKET_KEY);
    if !text(header::UPGRADE).eq_ignore_ascii_case("websocket") || key.is_empty() {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let offered: Vec<&str> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let protocol = PROTOCOLS.into_iter().find(|protocol| offered.contains(protocol)).ok_or_else(|| {
        Status::bad_request(format!(
            "unable to negotiate protocol: client supports {offered:?}, server accepts {PROTOCOLS:?}"
        ))
    })?;
    let mut response = render::with_type(StatusCode::SWITCHING_PROTOCOLS, "text/plain", Body::empty());
    let answer = response.headers_mut();
    answer.remove(header::CONTENT_TYPE);
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok((response, protocol))
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Carries the command's streams until it ends, or the caller goes.
async fn converse(
    socket: Socket,
    session: ExecSession,
    first_output: u8,
    protocol: &'static str,
    closing: CancellationToken,
) {
    let ExecSession { stdin, stdout, stderr, resize, exit } = session;
    let (mut sink, mut stream) = socket.split();
    let (queue, mut queued) = mpsc::channel::<Message>(QUEUE);
    let mut sending = tokio::spawn(async move {
        while let Some(message) = queued.recv().await {
            if sink.send(message).await.is_err() {
                break;
            }
        }
        sink
    });
    let command = async {
        // Tells the caller that the command is there.
        let _ = queue.send(message(first_output, &[])).await;
        let (exit, (), ()) =
            future::join3(exit, forward(STDOUT, stdout, &queue), forward(STDERR, stderr, &queue)).await;
        let _ = queue.send(message(RESULT, result(&exit).to_string().as_bytes())).await;
    };
    let code = tokio::select! {
        () = command => CloseCode::Normal,
        () = listen(&mut stream, stdin, resize, protocol) => CloseCode::Normal,
        () = closing.cancelled() => CloseCode::Away,
    };
    // With that the command is gone, if it wasn't before. What is queued is still sent, then goodbye is said.
    drop(queue);
    let goodbye = async {
        let Ok(sink) = (&mut sending).await else { return };
        let Ok(mut socket) = sink.reunite(stream) else { return };
        let _ = socket.close(Some(CloseFrame { code, reason: "".into() })).await;
        while let Some(Ok(_)) = socket.next().await {}
        // TLS has a goodbye of its own, without which the caller would suspect an attack.
        let _ = socket.get_mut().shutdown().await;
    };
    if tokio::time::timeout(FAREWELL, goodbye).await.is_err() {
        sending.abort();
    }
}

fn message(channel: u8, data: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(data.len() + 1);
    bytes.push(channel);
    bytes.extend_from_slice(data);
    Message::Binary(Bytes::from(bytes))
}

/// Sends a stream's bytes as they come, until it ends.
async fn forward(channel: u8, source: Option<Pin<Box<dyn AsyncRead + Send>>>, queue: &mpsc::Sender<Message>) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(length) = source.read(&mut buffer).await {
        let Some(data) = buffer.get(..length).filter(|data| !data.is_empty()) else { return };
        if queue.send(message(channel, data)).await.is_err() {
            return;
        }
    }
}

/// Takes what the caller sends, until it goes.
async fn listen(
    stream: &mut SplitStream<Socket>,
    mut stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    resize: Option<mpsc::Sender<TerminalSize>>,
    protocol: &str,
) {
    while let Some(Ok(received)) = stream.next().await {
        let data = match &received {
            Message::Binary(data) => data.as_ref(),
            Message::Text(text) => text.as_bytes(),
            Message::Close(_) => return,
            _ => continue,
        };
        match data.split_first() {
            Some((&STDIN, data)) => {
                if let Some(input) = &mut stdin
                    && (input.write_all(data).await.is_err() || input.flush().await.is_err())
                {
                    // The command has closed its input; that is no reason to end it.
                    stdin = None;
                }
            }
            Some((&RESIZE, data)) => {
                if let (Some(resize), Some(size)) = (&resize, size(data)) {
                    // Only the latest size matters; a full queue means that more are on their way.
                    let _ = resize.try_send(size);
                }
            }
            Some((&CLOSE, &[STDIN])) if protocol == PROTOCOLS[0] => {
                if let Some(mut input) = stdin.take() {
                    let _ = input.shutdown().await;
                }
            }
            _ => {}
        }
    }
}

fn size(data: &[u8]) -> Option<TerminalSize> {
    let size: Value = serde_json::from_slice(data).ok()?;
    let member = |name: &str| u16::try_from(size.get(name)?.as_u64()?).ok();
    Some(TerminalSize { width: member("Width")?, height: member("Height")? })
}

/// How the command ended, as the result channel tells it.
fn result(exit: &Exit) -> Value {
    match exit {
        Exit::Code(0) => json!({ "metadata": {}, "status": "Success" }),
        Exit::Code(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        Exit::Failed(why) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("Internal error occurred: {why}"), "details": { "causes": [{ "message": why }] },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_sizes() {
        assert_eq!(result(&Exit::Code(0))["status"], "Success");
        assert_eq!(result(&Exit::Code(3))["details"]["causes"][0]["message"], "3");
        assert_eq!(result(&Exit::Failed("x".into()))["reason"], "InternalError");
        assert_eq!(size(br#"{"Width":80,"Height":24}"#), Some(TerminalSize { width: 80, height: 24 }));
        assert_eq!(size(b"{}"), None);
    }

    #[test]
    fn the_newest_common_protocol_is_spoken() {
        let headers = |protocols: &str| -> HeaderMap {
            [
                ("upgrade", "websocket"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("sec-websocket-protocol", protocols),
            ]
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(http::HeaderName, HeaderValue)>>()
            .into_iter()
            .collect()
        };
        let (response, protocol) =
            handshake(&headers("v4.channel.k8s.io, v5.channel.k8s.io")).expect("agreed");
        assert_eq!(protocol, "v5.channel.k8s.io");
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(handshake(&headers("v4.channel.k8s.io")).expect("agreed").1, "v4.channel.k8s.io");
        assert_eq!(handshake(&headers("channel.k8s.io")).expect_err("nothing in common").code, 400);
        assert_eq!(handshake(&HeaderMap::new()).expect_err("no upgrade").code, 400);
    }
}
