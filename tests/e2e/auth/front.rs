//! What stands before servers: an address that is known before they are.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use tokio::{io::copy_bidirectional, net::TcpStream, sync::oneshot};

/// Passes connections on to a server, as an ingress does.
///
/// It runs on a thread of its own, so that a test may block.
pub(crate) struct Front {
    origin: String,
    target: Arc<Mutex<Option<SocketAddr>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Listens on a free port. Until [`to`](Self::to) says where to, connections are closed.
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let target: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let shared = Arc::clone(&target);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = pass_on(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { origin, target, stop: Some(stop), thread: Some(thread) }
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// New connections go to the server with this URL.
    pub(crate) fn to(&self, base: &str) {
        let address = base.strip_prefix("http://").unwrap().parse().unwrap();
        *self.target.lock().unwrap() = Some(address);
    }
}

async fn pass_on(listener: TcpListener, target: Arc<Mutex<Option<SocketAddr>>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let target = *target.lock().unwrap();
        tokio::spawn(async move {
            let Some(target) = target else { return };
            if let Ok(mut server) = TcpStream::connect(target).await {
                // Either may go away at any time.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
