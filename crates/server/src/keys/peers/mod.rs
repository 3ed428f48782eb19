//! Replicas that hand each other the key of sessions, where no Secret can hold it.
//!
//! Both sides prove what they are: that they run under the server's own ServiceAccount. A label proves nothing, for
//! whoever may create pods chooses their labels; a pod under another one's ServiceAccount is nothing that a user of the
//! server can have made.
//!
//! 1. Whoever has no key lists the pods of its namespace. It asks those that run, under its own ServiceAccount, and are
//!    no workspaces, at [`PATH`] on a port that serves nothing else.
//! 2. The question carries a projected ServiceAccount token whose audience is this exchange alone, and the public half
//!    of a key made for it (X25519).
//! 3. The peer checks the token by the public keys of the cluster's token issuer, and asks the API server whether the
//!    pod that the token is bound to exists, runs under that ServiceAccount, and has the address that the question came
//!    from: a token that was overheard is of no use elsewhere.
//! 4. The answer carries the peer's own token, which must be bound to the pod that was asked, and the session key
//!    encrypted for the asker alone.

mod answer;
mod ask;
mod badge;
mod candidate;
mod exchange;
mod round;
mod wire;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use nocrd_authz::verify::TokenError;
use nocrd_cluster::Cluster;
use nocrd_model::Namespace;
use tokio::sync::watch;

use self::badge::{Badge, Badges};
use super::material::Held;

/// Audience of the tokens: they are good for nothing else, and no other token is good here.
pub(super) const AUDIENCE: &str = "no-crd-session-key";
/// Path of the question.
const PATH: &str = "/session-key";

/// How replicas find each other.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// Port of all replicas.
    pub(super) port: u16,
    /// File with this replica's token. It is read each time, since it is renewed while the server runs.
    pub(super) token_file: PathBuf,
    /// How often a new replica asks again, and how long it waits in between.
    pub(super) retries: u32,
    pub(super) delay: Duration,
}

/// Why peers can't be asked, or not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unable {
    #[error("PEER_TOKEN_FILE {}: {cause}", path.display())]
    TokenFile { path: PathBuf, cause: String },
    #[error("a service account token is not accepted: {0}")]
    Token(#[from] TokenError),
    #[error("a service account token is not bound to a pod: it must be a projected one")]
    NotOfAPod,
    #[error(
        "the server runs under the service account `default`, as other pods of its namespace do: give it one of its own"
    )]
    SharedAccount,
    #[error("the keys of the cluster's tokens can't be used: {0}")]
    Verifier(#[from] nocrd_authz::error::Error),
    #[error(transparent)]
    Cluster(#[from] nocrd_cluster::Error),
}

/// This replica among its peers.
pub(super) struct Peers {
    cluster: Cluster,
    config: Config,
    badges: Badges,
    held: watch::Receiver<Option<Held>>,
}

/// Who we are.
struct Myself {
    token: String,
    badge: Badge,
}

impl Peers {
    pub(super) fn new(cluster: Cluster, config: Config, held: watch::Receiver<Option<Held>>) -> Arc<Self> {
        let badges = Badges::new(cluster.clone());
        Arc::new(Self { cluster, config, badges, held })
    }

    pub(super) fn retries(&self) -> u32 {
        self.config.retries
    }

    pub(super) fn delay(&self) -> Duration {
        self.config.delay
    }

    /// Reads our own token, and checks it as peers will.
    async fn myself(&self) -> Result<Myself, Unable> {
        let path = &self.config.token_file;
        let unreadable = |cause: String| Unable::TokenFile { path: path.clone(), cause };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| unreadable(error.to_string()))?;
        let token = text.trim().to_owned();
        if token.is_empty() {
            return Err(unreadable("the file is empty".to_owned()));
        }
        let badge = self.badges.check(&token).await?;
        if badge.account == "default" {
            return Err(Unable::SharedAccount);
        }
        Ok(Myself { token, badge })
    }

    async fn pods(&self, badge: &Badge) -> Result<Vec<Pod>, Unable> {
        let namespace = Namespace::parse(&badge.namespace).map_err(nocrd_cluster::Error::InvalidNamespace)?;
        Ok(self.cluster.pods_in(&namespace).await?)
    }
}

/// The addresses of a pod.
fn addresses(pod: &Pod) -> impl Iterator<Item = IpAddr> {
    let status = pod.status.as_ref();
    let all =
        status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten().map(|ip| ip.ip.as_str());
    let one = status.and_then(|status| status.pod_ip.as_deref());
    one.into_iter().chain(all).filter_map(|text| text.parse().ok())
}

#[cfg(test)]
mod tests;
