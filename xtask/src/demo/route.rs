//! The workspace as a browser sees it.

use futures::{SinkExt, StreamExt};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::Result;

/// Fetches the main page.
pub(super) async fn fetch(base: &str, workspace: &str) -> Result {
    let url = format!("{base}/route/{workspace}/");
    let response = reqwest::Client::builder().no_proxy().build()?.get(&url).send().await?;
    let status = response.status();
    let page = response.text().await?;
    println!("GET {url}: {status}, {} bytes", page.len());
    if !status.is_success() || page.is_empty() {
        return Err(format!("no page: {status} {page}").into());
    }
    Ok(())
}

/// Sends a text over a WebSocket and expects it back.
pub(super) async fn echo(base: &str, workspace: &str) -> Result {
    let url = format!("{}/route/{workspace}/echo", base.replacen("http", "ws", 1));
    let (mut socket, response) = connect_async(&url).await?;
    println!("{url}: {}", response.status());
    let sent = format!("hello through {url}");
    socket.send(Message::text(sent.as_str())).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(received) if received.as_str() == sent => {
                println!("echoed: {sent:?}");
                return Ok(socket.close(None).await?);
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => return Err(format!("not an echo: {other:?}").into()),
        }
    }
    Err("the WebSocket closed before the echo".into())
}
