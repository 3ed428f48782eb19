//! A server over the embedded cluster, for what a scripted API would answer too simply.

use nocrd_cluster::{Cluster, Config, Scope};
use nocrd_devcluster::{Config as DevConfig, DevCluster, kind::Kind};
use nocrd_mcp_surface::{Options, Surface};
use nocrd_model::{Caller, Namespace};
use nocrd_spawner::Spawner;
use serde_json::{Value, json};

use crate::world::{Client, client_over, connect, until};

pub(crate) struct DevWorld {
    pub(crate) dev: DevCluster,
    pub(crate) cluster: Cluster,
    pub(crate) spawner: Spawner,
    pub(crate) surface: Surface,
}

impl AsRef<Surface> for DevWorld {
    fn as_ref(&self) -> &Surface {
        &self.surface
    }
}

impl DevWorld {
    /// Over a cluster whose pods are bound and never run.
    pub(crate) async fn new() -> Self {
        Self::with(nocrd_spawner::Config::default(), Options::default(), |_| {}).await
    }

    pub(crate) async fn with(
        limits: nocrd_spawner::Config,
        options: Options,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let dev = DevCluster::start(DevConfig { run_pods: false, ..DevConfig::default() }).await.unwrap();
        Self::over(dev, limits, options, change).await
    }

    /// Over a cluster that is there.
    pub(crate) async fn over(
        dev: DevCluster,
        limits: nocrd_spawner::Config,
        options: Options,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let world = Self::start(dev, limits, options, change).await;
        world.cluster.synced().await;
        world
    }

    /// Likewise, and the server may not yet know what there is.
    pub(crate) async fn start(
        dev: DevCluster,
        limits: nocrd_spawner::Config,
        options: Options,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let (cluster, spawner) = serve(&dev, limits, change).await;
        let surface = Surface::new(spawner.clone(), options);
        Self { dev, cluster, spawner, surface }
    }

    /// Another server over the same cluster, once it knows what there is.
    pub(crate) async fn again(&self, change: impl FnOnce(&mut Config)) -> Surface {
        let (cluster, spawner) = serve(&self.dev, Default::default(), change).await;
        cluster.synced().await;
        Surface::new(spawner, Options::default())
    }

    pub(crate) async fn client(&self, caller: Caller) -> Client {
        client_over(connect(&self.surface, caller)).await
    }

    /// The objects of a kind in the default namespace.
    pub(crate) fn objects(&self, kind: Kind) -> Vec<Value> {
        let all = self.dev.store().list(kind, Some("nogoo9")).items;
        all.iter().map(|object| (**object).clone()).collect()
    }

    pub(crate) fn object(&self, kind: Kind, name: &str) -> Value {
        let found = self.objects(kind).into_iter().find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_default()
    }

    /// Puts an object there, past all rules.
    pub(crate) fn create(&self, kind: Kind, object: &Value) {
        self.dev.store().create(kind, object.clone()).unwrap();
    }

    /// Asks the API server to create an object, with all defaults and checks.
    pub(crate) async fn apply(&self, resource: &str, object: &Value) {
        let request = http::Request::post(format!("/api/v1/namespaces/nogoo9/{resource}"))
            .header("content-type", "application/json")
            .body(object.to_string().into_bytes())
            .unwrap();
        self.cluster.client().request::<Value>(request).await.unwrap();
    }

    /// Waits until the server knows what there is: the pods that it manages, and the templates.
    pub(crate) async fn caught_up(&self) {
        self.knows_pods().await;
        let is_known = || {
            self.cluster.template_config_maps().len() == self.count(Kind::ConfigMap, "nogoo9/pod-template")
        };
        until("the server knows all templates", is_known).await;
    }

    /// Waits until the server knows the pods that it manages.
    pub(crate) async fn knows_pods(&self) {
        let is_known = || {
            self.cluster.pods().len() == self.count(Kind::Pod, "nogoo9/managed-by")
                && self.cluster.workspaces().len() == self.count(Kind::Pod, "nogoo9/workspace-id")
        };
        until("the server knows all pods", is_known).await;
    }

    /// How many objects of a kind have a label.
    fn count(&self, kind: Kind, label: &str) -> usize {
        let all = self.dev.store().list(kind, None).items;
        all.iter().filter(|object| object["metadata"]["labels"].get(label).is_some()).count()
    }

    pub(crate) async fn stop(self) {
        self.dev.shutdown().await.unwrap();
    }
}

async fn serve(
    dev: &DevCluster,
    limits: nocrd_spawner::Config,
    change: impl FnOnce(&mut Config),
) -> (Cluster, Spawner) {
    let mut config = Config::new(Scope::Cluster, Namespace::parse("nogoo9").unwrap());
    change(&mut config);
    let cluster = Cluster::start(kube::Client::new(dev.router(), "nogoo9"), config).await.unwrap();
    let spawner = Spawner::new(cluster.clone(), Default::default(), limits);
    (cluster, spawner)
}

/// What a cluster that runs no pods answers when it is asked for logs.
pub(crate) const NO_LOGS: &str = "no pods are run here";

/// A workspace's pod, as the spawner makes it.
pub(crate) fn workspace(id: &str, owner: &str) -> Value {
    let mut pod = raw_pod(&format!("ws-{id}"), owner);
    pod["metadata"]["labels"]["nogoo9/type"] = json!("workspace");
    pod["metadata"]["labels"]["nogoo9/workspace-id"] = json!(id);
    let annotations = &mut pod["metadata"]["annotations"];
    annotations["nogoo9/workspace-name"] = json!(format!("Workspace of {owner}"));
    annotations["nogoo9/template-ref"] = json!("default-agent-workspace");
    // Newer than any.
    annotations["nogoo9/template-version"] = json!("9999");
    pod
}

/// A pod that the server manages for somebody and that is no workspace.
pub(crate) fn raw_pod(name: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "nogoo9",
            "labels": {"nogoo9/managed-by": "nogoo9-spawner", "nogoo9/user-sub": owner},
            "annotations": {"nogoo9/user-sub": owner},
        },
        "spec": {"containers": [
            {"name": "agent", "image": "busybox", "env": [{"name": "TOKEN", "value": "s3cret"}]}]},
    })
}

/// Somebody's template, for holders of a role if one is named.
pub(crate) fn template(name: &str, owner: &str, role: Option<&str>) -> Value {
    let mut template = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "nogoo9",
            "labels": {"nogoo9/pod-template": "true", "nogoo9/user-sub": owner},
            "annotations": {"nogoo9/user-sub": owner, "nogoo9/description": "For tests"},
        },
        "data": {"spec": json!({"containers": [{"name": "agent", "image": "busybox"}]}).to_string()},
    });
    if let Some(role) = role {
        template["metadata"]["annotations"]["nogoo9/allowed-roles"] = json!(role);
    }
    template
}
