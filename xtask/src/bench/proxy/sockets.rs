//! WebSockets to programs that send back what they get.

use std::time::Duration;

use futures::{SinkExt, StreamExt, TryStreamExt, future::try_join_all, stream};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
        protocol::WebSocketConfig,
    },
};

use crate::Result;

type Socket = WebSocketStream<TcpStream>;

/// What is sent.
const MESSAGE: [u8; 128] = [b'x'; 128];
/// Handshakes at a time.
const AT_ONCE: usize = 64;

/// Where a WebSocket is opened, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Messages per second, there and back, over one WebSocket for each way: each sends the next one when it has the last one
/// back.
pub(super) async fn echoes_per_second(ways: &[Way], seconds: u32) -> Result<f64> {
    let sockets: Vec<Socket> = open(ways).await?;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds.into());
    let counts = try_join_all(sockets.into_iter().map(|mut socket| async move {
        let mut count = 0_u32;
        while Instant::now() < end {
            echo(&mut socket).await?;
            count += 1;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(count)
    }))
    .await?;
    Ok(f64::from(counts.into_iter().sum::<u32>()) / start.elapsed().as_secs_f64())
}

/// Opens a WebSocket on each way, each of which then has carried a message.
pub(super) async fn open(ways: &[Way]) -> Result<Vec<Socket>> {
    stream::iter(ways).map(open_one).buffer_unordered(AT_ONCE).try_collect().await
}

async fn open_one(way: &Way) -> Result<Socket> {
    let mut request = way.url.as_str().into_client_request()?;
    for (name, value) in &way.headers {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    let authority = request.uri().authority().ok_or("the URL has no host")?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    // There are many, and their messages are small.
    let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(|error| format!("{}: {error}", way.url))?;
    echo(&mut socket).await?;
    Ok(socket)
}

async fn echo(socket: &mut Socket) -> Result {
    socket.send(Message::binary(MESSAGE.as_slice())).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Binary(back) if back.as_ref() == MESSAGE => return Ok(()),
            Message::Ping(_) | Message::Pong(_) => {}
            other => return Err(format!("not an echo: {other:?}").into()),
        }
    }
    Err("the WebSocket closed before the echo".into())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    use super::*;

    async fn server(answer: fn(Message) -> Message) -> Way {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut socket = accept_async(stream).await.unwrap();
                    while let Some(Ok(message)) = socket.next().await {
                        drop(socket.send(answer(message)).await);
                    }
                });
            }
        });
        Way { url, headers: Vec::new() }
    }

    #[tokio::test]
    async fn echoes_are_counted_and_other_answers_are_failures() {
        let ways = vec![server(|message| message).await; 3];
        assert!(echoes_per_second(&ways, 1).await.unwrap() > 1.0);
        assert_eq!(open(&ways).await.unwrap().len(), 3);
        let other = server(|_| Message::binary(b"y".as_slice())).await;
        assert!(open(&[other]).await.unwrap_err().to_string().contains("not an echo"));
    }
}
