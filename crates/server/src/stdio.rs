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

#[cfg(test)]
mod tests {
    use nocrd_cluster::{Cluster, Config, Scope};
    use nocrd_devcluster::DevCluster;
    use nocrd_mcp_surface::Options;
    use nocrd_model::Namespace;
    use nocrd_spawner::{Spawner, TemplateSources};
    use serde_json::json;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex, empty, sink};

    use super::*;

    async fn surface() -> (DevCluster, Surface) {
        let config = nocrd_devcluster::Config { run_pods: false, ..nocrd_devcluster::Config::default() };
        let dev = DevCluster::start(config).await.unwrap();
        let client = kube::Client::new(dev.router(), "nogoo9");
        let config = Config::new(Scope::Cluster, Namespace::parse("nogoo9").unwrap());
        let cluster = Cluster::start(client, config).await.unwrap();
        let spawner = Spawner::new(cluster, TemplateSources::default(), nocrd_spawner::Config::default());
        (dev, Surface::new(spawner, Options::default()))
    }

    #[tokio::test]
    async fn a_closed_input_from_the_start_is_no_client() {
        let (_dev, surface) = surface().await;
        let ended = serve_streams(surface, empty(), sink(), CancellationToken::new()).await;
        assert_eq!(ended.unwrap(), Ended::WithoutClient);
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_session() {
        let (_dev, surface) = surface().await;
        let (mut client, input) = duplex(64 * 1024);
        let (output, answers) = duplex(64 * 1024);
        let serving = tokio::spawn(serve_streams(surface, input, output, CancellationToken::new()));
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" },
        });
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        client.write_all(format!("{hello}\n").as_bytes()).await.unwrap();
        let answer = BufReader::new(answers).lines().next_line().await.unwrap().unwrap();
        assert!(answer.contains("serverInfo"), "{answer}");
        drop(client);
        assert_eq!(serving.await.unwrap().unwrap(), Ended::ByClient);
    }
}
