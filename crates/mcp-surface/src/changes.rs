//! Telling clients that the list of tools has changed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use nocrd_cluster::Cluster;
use rmcp::{RoleServer, service::Peer};
use tokio::sync::watch;

use crate::catalogue;

/// How long one client may take to accept the notification.
const PATIENCE: Duration = Duration::from_secs(5);

/// The tools that work now.
fn working(cluster: &Cluster) -> Vec<&'static str> {
    catalogue::working(&cluster.permissions()).map(|entry| entry.name).collect()
}

/// Who wants to know.
#[derive(Clone)]
pub(crate) struct ToolChanges {
    /// Clients of the session protocols.
    sessions: Arc<Mutex<Vec<Peer<RoleServer>>>>,
    /// For subscriptions of the stateless protocol.
    count: watch::Sender<u64>,
}

impl ToolChanges {
    pub(crate) fn new() -> Self {
        Self { sessions: Arc::default(), count: watch::Sender::new(0) }
    }

    /// Remembers a client that has begun a session; those that are gone are forgotten.
    pub(crate) fn add_session(&self, peer: Peer<RoleServer>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|peer| !peer.is_transport_closed());
        sessions.push(peer);
    }

    /// Counts the changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Watches what the server's own identity may do, and tells clients when that changes the list of tools. Ends
    /// with the cluster.
    pub(crate) async fn watch(self, cluster: Cluster) {
        let mut changes = cluster.permission_changes();
        let mut known = working(&cluster);
        while changes.changed().await.is_ok() {
            let now = working(&cluster);
            if now != known {
                tracing::info!(tools = now.len(), "the list of tools has changed");
                known = now;
                self.announce().await;
            }
        }
    }

    async fn announce(&self) {
        self.count.send_modify(|count| *count += 1);
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let live = sessions.iter().filter(|peer| !peer.is_transport_closed());
        let tell = |peer: &Peer<RoleServer>| {
            let peer = peer.clone();
            async move { tokio::time::timeout(PATIENCE, peer.notify_tool_list_changed()).await }
        };
        // A client that does not listen reads the new list when it asks.
        join_all(live.map(tell)).await;
    }
}
