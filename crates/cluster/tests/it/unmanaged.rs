//! The pods that are not ours are looked at while somebody asks for them.

use std::time::Duration;

use nocrd_cluster::{Cluster, Scope};
use serde_json::{Value, json};

use crate::{
    config,
    fake::{Api, Expiry, pod},
    namespace, start, synced, until,
};

fn strange(namespace: &str, name: &str) -> Value {
    let mut pod = pod(name, "w", true);
    pod["metadata"]["namespace"] = json!(namespace);
    pod["metadata"]["labels"] = json!({"app": "db", "nogoo9/user-sub": "alice"});
    pod["metadata"]["annotations"] = json!({"large": "x"});
    pod
}

fn names(cluster: &Cluster) -> Option<Vec<String>> {
    let pods = cluster.unmanaged(&namespace("nogoo9"))?;
    Some(pods.iter().map(|pod| pod.name.clone()).collect())
}

#[tokio::test(start_paused = true)]
async fn they_are_known_a_moment_after_the_first_question() {
    let api = Api::default();
    api.put("pods", pod("ours", "w1", true));
    api.put("pods", strange("nogoo9", "b"));
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    assert_eq!(names(&cluster), None);
    until("they are known", || names(&cluster).is_some()).await;
    assert_eq!(names(&cluster).unwrap(), ["b"]);
    let found = cluster.unmanaged(&namespace("nogoo9")).unwrap();
    assert_eq!((found[0].owner.as_ref().unwrap().as_str(), found[0].annotations.len()), ("alice", 1));
    assert_eq!(found[0].field("status.phase").as_deref(), Some("Running"));
    assert!(api.count("labelSelector=nogoo9%2Fmanaged-by%21%3Dnogoo9-spawner") > 0);

    until("they are watched", || api.watching() == 3).await;
    let before = cluster.api_calls();
    api.put("pods", strange("nogoo9", "a"));
    until("it appears", || names(&cluster).unwrap() == ["a", "b"]).await;
    api.remove("pods", "nogoo9", "b");
    until("it goes", || names(&cluster).unwrap() == ["a"]).await;
    assert_eq!(cluster.api_calls(), before);

    // An expired watch starts over.
    api.end_watches();
    api.put("pods", strange("nogoo9", "c"));
    api.forget(Expiry::Event);
    until("it is read anew", || names(&cluster).unwrap() == ["a", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_after_the_last_question_the_watch_ends() {
    let api = Api::default();
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    assert_eq!(names(&cluster), None);
    until("the third watch", || api.watching() == 3).await;
    tokio::time::advance(Duration::from_secs(400)).await;
    assert_eq!(names(&cluster), Some(Vec::new()));
    tokio::time::advance(Duration::from_secs(400)).await;
    until("still watched", || api.watching() == 3).await;
    tokio::time::advance(Duration::from_secs(400)).await;
    until("no longer watched", || api.watching() == 2).await;
    // And begins anew.
    api.put("pods", strange("nogoo9", "a"));
    assert_eq!(names(&cluster), None);
    until("known again", || names(&cluster) == Some(vec!["a".to_owned()])).await;
    drop(cluster);
    until("nothing is watched", || api.watching() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_than_sixteen_namespaces_are_watched_and_none_outside() {
    let api = Api::default();
    let allowed = (0..20).map(|n| namespace(&format!("n{n}"))).collect();
    let config = nocrd_cluster::Config { allowed_namespaces: Some(allowed), ..config(Scope::Cluster) };
    let cluster = start(&api, config).await;
    cluster.synced().await;
    until("both watches", || api.watching() == 2).await;
    for n in 0..20 {
        assert!(cluster.unmanaged(&namespace(&format!("n{n}"))).is_none());
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    until("sixteen are watched", || api.watching() == 18).await;
    // The first made room for the last.
    assert!(cluster.unmanaged(&namespace("n19")).is_some());
    assert!(cluster.unmanaged(&namespace("n0")).is_none());

    let before = cluster.api_calls();
    assert!(cluster.unmanaged(&namespace("kube-system")).is_none());
    assert_eq!(cluster.api_calls(), before);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_nothing_is_told() {
    let api = Api::default();
    api.put("pods", strange("nogoo9", "a"));
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    assert_eq!(names(&cluster), None);
    until("it is known", || names(&cluster).is_some()).await;
    until("it is watched", || api.watching() == 3).await;
    api.deny("watch", "pods", "nogoo9");
    api.end_watches();
    until("it is not known any more", || names(&cluster).is_none()).await;
    api.remove("pods", "nogoo9", "a");
    api.put("pods", strange("nogoo9", "b"));
    api.allow_all();
    until("it is known again", || names(&cluster) == Some(vec!["b".to_owned()])).await;
}
