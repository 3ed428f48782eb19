//! Carrying one workspace's upgrade to its end.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use nocrd_cluster::{State, WorkspacePod};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::{
    Key,
    act::Failure,
    record::{Link, Mark},
    step::{Health, Seen, Step, next},
    turns::Turn,
};
use crate::Spawner;

/// How often it is looked whether the API server is there again.
const OUTAGE_POLL: Duration = Duration::from_millis(250);
/// Longest pause after what failed, and between two looks when nothing happens.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

/// One upgrade, and what only looking on tells of it.
pub(crate) struct Driver {
    spawner: Spawner,
    key: Key,
    /// Whether it was begun here, or given up by whoever did.
    own: bool,
    ready_since: HashMap<String, Instant>,
    bad_since: HashMap<String, Instant>,
    /// Pods whose Secrets are known to be there.
    complete: HashSet<String>,
    /// Since when it is tried to create the new pod.
    trying_since: Option<Instant>,
    turn: Option<Turn>,
    failures: u32,
}

impl Driver {
    pub(crate) fn new(spawner: Spawner, key: Key) -> Self {
        Self {
            own: spawner.upgrades().is_own(&key),
            spawner,
            key,
            ready_since: HashMap::new(),
            bad_since: HashMap::new(),
            complete: HashSet::new(),
            trying_since: None,
            turn: None,
            failures: 0,
        }
    }

    /// Goes on until there is no upgrade any more.
    pub(crate) async fn run(mut self) {
        loop {
            self.connected().await;
            let pods = self.pods();
            let (seen, timer) = self.observe(&pods);
            let step = next(&seen);
            match step {
                Step::Nothing => break,
                Step::Wait => {
                    self.pause(&pods, timer).await;
                    continue;
                }
                Step::Create { .. } if self.turn.is_none() => {
                    self.wait_for_turn(pods).await;
                    continue;
                }
                // From here on nothing more is started than goes.
                Step::Retire { .. } | Step::Discard { .. } | Step::Strip { .. } => self.turn = None,
                _ => {}
            }
            if !self.own {
                self.wait_politely(&step).await;
                continue;
            }
            debug!(workspace.id = %self.key.1, ?step, "upgrade");
            let taken = self.spawner.take(&pods, &step).await;
            self.after(&pods, step, taken).await;
        }
        self.spawner.upgrades().forget(&self.key);
    }

    async fn after(&mut self, pods: &[Arc<WorkspacePod>], step: Step, taken: Result<(), Failure>) {
        match taken {
            Ok(()) => {
                self.failures = 0;
                match step {
                    // This leaves no trace on a pod.
                    Step::Complete { pod, .. } => {
                        self.complete.insert(pod);
                    }
                    _ => self.pause(pods, self.spawner.config().index_wait).await,
                }
            }
            Err(Failure::Moved) => {
                let limit = self.backoff();
                self.pause(pods, limit).await;
            }
            Err(Failure::Later(why) | Failure::Never(why)) => {
                warn!(workspace.id = %self.key.1, ?step, why, "a step of an upgrade failed and will be tried again");
                sleep(self.backoff()).await;
            }
        }
    }

    fn backoff(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let factor = 2_u32.saturating_pow(self.failures.min(8) - 1);
        SHORTEST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
    }

    /// What is known may be old while the API server is away, and a pod that is gone is seen to be there.
    async fn connected(&self) {
        while self.spawner.cluster().health().stale_for.is_some() {
            sleep(OUTAGE_POLL).await;
        }
    }

    fn pods(&self) -> Vec<Arc<WorkspacePod>> {
        let (namespace, id, owner) = &self.key;
        let mut pods = self.spawner.cluster().workspaces().get(id);
        pods.retain(|pod| pod.namespace == *namespace && pod.owner == *owner);
        pods
    }

    /// Waits for a change, but no longer than that.
    async fn pause(&self, pods: &[Arc<WorkspacePod>], limit: Duration) {
        let versions = |pods: &[Arc<WorkspacePod>]| -> Vec<(String, String)> {
            pods.iter().map(|pod| (pod.uid.clone(), pod.resource_version.clone())).collect()
        };
        let known = versions(pods);
        let (namespace, id, owner) = &self.key;
        let changed = |now: &[Arc<WorkspacePod>]| {
            let ours = now.iter().filter(|pod| pod.namespace == *namespace && pod.owner == *owner);
            versions(&ours.cloned().collect::<Vec<_>>()) != known
        };
        let _ = self.spawner.cluster().workspaces().wait_for(id, limit, changed).await;
    }

    /// Of many upgrades a few start their pods at a time. The others keep their places in the queue for as long as they have
    /// a pod to start.
    async fn wait_for_turn(&mut self, mut pods: Vec<Arc<WorkspacePod>>) {
        let spawner = self.spawner.clone();
        let owner = self.key.2.clone();
        let mut turn = pin!(spawner.upgrades().turns().next(&owner));
        loop {
            tokio::select! {
                turn = &mut turn => {
                    self.turn = turn;
                    return;
                }
                () = self.pause(&pods, LONGEST_PAUSE) => {}
            }
            pods = self.pods();
            if !matches!(next(&self.observe(&pods).0), Step::Create { .. }) {
                return;
            }
        }
    }

    /// Leaves a step to the replica that began the upgrade, and takes the upgrade over when that does not take it.
    async fn wait_politely(&mut self, step: &Step) {
        // Not all of the others at the same moment.
        let factor = rand::random_range(1.0..2.5);
        sleep(self.spawner.config().upgrade.courtesy.mul_f64(factor)).await;
        self.connected().await;
        let pods = self.pods();
        self.own = next(&self.observe(&pods).0) == *step;
    }

    /// What the pods show, and when to look again if nothing changes.
    fn observe(&mut self, pods: &[Arc<WorkspacePod>]) -> (Vec<Seen>, Duration) {
        let mut timer = LONGEST_PAUSE;
        let seen = pods
            .iter()
            .map(|pod| {
                let (mark, link) = (Mark::of(&pod.annotations), Link::of(&pod.annotations));
                let needs_secret = pod.annotations.contains_key(nocrd_model::keys::CONTEXT_SECRET);
                Seen {
                    uid: pod.uid.clone(),
                    deleting: pod.deleting,
                    health: match (&link, &mark) {
                        (Some(link), _) => self.health(pod, link, &mut timer),
                        (None, Some(_)) => self.health_of_old(),
                        (None, None) => Health::Waiting,
                    },
                    is_complete: !needs_secret || self.complete.contains(&pod.uid),
                    mark,
                    link,
                }
            })
            .collect();
        (seen, timer)
    }

    /// Of the old pod it matters for how long it was tried to create another one.
    fn health_of_old(&mut self) -> Health {
        if self.turn.is_none() {
            return Health::Waiting;
        }
        let since = *self.trying_since.get_or_insert_with(Instant::now);
        let limit = self.spawner.config().upgrade.timeout;
        if since.elapsed() >= limit { Health::Hopeless } else { Health::Waiting }
    }

    fn health(&mut self, pod: &WorkspacePod, link: &Link, timer: &mut Duration) -> Health {
        let limits = &self.spawner.config().upgrade;
        let mut lasts = |since: Instant, limit: Duration| {
            let left = limit.saturating_sub(since.elapsed());
            *timer = left.min(*timer);
            left.is_zero()
        };
        if pod.ready {
            self.bad_since.remove(&pod.uid);
            let since = *self.ready_since.entry(pod.uid.clone()).or_insert_with(Instant::now);
            return if lasts(since, limits.steady) { Health::Steady } else { Health::Waiting };
        }
        self.ready_since.remove(&pod.uid);
        if let Some(until) = link.until {
            let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
            if lasts(Instant::now(), left) {
                return Health::Hopeless;
            }
        }
        // Room may yet be made for it: that is what the time limit is for.
        let is_homeless = pod.status.state == State::Pending && pod.status.reason == "Unschedulable";
        if !pod.status.fatal || link.until.is_none() || is_homeless {
            self.bad_since.remove(&pod.uid);
            return Health::Waiting;
        }
        let since = *self.bad_since.entry(pod.uid.clone()).or_insert_with(Instant::now);
        let is_final = matches!(pod.status.state, State::Failed | State::Succeeded);
        if is_final || lasts(since, limits.settle) { Health::Hopeless } else { Health::Waiting }
    }
}
