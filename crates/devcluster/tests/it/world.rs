//! Clusters to test with.

use std::{path::Path, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::await_condition,
};
use nocrd_devcluster::{Config, DevCluster, Sandbox};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Generous, for the machine may be busy; nothing is measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster that runs pods without sandboxes, so that it works everywhere.
pub(crate) async fn cluster() -> DevCluster {
    start(Config::default()).await
}

/// The same, with its objects in `dir`.
pub(crate) async fn cluster_in(dir: &Path) -> DevCluster {
    start(Config { data_dir: Some(dir.into()), ..Config::default() }).await
}

async fn start(config: Config) -> DevCluster {
    DevCluster::start(Config { sandbox: Sandbox::None, ..config }).await.expect("a cluster")
}

/// A client that needs no socket.
pub(crate) fn in_process(cluster: &DevCluster) -> Client {
    Client::new(cluster.router(), "nogoo9")
}

/// A client that finds the cluster as kubectl does.
pub(crate) async fn over_https(kubeconfig: &str) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a configuration");
    config.proxy_url = None;
    Client::try_from(config).expect("a client")
}

/// A pod that says what is given and then sleeps.
pub(crate) fn talker(name: &str, script: &str) -> Pod {
    let script = format!("{script}; exec sleep 3600");
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "app": "talker" } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "main", "image": "busybox", "command": ["/bin/sh", "-c", script] }],
        },
    }))
    .expect("a pod")
}

/// Creates a pod and waits until it is ready.
pub(crate) async fn run(pods: &Api<Pod>, pod: &Pod) -> Pod {
    pods.create(&PostParams::default(), pod).await.expect("created");
    ready(pods, pod.metadata.name.as_deref().expect("a name")).await
}

/// Waits until a pod is ready.
pub(crate) async fn ready(pods: &Api<Pod>, name: &str) -> Pod {
    let is_ready = |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let waiting = timeout(PATIENCE, await_condition(pods.clone(), name, is_ready));
    match waiting.await {
        Ok(pod) => pod.expect("watched").expect("there"),
        Err(_) => panic!("{name} never was ready: {:?}", pods.get(name).await),
    }
}

/// Waits until an object is gone.
pub(crate) async fn gone(pods: &Api<Pod>, name: &str) {
    let waiting = timeout(PATIENCE, await_condition(pods.clone(), name, |pod: Option<&Pod>| pod.is_none()));
    waiting.await.unwrap_or_else(|_| panic!("{name} never went")).expect("watched");
}

/// An object as plain JSON.
pub(crate) fn plain(object: &impl serde::Serialize) -> Value {
    serde_json::to_value(object).expect("JSON")
}
