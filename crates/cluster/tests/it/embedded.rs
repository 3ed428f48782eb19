//! Over the embedded cluster's API in this process, whose answers have the form of a real server's.

use std::sync::Arc;

use futures::future::join_all;
use nocrd_cluster::{Cluster, Error, Scope, Watched, WorkspacePod};
use nocrd_devcluster::{
    Config, DevCluster,
    access::{Namespaces, Rule},
};

use crate::{PATIENCE, config, fake, id, namespace, until};

/// Pods are stored, and nothing runs.
pub(crate) async fn embedded() -> DevCluster {
    DevCluster::start(Config { run_pods: false, ..Config::default() }).await.unwrap()
}

pub(crate) async fn start(embedded: &DevCluster, scope: Scope) -> Cluster {
    let client = kube::Client::new(embedded.router(), "nogoo9");
    let cluster = Cluster::start(client, config(scope)).await.unwrap();
    cluster.synced().await;
    cluster
}

#[tokio::test]
async fn t57_replicas_agree_on_who_came_first() {
    let embedded = embedded().await;
    let replicas = [start(&embedded, Scope::Cluster).await, start(&embedded, Scope::Cluster).await];
    let home = namespace("nogoo9");
    // Five of one id, through both replicas, and one name that two of them want.
    let names = ["a", "b", "c", "d", "d"];
    let creations = names.iter().zip(replicas.iter().cycle()).map(|(name, replica)| {
        let (home, pod) = (&home, fake::pod(name, "w1", false));
        async move { replica.create_pod(home, &pod).await }
    });
    let outcomes = join_all(creations).await;
    let refused: Vec<&Error> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(matches!(refused.as_slice(), [Error::AlreadyExists { .. }]), "{refused:?}");

    let mut orders = Vec::new();
    for replica in &replicas {
        let all = |pods: &[Arc<WorkspacePod>]| pods.len() == 4;
        let pods = replica.workspaces().wait_for(&id("w1"), PATIENCE, all).await.unwrap();
        orders.push(pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>());
    }
    assert_eq!(orders[0], orders[1]);
}

#[tokio::test]
async fn a_late_replica_keeps_what_it_sees() {
    let embedded = embedded().await;
    let first = start(&embedded, Scope::Namespaced).await;
    first.create_pod(&namespace("nogoo9"), &fake::pod("p1", "w1", false)).await.unwrap();
    let late = start(&embedded, Scope::Namespaced).await;
    assert_eq!(late.workspaces().get(&id("w1")).len(), 1);
    late.delete_pod(
        &namespace("nogoo9"),
        "p1",
        nocrd_cluster::DeletePod { grace_period_seconds: Some(0), ..Default::default() },
    )
    .await
    .unwrap();
    until("it is gone", || first.workspaces().is_empty() && late.workspaces().is_empty()).await;
}

#[tokio::test]
async fn t55_missing_rights_are_named() {
    let embedded = embedded().await;
    embedded.access().set(vec![
        Rule::deny("create", "pods"),
        Rule::deny("*", "events"),
        Rule::deny("list", "configmaps").within(Namespaces::Except(vec!["nogoo9".into()])),
    ]);
    let cluster = start(&embedded, Scope::Cluster).await;
    let report = cluster.permissions();
    assert!(!report.enables("spawn_workspace") && report.enables("stop_workspace"), "{report:?}");
    assert!(!report.enables("get_workspace_events") && report.complete, "{report:?}");
    let health = cluster.health();
    assert_eq!(
        (health.watched, health.watched_templates),
        (Watched::AllNamespaces, Watched::One(namespace("nogoo9")))
    );
    let error = cluster.create_pod(&namespace("nogoo9"), &fake::pod("p1", "w1", false)).await.unwrap_err();
    let text = "the server lacks the permission to create pods in namespace nogoo9";
    assert_eq!(error.to_string(), text, "{error:?}");

    embedded.access().set(Vec::new());
    cluster.refresh_permissions().await;
    assert!(cluster.permissions().enables("spawn_workspace"));
    assert_eq!(cluster.health().watched_templates, Watched::AllNamespaces);
}
