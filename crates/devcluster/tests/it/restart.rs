//! A cluster whose objects are kept.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, ResourceExt, api::PostParams};
use nocrd_devcluster::{Config, DevCluster, Error, store};
use serde_json::json;

use crate::world::{cluster_in, in_process, ready, run, talker};

#[tokio::test]
async fn objects_are_there_again_and_pods_run_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = cluster_in(dir.path()).await;
    let pods: Api<Pod> = Api::default_namespaced(in_process(&first));
    let maps: Api<ConfigMap> = Api::default_namespaced(in_process(&first));
    let map = serde_json::from_value(json!({ "metadata": { "name": "a" }, "data": { "k": "v" } }))
        .expect("a ConfigMap");
    let map = maps.create(&PostParams::default(), &map).await.expect("created");
    let before = run(&pods, &talker("p", "echo up")).await;
    let restarts = |pod: &Pod| {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
        statuses.unwrap_or_default().first().map(|status| (status.restart_count, status.container_id.clone()))
    };
    first.shutdown().await.expect("shut down");

    let second = cluster_in(dir.path()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(in_process(&second));
    assert_eq!(maps.get("a").await.expect("there"), map);
    let pods: Api<Pod> = Api::default_namespaced(in_process(&second));
    let running = kube::runtime::wait::await_condition(pods.clone(), "p", |pod: Option<&Pod>| {
        pod.is_some_and(|pod| restarts(pod) != restarts(&before) && restarts(pod).is_some())
    });
    tokio::time::timeout(crate::world::PATIENCE, running).await.expect("in time").expect("watched");
    let after = ready(&pods, "p").await;
    assert_eq!(after.uid(), before.uid(), "the same pod, not another one");
    second.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn a_directory_serves_one_cluster() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = cluster_in(dir.path()).await;
    let config = Config { data_dir: Some(dir.path().into()), ..Config::default() };
    match DevCluster::start(config).await {
        Err(error @ Error::Store(store::Error::Locked { .. })) => assert_eq!(error.code().id, "NCR0701"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two clusters share a directory"),
    }
    first.shutdown().await.expect("shut down");
}
