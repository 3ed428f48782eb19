use serde_json::json;

use super::*;

#[tokio::test]
async fn pages_show_one_state_whatever_happens_meanwhile() {
    let world = World::new();
    for name in ["a", "b", "c", "d", "e"] {
        world.config_map(name, json!({})).await;
    }
    let first = world.get("configmaps?limit=2").await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    world.delete("configmaps/c").await.ok();
    world.config_map("bb", json!({})).await;
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let second = world.get(&format!("configmaps?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().expect("a token");
    let third = world.get(&format!("configmaps?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"].get("continue").is_none());
    assert_eq!(names(&world.get("configmaps").await.ok()), ["a", "b", "bb", "d", "e"]);
}

#[tokio::test]
async fn pages_over_all_namespaces() {
    let world = World::new();
    for namespace in ["m", "o"] {
        world.post("/api/v1/namespaces", json!({ "metadata": { "name": namespace } })).await.ok();
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        world.post(&path, json!({ "metadata": { "name": "a" } })).await.ok();
    }
    world.config_map("a", json!({})).await;
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = world.get(&format!("/api/v1/configmaps?limit=1&continue={token}")).await.ok();
        seen.push(page["items"][0]["metadata"]["namespace"].clone());
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["m", "n", "o"]);
}

#[tokio::test]
async fn a_page_of_a_forgotten_state_is_410() {
    let world = World::with(2, Options::default());
    for name in ["a", "b"] {
        world.config_map(name, json!({})).await;
    }
    let first = world.get("configmaps?limit=1").await.ok();
    for value in ["1", "2", "3"] {
        world.merge("configmaps/a", json!({ "data": { "k": value } })).await.ok();
    }
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let (code, reason, _) = world.get(&format!("configmaps?limit=1&continue={token}")).await.failure();
    assert_eq!((code, reason.as_str()), (410, "Expired"));
    let version = first["metadata"]["resourceVersion"].as_str().expect("a version");
    let exact = format!("configmaps?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(world.get(&exact).await.failure().0, 410);
}

#[tokio::test]
async fn versions() {
    let world = World::new();
    world.config_map("a", json!({})).await;
    let version = world.store.revision();
    world.config_map("b", json!({})).await;
    let listed = async |query: &str| names(&world.get(&format!("configmaps?{query}")).await.ok()).len();
    assert_eq!(listed("resourceVersion=0").await, 2);
    assert_eq!(listed(&format!("resourceVersion={version}")).await, 2);
    assert_eq!(listed(&format!("resourceVersion={version}&resourceVersionMatch=NotOlderThan")).await, 2);
    assert_eq!(listed(&format!("resourceVersion={version}&resourceVersionMatch=Exact")).await, 1);
    for (query, code, reason) in [
        ("resourceVersion=99", 504, "Timeout"),
        ("resourceVersion=99&resourceVersionMatch=Exact", 504, "Timeout"),
        ("resourceVersion=x", 400, "BadRequest"),
        ("resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "Invalid"),
        ("resourceVersion=1&resourceVersionMatch=x", 422, "Invalid"),
        ("limit=x", 400, "BadRequest"),
        ("continue=x", 400, "BadRequest"),
    ] {
        let failure = world.get(&format!("configmaps?{query}")).await.failure();
        assert_eq!((failure.0, failure.1.as_str()), (code, reason), "{query}");
    }
    assert_eq!(world.get("configmaps/a?resourceVersion=99").await.failure().0, 504);
    world.get("configmaps/a?resourceVersion=0").await.ok();
}

#[tokio::test]
async fn selectors_select() {
    let world = World::new();
    world.config_map("a", json!({ "app": "x" })).await;
    world.config_map("b", json!({ "app": "y" })).await;
    let listed = async |query: &str| names(&world.get(&format!("configmaps?{query}")).await.ok());
    assert_eq!(listed("labelSelector=app%3Dx").await, ["a"]);
    assert_eq!(listed("fieldSelector=metadata.name%21%3Da").await, ["b"]);
    assert!(listed("labelSelector=app%3Dx&fieldSelector=metadata.name%3Db").await.is_empty());
    let limited = world.get("configmaps?limit=1&labelSelector=app").await.ok();
    assert!(limited["metadata"]["continue"].is_string());
    assert!(limited["metadata"].get("remainingItemCount").is_none(), "not promised with selectors");
}
