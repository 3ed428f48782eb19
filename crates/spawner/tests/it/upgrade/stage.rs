//! A cluster with a template that has versions, and spawners whose upgraders run.

use std::time::Duration;

use nocrd_devcluster::{
    BackoffConfig, Config as DevConfig, DevCluster,
    kind::Kind,
    store::{Preconditions, Store},
};
use nocrd_spawner::{
    Begun, Caller, Config, Error, SpawnRequest, Spawner, TemplateSources, UpgradeConfig, UpgradeRequest,
    WaitOptions, Workspace,
    cluster::{LogOptions, State},
    model::Namespace,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::world::{IMAGE, PATIENCE, World, id, request, until};

/// Upgrades without delay.
pub(super) fn quick() -> Config {
    Config {
        upgrade: UpgradeConfig {
            timeout: PATIENCE,
            steady: Duration::from_millis(20),
            settle: Duration::from_millis(50),
            courtesy: Duration::from_millis(50),
            at_once: 64,
            sweep_period: Duration::from_millis(200),
        },
        ..Config::default()
    }
}

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) spawner: Spawner,
    pub(super) upgrader: JoinHandle<()>,
}

pub(super) fn upgrader(spawner: &Spawner) -> JoinHandle<()> {
    let spawner = spawner.clone();
    tokio::spawn(async move { spawner.upgrader().await })
}

/// A cluster whose containers that fail are started again soon.
pub(super) async fn cluster(run_pods: bool) -> World {
    let delay = Duration::from_secs(1);
    let backoff = BackoffConfig { base: delay, max: delay, reset_after: Duration::from_secs(600) };
    World { dev: DevCluster::start(DevConfig { run_pods, backoff, ..DevConfig::default() }).await.unwrap() }
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(quick()).await
    }

    pub(super) async fn with(config: Config) -> Self {
        Self::on(cluster(true).await, config).await
    }

    pub(super) async fn on(world: World, config: Config) -> Self {
        let spawner = Spawner::new(world.cluster(true).await, TemplateSources::default(), config);
        let upgrader = upgrader(&spawner);
        Self { world, spawner, upgrader }
    }

    pub(super) async fn stop(self) {
        let Self { world, upgrader, .. } = self;
        upgrader.abort();
        world.stop().await;
    }

    /// Puts a version of the template `t` there, and waits until the spawner knows.
    pub(super) async fn publish(&self, version: &str, annotations: Value, spec: Value) {
        publish(self.world.dev.store(), "nogoo9", version, annotations, spec);
        self.knows(version).await;
    }

    pub(super) async fn knows(&self, version: &str) {
        until("the template is known", || {
            let found = self.spawner.catalogue().resolve(&"t".parse().unwrap(), &"nogoo9".parse().unwrap());
            found.is_ok_and(|template| template.version() == version)
        })
        .await;
    }

    /// Spawns from the template, and waits until it is ready.
    pub(super) async fn spawn(&self, wish: SpawnRequest) -> Workspace {
        let id = wish.id.clone();
        self.spawner.spawn(wish).await.unwrap();
        self.ready(id.as_str()).await
    }

    pub(super) async fn ready(&self, name: &str) -> Workspace {
        let options = WaitOptions { timeout: PATIENCE, settle: PATIENCE, steady: Duration::ZERO };
        self.spawner.wait_ready(&id(name), None, options, |_| {}).await.unwrap()
    }

    pub(super) async fn begin(&self, name: &str) -> Result<Begun, Error> {
        self.spawner.begin_upgrade(upgrade(name)).await
    }

    pub(super) async fn upgrade(&self, name: &str) -> Result<Workspace, Error> {
        let begun = self.begin(name).await.unwrap();
        assert!(begun.changed, "{begun:?}");
        self.ended(name).await
    }

    /// Waits until the upgrade has ended.
    pub(super) async fn ended(&self, name: &str) -> Result<Workspace, Error> {
        let options = WaitOptions { timeout: PATIENCE, ..WaitOptions::default() };
        self.spawner.wait_upgraded(&id(name), None, options, |_| {}).await
    }

    /// Waits until the workspace has one pod, and gives it.
    pub(super) async fn only_pod(&self, name: &str) -> Value {
        let store = self.world.dev.store();
        until("it has one pod", || pods_of(store, "nogoo9", name).len() == 1).await;
        pods_of(store, "nogoo9", name).remove(0)
    }

    /// Waits until the main container of a pod has logged these lines.
    pub(super) async fn logs(&self, pod: &Value, lines: &[&str]) {
        let name = pod["metadata"]["name"].as_str().unwrap();
        until_log(&self.spawner, &"nogoo9".parse().unwrap(), name, lines).await;
    }
}

/// Waits until the main container of a pod has logged these lines: it is ready before it has.
pub(super) async fn until_log(spawner: &Spawner, namespace: &Namespace, pod: &str, lines: &[&str]) {
    let options = LogOptions { container: Some("agent".into()), ..LogOptions::default() };
    let mut log = String::new();
    let logged = async {
        while log.lines().ne(lines.iter().copied()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            log = spawner.cluster().pod_logs(namespace, pod, options.clone()).await.unwrap().text;
        }
    };
    let logged = tokio::time::timeout(PATIENCE, logged).await.is_ok();
    assert!(logged, "{pod}: {log:?} is not {lines:?}");
}

pub(super) fn upgrade(name: &str) -> UpgradeRequest {
    UpgradeRequest { id: id(name), namespace: None, caller: Caller::local(), force: false }
}

/// A wish for a workspace from the template `t`, with context.
pub(super) fn wish(name: &str) -> SpawnRequest {
    SpawnRequest {
        source: "t".parse::<nocrd_spawner::TemplateRef>().unwrap().into(),
        context: [("TOKEN", "s3cret")].into_iter().collect(),
        name: Some(format!("Mine {name}")),
        ..request(name, "ada")
    }
}

pub(super) fn publish(store: &Store, namespace: &str, version: &str, annotations: Value, spec: Value) {
    let mut all = json!({"nogoo9/template-version": version, "nogoo9/required-context": "TOKEN"});
    all.as_object_mut().unwrap().extend(annotations.as_object().unwrap().clone());
    let object = json!({
        "metadata": {
            "name": "t", "namespace": namespace, "labels": {"nogoo9/pod-template": "true"}, "annotations": all,
        },
        "data": {"spec": spec.to_string()},
    });
    let change = |known: &mut Value| {
        known["metadata"]["annotations"] = object["metadata"]["annotations"].clone();
        known["data"] = object["data"].clone();
        Ok(())
    };
    if store.update(Kind::ConfigMap, namespace, "t", &Preconditions::none(), change).is_err() {
        store.create(Kind::ConfigMap, object.clone()).unwrap();
    }
}

/// A pod that runs until it is stopped.
pub(super) const RUNS: &str = "trap 'exit 0' TERM; sleep 3600 & wait";

/// The template's spec: `script` sees which version it is of.
pub(super) fn spec(version: &str, script: &str) -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "agent", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "VERSION", "value": version}],
            "command": ["/bin/sh", "-c", script],
        }],
    })
}

/// The same with a volume that one pod can have at a time. What the first pod writes there, all tell.
pub(super) fn spec_with_claim(version: &str, script: &str) -> Value {
    let note = "test -e /data/mine || echo by $VERSION >/data/mine; cat /data/mine";
    let mut spec = spec(version, &format!("{note}; {script}"));
    spec["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-${{workspace_id}}"}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    spec
}

pub(super) fn create_claim(store: &Store, namespace: &str, name: &str, mode: &str) {
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": format!("data-{name}"), "namespace": namespace},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Mi"}}},
    });
    store.create(Kind::PersistentVolumeClaim, claim).unwrap();
}

/// The pods of a workspace, those that are going away included.
pub(super) fn pods_of(store: &Store, namespace: &str, name: &str) -> Vec<Value> {
    let all = store.list(Kind::Pod, Some(namespace)).items;
    let ours = |pod: &&std::sync::Arc<Value>| pod["metadata"]["labels"]["nogoo9/workspace-id"] == name;
    all.iter().filter(ours).map(|pod| (**pod).clone()).collect()
}

pub(super) fn annotation<'a>(pod: &'a Value, key: &str) -> Option<&'a str> {
    pod["metadata"]["annotations"].get(key).and_then(Value::as_str)
}

/// What an upgrade notes on pods, and takes off again.
pub(super) fn is_plain(pod: &Value) -> bool {
    let keys = ["nogoo9/upgrade", "nogoo9/upgrade-from", "nogoo9/upgrade-rollback"];
    keys.iter().all(|key| annotation(pod, key).is_none())
}

pub(super) fn is_upgrading(workspace: &Workspace) -> bool {
    workspace.status().state == State::Upgrading
}

/// Not for the moment either that a container without a probe is ready before it crashes.
pub(super) fn never_ready(spec: &mut Value) {
    spec["containers"][0]["readinessProbe"] = json!({"exec": {"command": ["false"]}});
}
