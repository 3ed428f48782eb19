//! The listener: what is asked of those who connect, and what only a connection can do.

use std::net::SocketAddr;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api,
    api::{AttachParams, ListParams, WatchParams},
};
use nocrd_devcluster::{Config, DevCluster, Error, Sandbox};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::world::{PATIENCE, cluster, over_https, run, talker};

#[tokio::test]
async fn the_kubeconfig_is_all_a_client_needs() {
    let cluster = cluster().await;
    let client = over_https(&cluster.kubeconfig()).await;
    assert_eq!(client.default_namespace(), "nogoo9");
    let version = client.apiserver_version().await.expect("a version");
    assert_eq!(version.minor, "36");
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    assert!(maps.list(&ListParams::default()).await.expect("listed").items.is_empty());

    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kubeconfig");
    cluster.write_kubeconfig(&path).expect("written");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), cluster.kubeconfig());
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let cluster = cluster().await;
    let wrong = cluster.kubeconfig().replace(cluster.token().reveal(), "wrong");
    let maps: Api<ConfigMap> = Api::default_namespaced(over_https(&wrong).await);
    match maps.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 401),
        other => panic!("{other:?}"),
    }
    // Another cluster's certificates are no proof of this one.
    let other = crate::world::cluster().await;
    let confused = cluster.kubeconfig().replace(&cluster.url(), &other.url());
    let maps: Api<ConfigMap> = Api::default_namespaced(over_https(&confused).await);
    assert!(
        matches!(maps.list(&ListParams::default()).await, Err(error) if !matches!(error, kube::Error::Api(_)))
    );
    cluster.shutdown().await.expect("shut down");
    other.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn it_listens_on_this_machine_only_and_only_once() {
    let start = async |bind: SocketAddr| {
        DevCluster::start(Config { bind, sandbox: Sandbox::None, ..Config::default() }).await
    };
    let everywhere = start("0.0.0.0:0".parse().expect("an address")).await;
    assert!(matches!(everywhere, Err(Error::NotLoopback { .. })));
    let cluster = cluster().await;
    let address = cluster.url().trim_start_matches("https://").parse().expect("an address");
    assert!(matches!(start(address).await, Err(Error::Listen { .. })));
    cluster.shutdown().await.expect("shut down");
    start(address).await.expect("free again").shutdown().await.expect("shut down");
}

#[tokio::test]
async fn commands_run_in_containers() {
    let cluster = cluster().await;
    let pods: Api<Pod> = Api::default_namespaced(over_https(&cluster.kubeconfig()).await);
    run(&pods, &talker("p", "true")).await;

    let script = "cat; echo problem >&2; exit 3";
    let params = AttachParams::default().stdin(true).stdout(true).stderr(true);
    let mut process = pods.exec("p", ["/bin/sh", "-c", script], &params).await.expect("started");
    let mut stdin = process.stdin().expect("asked for");
    let (mut stdout, mut stderr) =
        (process.stdout().expect("asked for"), process.stderr().expect("asked for"));
    let status = process.take_status().expect("asked for");
    stdin.write_all(b"input").await.expect("written");
    stdin.shutdown().await.expect("closed");
    drop(stdin);
    let (mut output, mut problems) = (String::new(), String::new());
    let reading = async {
        stdout.read_to_string(&mut output).await.expect("read");
        stderr.read_to_string(&mut problems).await.expect("read");
        status.await.expect("a result")
    };
    let status = timeout(PATIENCE, reading).await.expect("in time");
    assert_eq!((output.as_str(), problems.as_str()), ("input", "problem\n"));
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    let causes = status.details.expect("details").causes.expect("causes");
    assert_eq!(causes[0].message.as_deref(), Some("3"));

    let params = AttachParams::default().stdout(true).stderr(false);
    let mut process = pods.exec("p", ["/bin/echo", "hello"], &params).await.expect("started");
    let mut output = String::new();
    let mut stdout = process.stdout().expect("asked for");
    timeout(PATIENCE, stdout.read_to_string(&mut output)).await.expect("in time").expect("read");
    assert_eq!(output, "hello\n");
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn shutting_down_ends_watches_and_commands() {
    let cluster = cluster().await;
    let client = over_https(&cluster.kubeconfig()).await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    run(&pods, &talker("p", "true")).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let events = maps.watch(&WatchParams::default(), "0").await.expect("watching");
    let params = AttachParams::default().stdout(true);
    let mut process = pods.exec("p", ["/bin/sleep", "3600"], &params).await.expect("started");
    let mut stdout = process.stdout().expect("asked for");
    timeout(PATIENCE, cluster.shutdown()).await.expect("in time").expect("shut down");
    let _ = timeout(PATIENCE, events.try_collect::<Vec<_>>()).await.expect("the watch ends");
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stdout.read_to_end(&mut rest)).await.expect("the command ends");
}

#[tokio::test]
async fn dropping_the_cluster_closes_it() {
    let cluster = cluster().await;
    let address: SocketAddr = cluster.url().trim_start_matches("https://").parse().expect("an address");
    drop(cluster);
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("in time");
}
