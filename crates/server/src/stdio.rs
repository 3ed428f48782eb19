//! MCP over standard input and output.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use nocrd_mcp_surface::{Surface, serve_io};
use nocrd_model::Caller;
use rmcp::transport::io::stdio_pipes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// How the session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client closed our standard input, or the server is stopping.
    ByClient,
    /// There never was a client: standard input was closed from the start, as a container's is.
    WithoutClient,
}

/// Serves the client behind standard input and output. Whoever has these is the local user.
pub(crate) async fn serve(surface: Surface, stop: CancellationToken) -> io::Result<Ended> {
    let (input, output) = stdio_pipes();
    serve_streams(surface, input, output, stop).await
}

async fn serve_streams(
    surface: Surface,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl tokio::io::AsyncWrite + Send + Unpin + 'static,
    stop: CancellationToken,
) -> io::Result<Ended> {
    let heard = Arc::new(AtomicBool::new(false));
    let input = Listening { input, heard: Arc::clone(&heard) };
    serve_io(surface, Caller::local(), input, output, stop).await?;
    Ok(if heard.load(Ordering::Relaxed) { Ended::ByClient } else { Ended::WithoutClient })
}

/// Notes whether anything was read.
struct Listening<R> {
    input: R,
    heard: Arc<AtomicBool>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Listening<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.input).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        polled
    }
}
