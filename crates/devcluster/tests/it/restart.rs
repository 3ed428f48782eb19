//! A cluster whose objects are kept.

use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, LogParams, PostParams},
    runtime::wait::await_condition,
};
use nocrd_devcluster::{Config, DevCluster, Error, store};
use serde_json::json;
use tokio::time::timeout;

use crate::world::{PATIENCE, cluster_in, gone, in_process, plain, ready, run, talker};

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

#[tokio::test]
async fn a_claims_files_are_there_again() {
    let (dir, mounts) =
        (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let path = mounts.path().join("data").display().to_string();
    let user = |name: &str, script: String| -> Pod {
        let mut pod = plain(&talker(name, &script));
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "v", "mountPath": path }]);
        pod["spec"]["volumes"] = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }]);
        serde_json::from_value(pod).expect("a pod")
    };
    let first = cluster_in(dir.path()).await;
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(in_process(&first));
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    let claim = serde_json::from_value(json!({ "metadata": { "name": "data" }, "spec": spec }));
    claims.create(&PostParams::default(), &claim.expect("a claim")).await.expect("created");
    let pods: Api<Pod> = Api::default_namespaced(in_process(&first));
    let ready = format!("until test -s {path}/file; do sleep 0.05; done");
    let mut writer = plain(&user("writer", format!("echo kept > {path}/file")));
    writer["spec"]["containers"][0]["readinessProbe"] =
        json!({ "exec": { "command": ["/bin/sh", "-c", ready] }, "timeoutSeconds": 30 });
    run(&pods, &serde_json::from_value(writer).expect("a pod")).await;
    pods.delete("writer", &DeleteParams::default()).await.expect("deleted");
    gone(&pods, "writer").await;
    first.shutdown().await.expect("shut down");

    let second = cluster_in(dir.path()).await;
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(in_process(&second));
    let pods: Api<Pod> = Api::default_namespaced(in_process(&second));
    let claim = claims.get("data").await.expect("there");
    assert_eq!(claim.status.and_then(|status| status.phase).as_deref(), Some("Bound"));
    run(&pods, &user("reader", format!("cat {path}/file"))).await;
    let follow = LogParams { follow: true, ..LogParams::default() };
    let mut lines = pods.log_stream("reader", &follow).await.expect("a log").lines();
    let line = timeout(PATIENCE, lines.try_next()).await.expect("in time").expect("no failure");
    assert_eq!(line.as_deref(), Some("kept"));

    // It stays for its pod, and its files with it.
    claims.delete("data", &DeleteParams::default()).await.expect("marked");
    assert!(claims.get("data").await.expect("there").metadata.deletion_timestamp.is_some());
    let files = dir.path().join("claims").join(claim.metadata.uid.expect("a uid"));
    assert!(files.join("file").is_file());
    pods.delete("reader", &DeleteParams::default()).await.expect("deleted");
    let going = await_condition(claims, "data", |claim: Option<&PersistentVolumeClaim>| claim.is_none());
    timeout(PATIENCE, going).await.expect("in time").expect("watched");
    let removed = async {
        while files.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, removed).await.expect("in time");
    second.shutdown().await.expect("shut down");
}
