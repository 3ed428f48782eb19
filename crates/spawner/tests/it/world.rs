//! A cluster, and spawners on it.

use std::{path::PathBuf, time::Duration};

use nocrd_devcluster::{Config as DevConfig, DevCluster, kind::Kind};
use nocrd_spawner::{
    Cluster, Config, Error, Source, SpawnRequest, Spawned, Spawner, Subject, TemplateSources, WorkspaceId,
    cluster::{Config as ClusterConfig, Scope},
};
use serde_json::{Value, json};

/// Long enough never to be the reason of a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) dev: DevCluster,
}

impl World {
    /// A cluster whose pods are bound and never run.
    pub(crate) async fn idle() -> Self {
        Self::start(DevConfig { run_pods: false, ..DevConfig::default() }).await
    }

    /// A cluster that runs pods as processes.
    pub(crate) async fn running() -> Self {
        Self::start(DevConfig::default()).await
    }

    async fn start(config: DevConfig) -> Self {
        Self { dev: DevCluster::start(config).await.unwrap() }
    }

    /// A cluster connection that has read everything: what one replica has.
    pub(crate) async fn cluster(&self, check_permissions: bool) -> Cluster {
        self.cluster_with(|config| config.check_permissions = check_permissions).await
    }

    /// Likewise, set up differently.
    pub(crate) async fn cluster_with(&self, change: impl FnOnce(&mut ClusterConfig)) -> Cluster {
        let client = kube::Client::new(self.dev.router(), "nogoo9");
        let mut config = ClusterConfig::new(Scope::Cluster, "nogoo9".parse().unwrap());
        change(&mut config);
        let cluster = Cluster::start(client, config).await.unwrap();
        tokio::time::timeout(PATIENCE, cluster.synced()).await.unwrap();
        cluster
    }

    pub(crate) async fn spawner(&self, config: Config) -> Spawner {
        Spawner::new(self.cluster(true).await, TemplateSources::default(), config)
    }

    /// Puts an object there, past all rules.
    pub(crate) fn create(&self, kind: Kind, object: &Value) {
        self.dev.store().create(kind, object.clone()).unwrap();
    }

    pub(crate) fn count(&self, kind: Kind, namespace: &str) -> usize {
        self.objects(kind, namespace).len()
    }

    /// The objects that the spawner made in a namespace.
    pub(crate) fn objects(&self, kind: Kind, namespace: &str) -> Vec<Value> {
        let ours = |object: &Value| object["metadata"]["labels"]["nogoo9/managed-by"] == "nogoo9-spawner";
        let all = self.dev.store().list(kind, Some(namespace)).items;
        all.iter().map(|object| (**object).clone()).filter(ours).collect()
    }

    pub(crate) async fn stop(self) {
        self.dev.shutdown().await.unwrap();
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

pub(crate) fn id(text: &str) -> WorkspaceId {
    WorkspaceId::parse(text).unwrap()
}

/// The image that stands for any in these tests.
pub(crate) const IMAGE: &str = "busybox";

pub(crate) fn shell(script: &str) -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "agent", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["/bin/sh", "-c", script]}],
    })
}

pub(crate) fn request(id_: &str, owner: &str) -> SpawnRequest {
    let script = "trap 'exit 0' TERM; sleep 3600 & wait";
    SpawnRequest::builder()
        .id(id(id_))
        .source(Source::Inline(shell(script)))
        .owner(Subject::new(owner))
        .build()
}

/// How many succeeded, and the codes of the others.
pub(crate) fn tally(results: Vec<Result<Spawned, Error>>) -> (usize, Vec<&'static str>) {
    let mut codes = Vec::new();
    let mut succeeded = 0;
    for result in results {
        match result {
            Ok(_) => succeeded += 1,
            Err(error) => codes.push(error.code().reason),
        }
    }
    codes.sort_unstable();
    codes.dedup();
    (succeeded, codes)
}

/// A directory with the template `role`, which gives its workspaces an AWS role.
pub(crate) fn role_template() -> (tempfile::TempDir, TemplateSources) {
    let text = "metadata:\n  annotations:\n    nogoo9/iam-role-arn: arn:aws:iam::123456789012:role/r\n\
                spec: {containers: [{name: agent, image: busybox, command: [sleep, '3600']}]}";
    template_directory("role", text)
}

/// A wish for a workspace with a role, and context.
pub(crate) fn with_role(name: &str) -> SpawnRequest {
    let source = "role".parse::<nocrd_spawner::TemplateRef>().unwrap().into();
    SpawnRequest { source, ..with_context(name) }
}

/// A wish for a workspace with context.
pub(crate) fn with_context(name: &str) -> SpawnRequest {
    SpawnRequest { context: [("TOKEN", "s3cret")].into_iter().collect(), ..request(name, "ada") }
}

/// A directory with one template file.
pub(crate) fn template_directory(name: &str, text: &str) -> (tempfile::TempDir, TemplateSources) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(format!("{name}.yaml")), text).unwrap();
    let path: PathBuf = directory.path().into();
    (directory, TemplateSources { directory: Some(path), ..TemplateSources::default() })
}
