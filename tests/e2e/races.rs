//! Many at a time.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    dev::PATIENCE,
    program::Program,
    rpc::{Rpc, idle},
};

/// Spawns all of `ids` at once; gives the reason of each refusal, and how many there were of it.
async fn spawn_all(rpc: &Rpc, ids: impl Iterator<Item = String>) -> (usize, BTreeMap<String, usize>) {
    let results: Vec<Value> =
        join_all(ids.map(|id| async move { rpc.attempt("spawn_workspace", idle(&id)).await.unwrap() })).await;
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for result in results.iter().filter(|result| result["isError"] == true) {
        let reason = result["structuredContent"]["error"]["reason"].as_str().unwrap().to_owned();
        *refused.entry(reason).or_default() += 1;
    }
    (results.len() - refused.values().sum::<usize>(), refused)
}

#[tokio::test]
async fn t57_two_hundred_spawns_of_a_hundred_ids_make_a_hundred_workspaces() {
    let dir = tempfile::tempdir().unwrap();
    let dev = Program::dev(&dir.path().join("kubeconfig"), &[], &[("STATELESS", "true")]);
    let rpc = Rpc::new(&dev.base());
    let (spawned, refused) = spawn_all(&rpc, (0..200).map(|n| format!("w{}", n % 100))).await;
    assert_eq!((spawned, refused), (100, BTreeMap::from([("WorkspaceExists".to_owned(), 100)])));
    let mut expected: Vec<String> = (0..100).map(|n| format!("w{n}")).collect();
    expected.sort();
    assert_eq!(rpc.ids().await, expected);
    dev.stop();
}

#[tokio::test]
async fn t56_a_quota_holds_however_many_spawn_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let env = [("STATELESS", "true"), ("MAX_WORKSPACES_PER_USER", "5")];
    let dev = Program::dev(&dir.path().join("kubeconfig"), &[], &env);
    let rpc = Rpc::new(&dev.base());
    let (spawned, refused) = spawn_all(&rpc, (0..40).map(|n| format!("w{n}"))).await;
    assert_eq!((spawned, refused), (5, BTreeMap::from([("QuotaExceeded".to_owned(), 35)])));
    // Those that were too many are on their way out.
    let deadline = Instant::now() + PATIENCE;
    while rpc.ids().await.len() != 5 {
        assert!(Instant::now() < deadline, "{:?}", rpc.ids().await);
        sleep(Duration::from_millis(50)).await;
    }
    dev.stop();
}
