//! The server over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod http;
mod shutdown;
mod socket;

use std::{net::SocketAddr, time::Duration};

use nocrd_workspace::Config;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// Far longer than anything here takes, so that what hangs fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A workspace on a port of its own; dropping it ends it.
struct Running {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let config = Config {
            workspace_id: Some("w1".parse().unwrap()),
            hostname: Some("ws-w1".into()),
            echo_text: "hello there".into(),
            ..Config::default()
        };
        let server = tokio::spawn(nocrd_workspace::serve(listener, config, async {
            let _ = stopped.await;
        }));
        Self { addr, stop: Some(stop), server }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn ask_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}
