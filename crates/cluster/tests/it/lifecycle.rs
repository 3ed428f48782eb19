//! Workspaces' pods from creation to deletion, over a cluster that runs them: the embedded one, and a real one.
//!
//! The real one is the current context of the kubeconfig. Its pods get the image `NOCRD_TEST_IMAGE` (default
//! `busybox`), and are pinned to the node `NOCRD_TEST_NODE` when that is set.

use std::{env, path::PathBuf, sync::Arc, time::Duration};

use nocrd_cluster::{
    Cluster, Config, ConnectOptions, Connection, DeletePod, Error, LogOptions, Scope, State, WorkspacePod,
    connect,
};
use nocrd_devcluster::DevCluster;
use nocrd_model::{Namespace, WorkspaceId, keys};
use serde_json::{Value, json};

use crate::PATIENCE;

/// A cluster, and how to make pods there.
struct World {
    cluster: Cluster,
    namespace: Namespace,
    image: String,
    node: Option<String>,
    /// Whether the API server refuses fields that it does not know: since 1.25 it can.
    checks_fields: bool,
}

impl World {
    async fn of(connection: Connection) -> Self {
        let version = connection.probe(PATIENCE).await.unwrap();
        let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
        let namespace = Namespace::parse(&connection.namespace).unwrap();
        let mut config = Config::new(Scope::Namespaced, namespace.clone());
        config.server = Some(connection.server);
        let cluster = Cluster::start(connection.client, config).await.unwrap();
        tokio::time::timeout(PATIENCE, cluster.synced()).await.unwrap();
        Self { cluster, namespace, image: "busybox".to_owned(), node: None, checks_fields: minor >= 25 }
    }

    async fn real() -> Self {
        let options = ConnectOptions {
            kubeconfig: env::var_os("KUBECONFIG")
                .map(|paths| env::split_paths(&paths).collect())
                .unwrap_or_default(),
            home: env::var_os("HOME").map(PathBuf::from),
            ..ConnectOptions::default()
        };
        let mut world = Self::of(connect(&options).await.unwrap()).await;
        world.image = env::var("NOCRD_TEST_IMAGE").unwrap_or(world.image);
        world.node = env::var("NOCRD_TEST_NODE").ok();
        world
    }

    /// Over its socket and its kubeconfig, as any other client.
    async fn embedded(cluster: &DevCluster) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        cluster.write_kubeconfig(&file).unwrap();
        let options = ConnectOptions { kubeconfig: vec![file], ..ConnectOptions::default() };
        let connection = connect(&options).await.unwrap();
        assert_eq!(connection.server, cluster.url());
        Self::of(connection).await
    }

    fn pod(&self, id: &WorkspaceId, command: &str) -> Value {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("ws-{id}"),
                "labels": {
                    keys::TYPE: keys::TYPE_WORKSPACE, keys::MANAGED_BY: keys::MANAGED_BY_VALUE,
                    keys::WORKSPACE_ID: id.as_str(), keys::USER_SUB: "cluster-test",
                },
                "annotations": {keys::WORKSPACE_PORT: "8080"},
            },
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "agent", "image": self.image, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", command],
                }],
            },
        });
        if let Some(node) = &self.node {
            pod["spec"]["nodeName"] = json!(node);
        }
        pod
    }

    /// Runs a test with a pod, and deletes it whatever becomes of the test.
    async fn with_pod<F: Future<Output = ()>>(
        &self,
        command: &str,
        test: impl FnOnce(WorkspaceId, Value) -> F,
    ) {
        let id = WorkspaceId::parse(&format!("t-{:08x}", rand::random::<u32>())).unwrap();
        let created = self.cluster.create_pod(&self.namespace, &self.pod(&id, command)).await.unwrap();
        let test = std::panic::AssertUnwindSafe(test(id.clone(), created));
        let outcome = futures::FutureExt::catch_unwind(test).await;
        let options = DeletePod { uid: None, grace_period_seconds: Some(0) };
        self.cluster.delete_pod(&self.namespace, &format!("ws-{id}"), options).await.unwrap();
        let gone = self.cluster.workspaces().wait_for(&id, PATIENCE, <[Arc<WorkspacePod>]>::is_empty).await;
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        gone.unwrap();
    }

    async fn a_pod_from_creation_to_deletion(&self) {
        let Self { cluster, namespace, .. } = self;
        assert!(cluster.permissions().enables("spawn_workspace"), "{:?}", cluster.permissions());
        self.with_pod("echo hello; exec sleep 3600", |id, created| async move {
            let uid = created["metadata"]["uid"].as_str().unwrap();
            let name = format!("ws-{id}");
            let seen = cluster.workspaces().wait_for_uid(namespace, &name, uid, PATIENCE).await.unwrap();
            assert_eq!(seen.unwrap().owner.as_str(), "cluster-test");
            let ready = |pods: &[Arc<WorkspacePod>]| pods.iter().any(|pod| pod.ready);
            let pods = cluster.workspaces().wait_for(&id, PATIENCE, ready).await.unwrap();
            assert_eq!((pods[0].status.state, pods[0].port.unwrap().get()), (State::Running, 8080));
            assert!(pods[0].ip.is_some());

            let before = cluster.api_calls();
            assert!(cluster.workspaces().routable(&id).is_some());
            assert_eq!(cluster.api_calls(), before);

            // Without a readiness probe the pod is ready as soon as it runs, which may be before it has written.
            let logged = async {
                loop {
                    let log = cluster.pod_logs(namespace, &name, LogOptions::default()).await.unwrap().text;
                    if !log.is_empty() {
                        break log;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            assert_eq!(tokio::time::timeout(PATIENCE, logged).await.unwrap(), "hello\n");
            let events = cluster.events_for(namespace, &name, Some(uid)).await.unwrap();
            assert!(events.iter().any(|event| event.reason == "Started"), "{events:?}");
            let again = cluster.create_pod(namespace, &self.pod(&id, "true")).await.unwrap_err();
            assert!(matches!(again, Error::AlreadyExists { .. }), "{again:?}");
            let other = DeletePod {
                uid: Some("00000000-0000-0000-0000-000000000000".into()),
                ..DeletePod::default()
            };
            let other = cluster.delete_pod(namespace, &name, other).await.unwrap_err();
            assert!(matches!(other, Error::Conflict { .. }), "{other:?}");
        })
        .await;
    }

    async fn a_pod_that_crashes_is_degraded(&self) {
        let cluster = &self.cluster;
        self.with_pod("exit 3", |id, _| async move {
            let broken =
                |pods: &[Arc<WorkspacePod>]| pods.iter().any(|pod| pod.status.state == State::Degraded);
            let pods = cluster.workspaces().wait_for(&id, PATIENCE, broken).await.unwrap();
            assert!(pods[0].status.message.contains("agent exited with code 3"), "{}", pods[0].status);
        })
        .await;
    }

    async fn what_the_api_server_refuses(&self) {
        let Self { cluster, namespace, .. } = self;
        let id = WorkspaceId::parse("t-refused").unwrap();
        if self.checks_fields {
            let mut unknown = self.pod(&id, "true");
            unknown["spec"]["nonsense"] = json!(1);
            let error = cluster.create_pod(namespace, &unknown).await.unwrap_err();
            let names_it = matches!(&error, Error::Invalid { message, .. } if message.contains("nonsense"));
            assert!(names_it, "{error:?}");
        }
        let mut invalid = self.pod(&id, "true");
        invalid["spec"]["containers"][0]["name"] = json!("Not A Name");
        let error = cluster.create_pod(namespace, &invalid).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid { causes, .. } if !causes.is_empty()), "{error:?}");
        let error = cluster.get_pod(namespace, "t-not-there").await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(
            cluster.list_workspace_pods(None).await.unwrap().iter().filter(|pod| pod.id == id).count(),
            0
        );
    }

    /// Objects made for workspaces are found by their mark; others are left alone.
    async fn accounts_and_secrets(&self) {
        let Self { cluster, namespace, .. } = self;
        let id = WorkspaceId::parse(&format!("t-{:08x}", rand::random::<u32>())).unwrap();
        let metadata = json!({"name": format!("ws-x-{id}"), "labels": {
            keys::MANAGED_BY: keys::MANAGED_BY_VALUE, keys::WORKSPACE_ID: id.as_str(),
        }});
        let name = metadata["name"].as_str().unwrap();
        cluster.create_service_account(namespace, &json!({"metadata": metadata})).await.unwrap();
        cluster
            .create_secret(namespace, &json!({"metadata": metadata, "stringData": {"A": "b"}}))
            .await
            .unwrap();
        let secret_is_there = cluster.secret_exists(namespace, name).await;
        let accounts = cluster.list_service_accounts(None).await;
        let secrets = cluster.list_secrets(None).await;
        cluster.delete_service_account(namespace, name, None).await.unwrap();
        cluster.delete_secret(namespace, name, None).await.unwrap();
        for found in [accounts.unwrap(), secrets.unwrap()] {
            assert!(found.iter().any(|object| object.workspace_id.as_ref() == Some(&id)), "{found:?}");
        }
        assert!(secret_is_there.unwrap());
        assert!(!cluster.secret_exists(namespace, name).await.unwrap());
        // Gone already: no error.
        cluster.delete_secret(namespace, name, None).await.unwrap();
    }
}

#[tokio::test]
async fn over_the_embedded_cluster() {
    let embedded = DevCluster::start(nocrd_devcluster::Config::default()).await.unwrap();
    let world = World::embedded(&embedded).await;
    world.a_pod_from_creation_to_deletion().await;
    world.a_pod_that_crashes_is_degraded().await;
    world.what_the_api_server_refuses().await;
    world.accounts_and_secrets().await;
    embedded.shutdown().await.unwrap();
}

#[tokio::test]
#[ignore = "needs cluster (creates pods)"]
async fn a_pod_from_creation_to_deletion() {
    World::real().await.a_pod_from_creation_to_deletion().await;
}

#[tokio::test]
#[ignore = "needs cluster (creates pods)"]
async fn a_pod_that_crashes_is_degraded() {
    World::real().await.a_pod_that_crashes_is_degraded().await;
}

#[tokio::test]
#[ignore = "needs cluster (creates nothing)"]
async fn what_the_api_server_refuses() {
    World::real().await.what_the_api_server_refuses().await;
}

#[tokio::test]
#[ignore = "needs cluster (creates a Secret and a ServiceAccount)"]
async fn accounts_and_secrets() {
    World::real().await.accounts_and_secrets().await;
}
