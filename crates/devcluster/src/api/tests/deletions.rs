use serde_json::json;

use super::*;

#[tokio::test]
async fn options_from_body_and_query() {
    let world = World::new();
    world.pod("p").await;
    world.bind("p");
    let wrong = json!({ "preconditions": { "uid": "x" } });
    let (code, _, message) = world.send("DELETE", "pods/p", &[], wrong.to_string()).await.failure();
    assert!(code == 409 && message.contains("Pod \"p\": the UID in the precondition (x)"), "{message}");
    let stale = json!({ "preconditions": { "resourceVersion": "1" } });
    let (code, _, message) = world.send("DELETE", "pods/p", &[], stale.to_string()).await.failure();
    assert!(code == 409 && message.contains("the ResourceVersion in the precondition (1)"), "{message}");
    let current = world.get("pods/p").await.ok()["metadata"]["resourceVersion"].clone();
    let fresh = json!({ "preconditions": { "resourceVersion": current } });
    world.send("DELETE", "pods/p?dryRun=All", &[], fresh.to_string()).await.ok();
    let both = json!({ "propagationPolicy": "Orphan", "orphanDependents": true });
    assert_eq!(world.send("DELETE", "pods/p", &[], both.to_string()).await.failure().0, 422);
    assert_eq!(world.delete("pods/p?propagationPolicy=x").await.failure().0, 422);

    let body = json!({ "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 7 });
    let marked = world.send("DELETE", "pods/p", &[], body.to_string()).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 7);
    let hurried = world.delete("pods/p?gracePeriodSeconds=2").await.ok();
    assert_eq!(hurried["metadata"]["deletionGracePeriodSeconds"], 2);
    world.delete("pods/p?gracePeriodSeconds=0").await.ok();
    assert_eq!(world.get("pods/p").await.failure().0, 404);
}

#[tokio::test]
async fn watchers_see_a_pod_marked_before_it_is_gone() {
    let world = World::new();
    world.pod("p").await;
    let mut events = world.watch(&format!("pods?resourceVersion={}", world.store.revision())).await;
    world.delete("pods/p").await.ok();
    let marked = events.next().await.expect("goes on");
    assert_eq!(marked["type"], "MODIFIED");
    assert!(marked["object"]["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(events.short().await, short("DELETED", "p"));
}

#[tokio::test]
async fn a_terminating_pod_can_still_be_changed_but_not_kept() {
    let world = World::new();
    world.pod("p").await;
    world.bind("p");
    world.delete("pods/p").await.ok();
    let patched = world.merge("pods/p", json!({ "metadata": { "annotations": { "a": "1" } } })).await.ok();
    assert!(patched["metadata"]["deletionTimestamp"].is_string(), "its time is not over");
    let finalizer = json!({ "metadata": { "finalizers": ["x.io/hold"], "deletionTimestamp": null } });
    let (code, _, message) = world.merge("pods/p", finalizer).await.failure();
    assert!(code == 422 && message.contains("no new finalizers can be added"), "{message}");
}

#[tokio::test]
async fn the_last_finalizer_lets_go() {
    let world = World::new();
    world
        .post("configmaps", json!({ "metadata": { "name": "a", "finalizers": ["x.io/a", "x.io/b"] } }))
        .await
        .ok();
    assert!(world.delete("configmaps/a").await.ok()["metadata"]["deletionTimestamp"].is_string());
    let patch = json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["x.io/a"] } });
    world.strategic("configmaps/a", patch).await.ok();
    world.get("configmaps/a").await.ok();
    world.merge("configmaps/a", json!({ "metadata": { "finalizers": [] } })).await.ok();
    assert_eq!(world.get("configmaps/a").await.failure().0, 404);
    let bad = json!({ "metadata": { "name": "b", "finalizers": ["hold"] } });
    assert_eq!(world.post("configmaps", bad).await.failure().0, 422);
}

#[tokio::test]
async fn collections() {
    let world = World::new();
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        world.config_map(name, json!({ "app": app })).await;
    }
    let deleted = world.delete("configmaps?labelSelector=app%3Dx").await.ok();
    assert_eq!(names(&deleted), ["a", "b"]);
    assert_eq!(names(&world.get("configmaps").await.ok()), ["c"]);
    world.delete("configmaps?fieldSelector=metadata.name%3Dnone").await.ok();
    assert_eq!(names(&world.get("configmaps").await.ok()), ["c"]);
    world.delete("configmaps").await.ok();
    assert!(names(&world.get("configmaps").await.ok()).is_empty());
}
