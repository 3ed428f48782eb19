//! What replicas share for sessions: the key, refreshes under way, and sign-ins that were ended.
//!
//! The key comes from, in this order,
//!
//! 1. `PROXY_SESSION_SECRET`, with `PROXY_SESSION_SECRET_PREVIOUS` accepted beside it;
//! 2. `JWT_SECRET`: derived from it;
//! 3. the Secret `nogoo9-session-key` of the default namespace. The first replica creates it, the others adopt it. It is
//!    read again every half minute, and when a cookie shows a key that is not known. To rotate, put a new secret into
//!    its entry `key` and the one before into `previous`; deleting it ends all sessions;
//! 4. [another replica](peers), where `PEER_PORT` is set;
//! 5. chance, with a warning: such a key is known to this replica only, and ends with it.
//!
//! While the API server is away a known key stays. Until there is one the server is not ready.

mod configured;
mod endings;
mod grants;
mod keeper;
mod material;
mod peers;
mod revocations;
mod secret;
#[cfg(test)]
mod tests;

use std::sync::{Arc, atomic::AtomicBool};

use nocrd_authz::{clock::Clock, grants::GrantStore, keys::KeyRing, revocation::Revocations};
use nocrd_cluster::Cluster;
use nocrd_config::Settings;
use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::endings::Endings;
use self::{grants::SharedGrants, keeper::Keeper, peers::Peers, revocations::SharedRevocations};
use crate::{Error, listener};

/// What is shared, and the tasks that keep it up to date.
pub(crate) struct Shared {
    pub(crate) grants: Arc<dyn GrantStore>,
    pub(crate) revocations: Arc<dyn Revocations>,
    pub(crate) endings: Endings,
    /// Set while the key is one that this replica has made up and can share with nobody.
    pub(crate) lonely: Arc<AtomicBool>,
    pub(crate) tasks: Vec<AbortOnDropHandle<()>>,
}

/// Begins to look for the key, which `ring` gets as soon as it is known. It does not wait for that.
///
/// # Errors
/// When a key of the settings can't be used, or `PEER_PORT` can't be listened on.
pub(crate) async fn start(
    settings: &Settings,
    cluster: &Cluster,
    ring: Arc<KeyRing>,
) -> Result<Shared, Error> {
    let mut tasks = Vec::new();
    let lonely = Arc::new(AtomicBool::new(false));
    match configured::keys(settings).transpose().map_err(Error::SessionKey)? {
        Some(keys) => ring.set(keys),
        None => {
            let held = watch::Sender::new(None);
            let peers = match peers_config(settings) {
                None => None,
                Some(config) => {
                    let listener = listener::bind(&settings.host, config.port).await?;
                    let peers = Peers::new(cluster.clone(), config, held.subscribe());
                    tasks.push(spawn(Arc::clone(&peers).serve(listener)));
                    Some(peers)
                }
            };
            tasks.push(spawn(Keeper::new(cluster.clone(), ring, peers, held, Arc::clone(&lonely)).run()));
        }
    }
    let (grants, cleaning) = SharedGrants::new(cluster.clone());
    let (revocations, following) =
        SharedRevocations::new(cluster.clone(), Clock::system(), settings.session_max_age);
    tasks.push(spawn(cleaning));
    tasks.push(spawn(following));
    let changes = revocations.changes();
    let endings = Endings::new(Arc::clone(&revocations) as _, changes);
    Ok(Shared { grants, revocations, endings, lonely, tasks })
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(work))
}

/// Waits for a moment, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn peers_config(settings: &Settings) -> Option<peers::Config> {
    Some(peers::Config {
        port: settings.peer_port?.get(),
        token_file: settings.peer_token_file.clone()?,
        retries: settings.peer_discovery_retries,
        delay: settings.peer_discovery_delay_ms,
    })
}
