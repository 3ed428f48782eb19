//! What lies between a server and the API server, and can be cut.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Passes connections on.
pub(super) struct Relay {
    address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    directory: TempDir,
    passing: JoinHandle<()>,
}

impl Relay {
    /// One that leads to `api`.
    pub(super) async fn to(api: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = watch::Sender::new(Some(address_of(api)));
        let watching = target.clone();
        let passing = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut target = watching.subscribe();
                let Some(now) = *target.borrow_and_update() else { continue };
                tokio::spawn(async move {
                    let passing = async {
                        let mut server = TcpStream::connect(now).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    tokio::select! {
                        _ = passing => {}
                        _ = target.changed() => {}
                    }
                });
            }
        });
        Self { address, target, directory: tempfile::tempdir().unwrap(), passing }
    }

    /// A copy of a kubeconfig that leads here.
    pub(super) fn kubeconfig(&self, of: &Path) -> PathBuf {
        let text = std::fs::read_to_string(of).unwrap();
        let url = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap();
        let path = self.directory.path().join("kubeconfig");
        std::fs::write(&path, text.replace(url, &format!("https://{}", self.address))).unwrap();
        path
    }

    /// Ends all connections, and closes each new one at once.
    pub(super) fn cut(&self) {
        self.target.send_replace(None);
    }

    /// Ends all connections; new ones lead to `api`.
    pub(super) fn mend(&self, api: &str) {
        self.target.send_replace(Some(address_of(api)));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

fn address_of(api: &str) -> SocketAddr {
    api.strip_prefix("https://").unwrap().parse().unwrap()
}
