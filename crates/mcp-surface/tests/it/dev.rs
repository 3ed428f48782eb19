//! A server over the embedded cluster, for what a scripted API would answer too simply.

use nocrd_cluster::{Cluster, Config, Scope};
use nocrd_devcluster::{Config as DevConfig, DevCluster, kind::Kind};
use nocrd_mcp_surface::{Options, Surface};
use nocrd_model::{Caller, Namespace};
use nocrd_spawner::Spawner;
use serde_json::Value;

use crate::world::{Client, client_over, connect};

pub(crate) struct DevWorld {
    pub(crate) dev: DevCluster,
    pub(crate) cluster: Cluster,
    pub(crate) surface: Surface,
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
        let mut config = Config::new(Scope::Cluster, Namespace::parse("nogoo9").unwrap());
        change(&mut config);
        let cluster = Cluster::start(kube::Client::new(dev.router(), "nogoo9"), config).await.unwrap();
        cluster.synced().await;
        let surface = Surface::new(Spawner::new(cluster.clone(), Default::default(), limits), options);
        Self { dev, cluster, surface }
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

    pub(crate) async fn stop(self) {
        self.dev.shutdown().await.unwrap();
    }
}
