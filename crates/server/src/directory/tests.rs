use nocrd_cluster::{Config, Scope};
use nocrd_devcluster::{
    DevCluster,
    kind::Kind,
    store::{Preconditions, Store},
};
use nocrd_model::{Namespace, keys};
use serde_json::{Value, json};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    dev: DevCluster,
    cluster: Cluster,
    directory: Arc<Directory>,
}

impl World {
    async fn new() -> Self {
        let config = nocrd_devcluster::Config { run_pods: false, ..nocrd_devcluster::Config::default() };
        let dev = DevCluster::start(config).await.unwrap();
        let client = kube::Client::new(dev.router(), "nogoo9");
        let config = Config::new(Scope::Cluster, Namespace::parse("nogoo9").unwrap());
        let cluster = Cluster::start(client, config).await.unwrap();
        let directory = Arc::new(Directory::new(cluster.clone(), NonZeroU16::new(3000).unwrap()));
        Self { dev, cluster, directory }
    }

    fn store(&self) -> &Store {
        self.dev.store()
    }

    fn add(&self, id: &str) {
        self.add_with(id, json!({}));
    }

    /// The same, with more in its spec.
    fn add_with(&self, id: &str, more: Value) {
        self.add_named(id, id, more);
    }

    /// The same, by a name that is not its id.
    fn add_named(&self, name: &str, id: &str, more: Value) {
        let labels = json!({
            keys::TYPE: keys::TYPE_WORKSPACE, keys::MANAGED_BY: keys::MANAGED_BY_VALUE,
            keys::WORKSPACE_ID: id, keys::USER_SUB: "alice",
        });
        let mut pod = json!({
            "metadata": { "name": name, "namespace": "nogoo9", "labels": labels },
            "spec": { "nodeName": "n", "containers": [{ "name": "agent", "image": "busybox" }] },
        });
        pod["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.store().create(Kind::Pod, pod).unwrap();
    }

    fn set_status(&self, id: &str, status: Value) {
        let change = |current: &mut serde_json::Map<String, Value>| {
            current.extend(status.as_object().unwrap().clone())
        };
        self.store().update_status(Kind::Pod, "nogoo9", id, &Preconditions::none(), change).unwrap();
    }

    fn make_ready(&self, id: &str, ip: &str) {
        let conditions = json!([{ "type": "Ready", "status": "True" }]);
        self.set_status(id, json!({ "phase": "Running", "podIP": ip, "conditions": conditions }));
    }

    /// Waits until the index has pods of `id` as wanted.
    async fn indexed(&self, id: &str, wanted: impl Fn(&[Arc<WorkspacePod>]) -> bool + Send) {
        self.cluster.workspaces().wait_for(&WorkspaceId::parse(id).unwrap(), PATIENCE, wanted).await.unwrap();
    }

    fn lookup(&self, id: &str) -> Lookup {
        self.directory.lookup(&WorkspaceId::parse(id).unwrap())
    }

    fn target(&self, id: &str) -> Arc<Target> {
        match self.lookup(id) {
            Lookup::Found(target) => target,
            other => unreachable!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_not_known_yet_is_not_denied() {
    let world = World::new().await;
    if !world.cluster.health().synced {
        assert!(matches!(world.lookup("w1"), Lookup::NotSynced));
    }
    world.cluster.synced().await;
    assert!(matches!(world.lookup("w1"), Lookup::NotFound));
}

#[tokio::test]
async fn d37_a_look_up_costs_no_api_call_and_there_is_one_target_per_state_of_a_pod() {
    let world = World::new().await;
    world.cluster.synced().await;
    world.add("w1");
    world.indexed("w1", |pods| !pods.is_empty()).await;
    assert!(
        matches!(
            world.lookup("w1"),
            Lookup::NotReady {
                why: NotReady { retry_after: SOON, progress: Some(Progress { at: 0, .. }), .. },
                ..
            }
        ),
        "{:?}",
        world.lookup("w1")
    );
    world.make_ready("w1", "10.0.0.1");
    world.indexed("w1", |pods| pods.iter().any(|pod| pod.ready)).await;

    let calls = world.cluster.api_calls();
    let first = world.target("w1");
    for _ in 0..100 {
        assert!(Arc::ptr_eq(&first, &world.target("w1")));
    }
    assert_eq!(world.cluster.api_calls(), calls);
    assert_eq!((first.ip().to_string().as_str(), first.owner().as_str()), ("10.0.0.1", "alice"));

    // The same pod at another address is another target.
    world.make_ready("w1", "10.0.0.2");
    world.indexed("w1", |pods| pods.iter().any(|pod| pod.ip == Some("10.0.0.2".parse().unwrap()))).await;
    assert_eq!(world.target("w1").ip().to_string(), "10.0.0.2");
}

#[tokio::test]
async fn a_pod_that_will_not_start_is_asked_for_less_often() {
    let world = World::new().await;
    world.add("w1");
    let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } });
    let container = json!({
        "name": "agent", "image": "busybox", "imageID": "", "ready": false, "restartCount": 0, "state": waiting,
    });
    world.set_status("w1", json!({ "phase": "Pending", "containerStatuses": [container] }));
    world.indexed("w1", |pods| pods.iter().any(|pod| pod.status.fatal)).await;
    let Lookup::NotReady { why, .. } = world.lookup("w1") else { unreachable!() };
    assert_eq!((why.state.as_str(), why.retry_after, why.progress), ("Degraded", LATER, None));
    let message = why.message;
    assert!(message.contains("no such image"), "{message}");
}

#[tokio::test]
async fn targets_of_pods_that_are_gone_are_forgotten() {
    let world = World::new().await;
    let forgetting = tokio::spawn(Arc::clone(&world.directory).forget_the_gone());
    world.add("w1");
    world.make_ready("w1", "10.0.0.1");
    world.indexed("w1", |pods| pods.iter().any(|pod| pod.ready)).await;
    let target = Arc::downgrade(&world.target("w1"));
    world.store().delete(Kind::Pod, "nogoo9", "w1", &Preconditions::none()).unwrap();
    let forgotten = async {
        while target.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.unwrap();
    assert!(matches!(world.lookup("w1"), Lookup::NotFound));
    forgetting.abort();
}

#[tokio::test]
async fn t36_d12_a_pod_on_its_node_s_network_is_not_reached() {
    let world = World::new().await;
    for (id, more) in [("node", json!({ "hostNetwork": true })), ("own", json!({ "hostNetwork": false }))] {
        world.add_with(id, more);
        world.make_ready(id, "10.0.0.1");
        world.indexed(id, |pods| pods.iter().any(|pod| pod.ready)).await;
    }
    assert_eq!(world.target("own").ip().to_string(), "10.0.0.1");
    let Lookup::NotReady { why, .. } = world.lookup("node") else { unreachable!() };
    let (message, retry_after) = (why.message, why.retry_after);
    assert_eq!((message.as_str(), retry_after), (NODE_NETWORK, LATER));
}

#[tokio::test]
async fn d04_t57_somebody_else_s_pod_says_nothing_of_a_workspace_that_starts() {
    let world = World::new().await;
    world.cluster.synced().await;
    world.add("w1");
    world.indexed("w1", |pods| pods.len() == 1).await;
    let labels = json!({
        keys::TYPE: keys::TYPE_WORKSPACE, keys::MANAGED_BY: keys::MANAGED_BY_VALUE,
        keys::WORKSPACE_ID: "w1", keys::USER_SUB: "mallory",
    });
    let intruder = json!({
        "metadata": {
            "name": "intruder", "namespace": "nogoo9", "labels": labels,
            "annotations": { keys::WORKSPACE_AUTH_MODE: "no-auth" },
        },
        "spec": { "nodeName": "n", "containers": [{ "name": "agent", "image": "busybox" }] },
    });
    world.store().create(Kind::Pod, intruder).unwrap();
    world.make_ready("intruder", "10.0.0.66");
    world.indexed("w1", |pods| pods.iter().any(|pod| pod.ready)).await;
    let Lookup::NotReady { owner, auth, .. } = world.lookup("w1") else { unreachable!() };
    assert_eq!((owner.as_str(), auth.open), ("alice", false));
    world.make_ready("w1", "10.0.0.1");
    world.indexed("w1", |pods| pods.iter().all(|pod| pod.ready)).await;
    assert_eq!(world.target("w1").ip().to_string(), "10.0.0.1");
}

#[tokio::test]
async fn t42_requests_under_way_count_when_the_pod_changes_and_when_it_is_replaced() {
    let world = World::new().await;
    world.cluster.synced().await;
    let forgetting = tokio::spawn(Arc::clone(&world.directory).forget_the_gone());
    world.add("w1");
    world.make_ready("w1", "10.0.0.1");
    world.indexed("w1", |pods| pods.iter().any(|pod| pod.ready)).await;
    let first = world.target("w1");
    let place = first.enter(1).unwrap();

    let change = |pod: &mut Value| {
        pod["metadata"]["annotations"] = json!({ keys::WORKSPACE_AUTH_MODE: "no-auth" });
        Ok(())
    };
    world.store().update(Kind::Pod, "nogoo9", "w1", &Preconditions::none(), change).unwrap();
    world.indexed("w1", |pods| pods.iter().any(|pod| pod.auth.open)).await;
    let changed = world.target("w1");
    assert!(!Arc::ptr_eq(&first, &changed) && changed.enter(1).is_none());

    // Its next pod, and then the first one goes.
    world.add_named("w1-next", "w1", json!({}));
    world.make_ready("w1-next", "10.0.0.2");
    world.indexed("w1", |pods| pods.iter().filter(|pod| pod.ready).count() == 2).await;
    let next = world.target("w1");
    assert_eq!(next.ip().to_string(), "10.0.0.2");
    assert!(next.enter(1).is_none());
    drop((first, changed, next));
    let mut changes = world.cluster.workspaces().changes();
    world.store().delete(Kind::Pod, "nogoo9", "w1", &Preconditions::none()).unwrap();
    while changes.recv().await.unwrap().kind != ChangeKind::Deleted {}
    // What forgets hears of it at the same time.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(world.target("w1").enter(1).is_none());
    drop(place);
    assert!(world.target("w1").enter(1).is_some());
    forgetting.abort();
}
