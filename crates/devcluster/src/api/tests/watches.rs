use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn without_a_version_it_begins_with_what_is_there() {
    let world = World::new();
    world.config_map("a", json!({})).await;
    for query in ["", "&resourceVersion=0"] {
        let mut events = world.watch(&format!("configmaps?timeoutSeconds=5{query}")).await;
        assert_eq!(events.short().await, short("ADDED", "a"));
        let changed = world.merge("configmaps/a", json!({ "data": { "q": query } })).await.ok();
        let event = events.next().await.expect("goes on");
        assert_eq!(event["type"], "MODIFIED");
        assert_eq!(event["object"]["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
        assert_eq!(
            (&event["object"]["kind"], &event["object"]["apiVersion"]),
            (&json!("ConfigMap"), &json!("v1"))
        );
        assert!(events.next().await.is_none(), "its time is over");
    }
}

#[tokio::test(start_paused = true)]
async fn coming_into_view_and_going_out_of_it() {
    let world = World::new();
    world.config_map("a", json!({ "app": "x" })).await;
    let version = world.store.revision();
    let mut events =
        world.watch(&format!("configmaps?labelSelector=app%3Dx&resourceVersion={version}")).await;
    world.config_map("b", json!({ "app": "y" })).await;
    world.merge("configmaps/b", json!({ "metadata": { "labels": { "app": "x" } } })).await.ok();
    assert_eq!(events.short().await, short("ADDED", "b"));
    let out = world.merge("configmaps/a", json!({ "metadata": { "labels": { "app": "y" } } })).await.ok();
    let event = events.next().await.expect("goes on");
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["metadata"]["labels"]["app"], "x", "as it was when it could be seen");
    assert_eq!(event["object"]["metadata"]["resourceVersion"], out["metadata"]["resourceVersion"]);
    world.delete("configmaps/a").await.ok();
    world.delete("configmaps/b").await.ok();
    assert_eq!(events.short().await, short("DELETED", "b"));
}

#[tokio::test(start_paused = true)]
async fn only_what_happens_in_the_namespace() {
    let world = World::new();
    world.post("/api/v1/namespaces", json!({ "metadata": { "name": "m" } })).await.ok();
    let mut events = world.watch("configmaps?").await;
    world.post("/api/v1/namespaces/m/configmaps", json!({ "metadata": { "name": "there" } })).await.ok();
    world.config_map("here", json!({})).await;
    assert_eq!(events.short().await, short("ADDED", "here"));
}

#[tokio::test(start_paused = true)]
async fn bookmarks_say_how_far_it_is() {
    let world = World::new();
    let version = world.store.revision();
    let query = format!("configmaps?allowWatchBookmarks=true&timeoutSeconds=150&resourceVersion={version}");
    let mut events = world.watch(&query).await;
    world.post("secrets", json!({ "metadata": { "name": "s" } })).await.ok();
    let bookmark = events.next().await.expect("goes on");
    let revision = world.store.revision().to_string();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"],
        json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "resourceVersion": revision } })
    );
    assert_eq!(events.next().await.expect("the second minute's")["type"], "BOOKMARK");
    assert_eq!(events.next().await.expect("the last, before the end")["type"], "BOOKMARK");
    assert!(events.next().await.is_none());
    let mut silent = world.watch(&format!("configmaps?timeoutSeconds=150&resourceVersion={version}")).await;
    assert!(silent.next().await.is_none(), "not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_ends_with_a_marked_bookmark() {
    let world = World::new();
    world.config_map("a", json!({})).await;
    let query =
        "configmaps?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = world.watch(query).await;
    assert_eq!(events.short().await, short("ADDED", "a"));
    let bookmark = events.next().await.expect("goes on");
    assert_eq!(bookmark["object"]["metadata"]["annotations"], json!({ "k8s.io/initial-events-end": "true" }));
    world.config_map("b", json!({})).await;
    assert_eq!(events.short().await, short("ADDED", "b"));
    let mut later = world.watch("configmaps?sendInitialEvents=false").await;
    world.config_map("c", json!({})).await;
    assert_eq!(later.short().await, short("ADDED", "c"));
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_version_is_told_in_the_stream() {
    let world = World::with(2, Options::default());
    for name in ["a", "b", "c", "d"] {
        world.config_map(name, json!({})).await;
    }
    for (version, code, reason) in [("1", 410, "Expired"), ("9999", 504, "Timeout")] {
        let mut events = world.watch(&format!("configmaps?resourceVersion={version}")).await;
        let event = events.next().await.expect("an error");
        assert_eq!(event["type"], "ERROR");
        assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&json!(code), &json!(reason)));
        assert!(events.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_lags_behind_is_sent_away() {
    let world = World::with(2, Options::default());
    let mut events = world.watch("configmaps?").await;
    for name in ["a", "b", "c", "d"] {
        world.config_map(name, json!({})).await;
    }
    let event = events.next().await.expect("an error");
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn watches_end_when_the_server_closes() {
    let world = World::new();
    let mut events = world.watch("configmaps?").await;
    world.closing.cancel();
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn bad_selectors_are_refused_before_it_begins() {
    let world = World::new();
    assert_eq!(world.get("configmaps?watch=1&labelSelector=a%20in%20x").await.failure().0, 400);
    assert_eq!(world.get("configmaps?watch=1&fieldSelector=x%3Dy").await.failure().0, 400);
}

#[tokio::test(start_paused = true)]
async fn tables_describe_their_columns_once() {
    let world = World::new();
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    world.config_map("a", json!({})).await;
    let mut events = world.watch_as("configmaps?", accept).await;
    let first = events.next().await.expect("goes on");
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["columnDefinitions"].as_array().map(Vec::len), Some(3));
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    world.config_map("b", json!({})).await;
    let second = events.next().await.expect("goes on");
    assert_eq!(second["object"]["columnDefinitions"], json!([]));
    assert_eq!(second["object"]["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}
