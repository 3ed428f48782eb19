//! The crate from outside: over a scripted API server, which can misbehave on demand as no other does, over the
//! embedded cluster, and over a real one.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod calls;
mod changes;
mod embedded;
mod fake;
mod lifecycle;
mod permissions;
mod unmanaged;
mod watches;

use std::time::Duration;

use fake::Api;
use nocrd_cluster::{Cluster, Config, Scope};
use nocrd_model::{Namespace, WorkspaceId};

/// Long enough never to be the reason of a failure.
const PATIENCE: Duration = Duration::from_secs(600);

fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).unwrap()
}

fn id(text: &str) -> WorkspaceId {
    WorkspaceId::parse(text).unwrap()
}

fn config(scope: Scope) -> Config {
    Config::new(scope, namespace("nogoo9"))
}

async fn start(api: &Api, config: Config) -> Cluster {
    Cluster::start(api.client(), config).await.unwrap()
}

/// Started and synced, in one namespace.
async fn synced(api: &Api) -> Cluster {
    let cluster = start(api, config(Scope::Namespaced)).await;
    cluster.synced().await;
    cluster
}

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}
