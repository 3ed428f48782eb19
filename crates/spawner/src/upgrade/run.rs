//! Finding the upgrades that are under way, and seeing to it that somebody carries each of them on.

use std::collections::{HashMap, HashSet};

use nocrd_cluster::WorkspacePod;
use tokio::{
    sync::broadcast::error::RecvError,
    task::{Id, JoinSet},
    time::Instant,
};
use tracing::error;

use super::{Key, drive::Driver, key, record::is_involved};
use crate::Spawner;

/// The upgrades that this replica has in hand.
struct Drivers {
    spawner: Spawner,
    tasks: JoinSet<()>,
    keys: HashMap<Id, Key>,
    driven: HashSet<Key>,
}

impl Spawner {
    /// Carries upgrades on for as long as it is polled: run it in a task of its own. It goes on with those that were begun
    /// here at once, and with others when nobody else does: those of a server that was killed, for instance.
    ///
    /// Any number of replicas may run it at the same time. It does nothing while the API server is away.
    pub async fn upgrader(&self) {
        self.cluster().synced().await;
        let index = self.cluster().workspaces();
        let mut changes = index.changes();
        let mut drivers = Drivers {
            spawner: self.clone(),
            tasks: JoinSet::new(),
            keys: HashMap::new(),
            driven: HashSet::new(),
        };
        let mut next_sweep = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next_sweep) => {
                    index.all().iter().for_each(|pod| drivers.see(pod));
                    next_sweep = Instant::now() + self.config().upgrade.sweep_period;
                }
                change = changes.recv() => match change {
                    Ok(change) => drivers.see(&change.pod),
                    // Some went by unseen: look at everything.
                    Err(RecvError::Lagged(_)) => next_sweep = Instant::now(),
                    Err(RecvError::Closed) => return,
                },
                Some(ended) = drivers.tasks.join_next_with_id() => {
                    let (id, result) = match ended {
                        Ok((id, ())) => (id, Ok(())),
                        Err(error) => (error.id(), Err(error)),
                    };
                    if let Err(error) = result {
                        error!(%error, "a task that carried out an upgrade failed");
                    }
                    if let Some(key) = drivers.keys.remove(&id) {
                        drivers.driven.remove(&key);
                        // Another one may have begun meanwhile.
                        index.get(&key.1).iter().for_each(|pod| drivers.see(pod));
                    }
                }
            }
        }
    }
}

impl Drivers {
    fn see(&mut self, pod: &WorkspacePod) {
        if !is_involved(&pod.annotations) {
            return;
        }
        let key = key(pod);
        if self.driven.insert(key.clone()) {
            let driver = Driver::new(self.spawner.clone(), key.clone());
            let task = self.tasks.spawn(driver.run());
            self.keys.insert(task.id(), key);
        }
    }
}
