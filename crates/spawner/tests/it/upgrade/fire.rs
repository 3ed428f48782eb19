//! A server is killed at each request of an upgrade in turn, and another one goes on. Each upgrade has a namespace of its
//! own; all run at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt;
use nocrd_devcluster::{
    kind::Kind,
    store::{Change, Store},
};
use nocrd_spawner::{
    Cluster, Config, Error, Spawner, Style, TemplateSources, UpgradeConfig, WaitOptions,
    cluster::{Config as ClusterConfig, Scope},
};
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinSet};

use super::{
    stage::*,
    wire::{Log, Loss, Wire},
};
use crate::world::{PATIENCE, World, id, until};

/// How the new pod does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Ready,
    Crashes,
}

/// An upgrade under fire.
#[derive(Debug, Clone, Copy)]
struct Trial {
    style: Style,
    fate: Fate,
    at: Option<(usize, Loss)>,
}

impl Trial {
    fn name(&self) -> String {
        let style = if self.style == Style::Beside { "b" } else { "r" };
        let fate = if self.fate == Fate::Ready { "ok" } else { "bad" };
        let at = match self.at {
            None => "whole".to_owned(),
            Some((at, Loss::Request)) => format!("{at}-lost"),
            Some((at, Loss::Answer)) => format!("{at}-unheard"),
        };
        format!("{style}-{fate}-{at}")
    }

    fn namespace(&self) -> String {
        format!("fire-{}", self.name())
    }

    /// A namespace with the claim, and the first version of the template.
    fn set_up(&self, store: &Store) {
        let (name, namespace) = (self.name(), self.namespace());
        store.create(Kind::Namespace, json!({"metadata": {"name": namespace}})).unwrap();
        // A controller may have been faster.
        let account = json!({"metadata": {"name": "default", "namespace": namespace}});
        let _ = store.create(Kind::ServiceAccount, account);
        create_claim(store, &namespace, &name, "ReadWriteOnce");
        self.publish(store, "1", "/1");
    }

    fn publish(&self, store: &Store, version: &str, path: &str) {
        let crashes = version == "2" && self.fate == Fate::Crashes;
        let script = format!("echo $TOKEN; {}", if crashes { "exit 3" } else { RUNS });
        let mut spec = match self.style {
            Style::Beside => spec(version, &script),
            Style::Recreate => spec_with_claim(version, &script),
        };
        if crashes {
            never_ready(&mut spec);
        }
        publish(store, &self.namespace(), version, json!({"nogoo9/workspace-path": path}), spec);
    }
}

/// Others' upgrades are not this one's affair.
fn selfish() -> Config {
    Config {
        upgrade: UpgradeConfig { courtesy: Duration::from_secs(3600), ..quick().upgrade },
        left_behind_after: Duration::from_secs(3600),
        ..quick()
    }
}

async fn replica(
    world: &World,
    namespace: &str,
    config: Config,
    at: Option<(usize, Loss)>,
) -> (Spawner, Arc<Log>) {
    let (client, log) = Wire::wrap(kube::Client::new(world.dev.router(), namespace), at);
    let scope = ClusterConfig::new(Scope::Namespaced, namespace.parse().unwrap());
    let cluster = Cluster::start(client, ClusterConfig { check_permissions: false, ..scope }).await.unwrap();
    tokio::time::timeout(PATIENCE, cluster.synced()).await.unwrap();
    (Spawner::new(cluster, TemplateSources::default(), config), log)
}

/// An upgrade that its server has not carried to its end.
struct Burnt {
    trial: Trial,
    was_killed: bool,
    /// Whether something stands on its pods about it.
    has_begun: bool,
    /// The requests it took, and whether each changes something.
    sent: Vec<bool>,
}

async fn ready(spawner: &Spawner, name: &str) {
    let options = WaitOptions { timeout: PATIENCE, settle: PATIENCE, steady: Duration::ZERO };
    spawner.wait_ready(&id(name), None, options, |_| {}).await.unwrap();
}

/// Runs an upgrade until it ends or the server that carries it out is killed.
async fn burn(world: Arc<World>, trial: Trial) -> Burnt {
    let (store, name, namespace) = (world.dev.store(), trial.name(), trial.namespace());
    trial.set_up(store);
    let (spawner, log) = replica(&world, &namespace, selfish(), trial.at).await;
    spawner.spawn(wish(&name)).await.unwrap();
    ready(&spawner, &name).await;
    trial.publish(store, "2", "/2");
    until("the template is known", || spawner.outdated(&Default::default()).is_ok_and(|all| all.len() == 1))
        .await;
    log.arm();
    let mut tasks = JoinSet::new();
    tasks.spawn(served(spawner.clone()));
    let upgrading = async {
        let begun = spawner.begin_upgrade(upgrade(&name)).await.unwrap();
        assert_eq!(begun.style, trial.style);
        let options = WaitOptions { timeout: PATIENCE, ..WaitOptions::default() };
        match spawner.wait_upgraded(&id(&name), None, options, |_| {}).await {
            Ok(_) => assert_eq!(trial.fate, Fate::Ready),
            Err(Error::UpgradeFailed { .. }) => assert_eq!(trial.fate, Fate::Crashes),
            Err(other) => panic!("{trial:?}: {other}"),
        }
        // The last step may not have been seen by whoever took it.
        until("it is over", || pods_of(store, &namespace, &name).len() == 1).await;
    };
    // Where a step has to be looked at again because of a pod's status, it takes more requests than where not.
    let was_killed = tokio::select! {
        () = upgrading => false,
        () = log.broken() => true,
    };
    // Killed: its tasks end where they are.
    tasks.shutdown().await;
    let has_begun = pods_of(store, &namespace, &name).iter().any(|pod| {
        !is_plain(pod)
            || annotation(pod, "nogoo9/last-upgrade-error").is_some()
            || annotation(pod, "nogoo9/template-version") == Some("2")
    });
    Burnt { trial, was_killed, has_begun, sent: log.sent() }
}

async fn served(spawner: Spawner) {
    tokio::join!(spawner.upgrader(), spawner.janitor());
}

/// Lets another server go on, and looks at what becomes of the workspace.
async fn rescue(world: Arc<World>, burnt: Burnt) {
    let (trial, store) = (burnt.trial, world.dev.store());
    let (name, namespace) = (trial.name(), trial.namespace());
    let (spawner, _) = replica(&world, &namespace, quick(), None).await;
    let _serving = AbortOnDrop(tokio::spawn(served(spawner.clone())).abort_handle());
    let is_settled = || {
        let pods = pods_of(store, &namespace, &name);
        pods.len() == 1 && pods.iter().all(is_plain)
    };
    until(&format!("{name} is settled"), is_settled).await;
    until("the index knows", || {
        let pods = spawner.cluster().workspaces().get(&id(&name));
        pods.len() == 1 && !pods[0].annotations.keys().any(|key| key.starts_with("nogoo9/upgrade"))
    })
    .await;
    ready(&spawner, &name).await;
    check(&spawner, store, burnt).await;
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn check(spawner: &Spawner, store: &Store, Burnt { trial, has_begun, .. }: Burnt) {
    let (name, namespace) = (trial.name(), trial.namespace());
    let workspace = spawner.get(&id(&name), None).unwrap();
    assert_eq!((workspace.owner().as_str(), workspace.name()), ("ada", format!("Mine {name}").as_str()));
    let pod = pods_of(store, &namespace, &name).remove(0);
    let version = workspace.template_version().to_owned();
    let failure = workspace.last_upgrade_error();
    let expected = if has_begun && trial.fate == Fate::Ready { "2" } else { "1" };
    assert_eq!(version, expected, "{trial:?}");
    assert_eq!(failure.is_some(), has_begun && trial.fate == Fate::Crashes, "{trial:?}: {failure:?}");
    assert_eq!(workspace.path(), format!("/{version}"), "{trial:?}");
    assert_eq!(pod["spec"]["containers"][0]["env"][0]["value"], version.as_str());
    // Its context is where it looks for it, and nobody else's is left.
    let secrets = store.list(Kind::Secret, Some(&namespace)).items;
    let secret = secrets
        .iter()
        .find(|secret| secret["metadata"]["name"].as_str() == annotation(&pod, "nogoo9/context-secret"));
    assert_eq!(secret.unwrap()["metadata"]["ownerReferences"][0]["uid"], pod["metadata"]["uid"]);
    // The user's file is there.
    let lines: &[&str] = if trial.style == Style::Beside { &["s3cret"] } else { &["by 1", "s3cret"] };
    let workspace = workspace.pod();
    until_log(spawner, &workspace.namespace, &workspace.pod_name, lines).await;
}

/// Sees to it that at every moment some pod holds the id, and at most one that no other is linked to.
async fn guard(store: Store) {
    let (_, mut watch) = store.list_and_watch(Kind::Pod).unwrap();
    let mut pods: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    while let Some(Ok(event)) = watch.next().await {
        let pod = &event.object;
        let Some(workspace) = pod["metadata"]["labels"]["nogoo9/workspace-id"].as_str() else { continue };
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let all = pods.entry(workspace.to_owned()).or_default();
        match event.change {
            Change::Deleted => all.remove(&uid),
            _ => all.insert(uid, (**pod).clone()),
        };
        let alive: Vec<&Value> =
            all.values().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect();
        let unlinked = alive.iter().filter(|pod| annotation(pod, "nogoo9/upgrade-from").is_none()).count();
        assert!(!alive.is_empty() && unlinked <= 1, "{workspace}: {all:#?}");
    }
}

const WAYS: [(Style, Fate); 4] = [
    (Style::Beside, Fate::Ready),
    (Style::Beside, Fate::Crashes),
    (Style::Recreate, Fate::Ready),
    (Style::Recreate, Fate::Crashes),
];

/// The upgrades that break in turn at each of their requests that change something: what comes of a server that is killed at
/// a question is the same as of one that is killed at the change before.
async fn trials(world: &Arc<World>, ways: &[(Style, Fate)], losses: &[Loss]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (style, fate) in ways.iter().copied() {
        // How many requests there are.
        let whole = burn(Arc::clone(world), Trial { style, fate, at: None }).await;
        let changes = whole.sent.iter().enumerate().filter(|(_, changes)| **changes).map(|(at, _)| at);
        trials.extend(
            changes
                .flat_map(|at| losses.iter().map(move |loss| Trial { style, fate, at: Some((at, *loss)) })),
        );
        assert!(!whole.was_killed && trials.len() > 4, "{:?}", whole.sent);
    }
    trials
}

/// Has all of them killed, and `then` done to each.
async fn all<F: Future<Output = ()> + Send + 'static>(
    world: &Arc<World>,
    trials: Vec<Trial>,
    then: fn(Arc<World>, Burnt) -> F,
) {
    let count = trials.len();
    let slots = Arc::new(tokio::sync::Semaphore::new(16));
    let mut running = JoinSet::new();
    for trial in trials {
        let (world, slots) = (Arc::clone(world), Arc::clone(&slots));
        running.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let burnt = burn(Arc::clone(&world), trial).await;
            let was_killed = burnt.was_killed;
            then(world, burnt).await;
            usize::from(was_killed)
        });
    }
    let mut killed = 0;
    while let Some(ended) = running.join_next().await {
        killed += ended.unwrap();
    }
    // How many questions come between two changes depends on who is faster, so that the number of a request is not that of the
    // same one each time; and the last ones may not come at all.
    assert!(killed * 2 >= count, "{killed} of {count} were killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k55_a_server_may_be_killed_at_any_request_of_an_upgrade() {
    let world = Arc::new(cluster(true).await);
    let guarding = tokio::spawn(guard(world.dev.store().clone()));
    let trials = trials(&world, &WAYS, &[Loss::Request, Loss::Answer]).await;
    all(&world, trials, rescue).await;
    assert!(!guarding.is_finished(), "{:?}", guarding.await);
    guarding.abort();
    Arc::into_inner(world).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k26_a_workspace_may_be_stopped_wherever_its_upgrade_is() {
    let world = Arc::new(cluster(true).await);
    let ways = [(Style::Beside, Fate::Ready), (Style::Recreate, Fate::Crashes)];
    let trials = trials(&world, &ways, &[Loss::Answer]).await;
    all(&world, trials, stop).await;
    Arc::into_inner(world).unwrap().stop().await;
}

/// Stops the workspace while another server goes on.
async fn stop(world: Arc<World>, burnt: Burnt) {
    let (name, namespace) = (burnt.trial.name(), burnt.trial.namespace());
    let (spawner, _) = replica(&world, &namespace, quick(), None).await;
    let _serving = AbortOnDrop(tokio::spawn(served(spawner.clone())).abort_handle());
    spawner.stop(&id(&name), None, Default::default()).await.unwrap();
    let store = world.dev.store();
    until(&format!("{name} is gone"), || pods_of(store, &namespace, &name).is_empty()).await;
    until("its Secrets are", || store.list(Kind::Secret, Some(&namespace)).items.is_empty()).await;
    until("the index knows", || spawner.cluster().workspaces().get(&id(&name)).is_empty()).await;
    // Nobody makes it anew: what could would have been seen by now.
    assert!(pods_of(store, &namespace, &name).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k26_k28_two_servers_carry_out_an_upgrade_as_one_would() {
    let world = Arc::new(cluster(true).await);
    let guarding = tokio::spawn(guard(world.dev.store().clone()));
    let mut running = JoinSet::new();
    for (style, fate) in WAYS {
        let world = Arc::clone(&world);
        running.spawn(async move {
            let trial = Trial { style, fate, at: None };
            let (store, name, namespace) = (world.dev.store(), trial.name(), trial.namespace());
            trial.set_up(store);
            // Neither leaves anything to the other.
            let eager = || Config {
                upgrade: UpgradeConfig { courtesy: Duration::ZERO, ..quick().upgrade },
                ..quick()
            };
            let (one, _) = replica(&world, &namespace, eager(), None).await;
            let (other, _) = replica(&world, &namespace, eager(), None).await;
            one.spawn(wish(&name)).await.unwrap();
            ready(&one, &name).await;
            trial.publish(store, "2", "/2");
            let _serving =
                [&one, &other].map(|it| AbortOnDrop(tokio::spawn(served(it.clone())).abort_handle()));
            let mut begun = Vec::new();
            for replica in [&one, &other] {
                until("the template is known", || {
                    let catalogue = replica.catalogue();
                    let found = catalogue.resolve(&"t".parse().unwrap(), &namespace.parse().unwrap());
                    found.is_ok_and(|template| template.version() == "2")
                })
                .await;
            }
            for result in [one.begin_upgrade(upgrade(&name)), other.begin_upgrade(upgrade(&name))]
                .into_iter()
                .collect::<futures::stream::FuturesUnordered<_>>()
                .collect::<Vec<_>>()
                .await
            {
                begun.push(result.unwrap().pod_name);
            }
            assert_eq!(begun, ["ws--".to_owned() + &name, "ws--".to_owned() + &name]);
            until("it is over", || {
                let pods = pods_of(store, &namespace, &name);
                pods.len() == 1 && pods.iter().all(is_plain)
            })
            .await;
            ready(&one, &name).await;
            let burnt = Burnt { trial, was_killed: false, has_begun: true, sent: Vec::new() };
            until("the index knows", || {
                one.get(&id(&name), None).is_ok_and(|found| found.upgrade().is_none() && found.is_ready())
            })
            .await;
            check(&one, store, burnt).await;
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert!(!guarding.is_finished(), "{:?}", guarding.await);
    guarding.abort();
    Arc::into_inner(world).unwrap().stop().await;
}
