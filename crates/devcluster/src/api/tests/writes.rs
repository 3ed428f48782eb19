use serde_json::json;

use super::*;

#[tokio::test]
async fn a_dry_run_answers_and_changes_nothing() {
    let world = World::new();
    world.config_map("a", json!({})).await;
    let revision = world.store.revision();
    world.post("configmaps?dryRun=All", json!({ "metadata": { "name": "b" } })).await.ok();
    assert_eq!(
        world.post("configmaps?dryRun=All", json!({ "metadata": { "name": "a" } })).await.failure().0,
        409
    );
    let patched = world.merge("configmaps/a?dryRun=All", json!({ "data": { "k": "v" } })).await.ok();
    assert_eq!(patched["data"]["k"], "v");
    world
        .put("configmaps/a?dryRun=All", json!({ "metadata": { "name": "a" }, "data": { "k": "v" } }))
        .await
        .ok();
    world.delete("configmaps/a?dryRun=All").await.ok();
    world.post("/api/v1/namespaces?dryRun=All", json!({ "metadata": { "name": "m" } })).await.ok();
    assert_eq!(world.store.revision(), revision);
    assert_eq!(world.post("configmaps?dryRun=x", json!({})).await.failure().0, 422);
}

#[tokio::test]
async fn yaml_is_read() {
    let world = World::new();
    let yaml = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: c\n    image: x\n  volumes:\n  - name: v\n    secret: {secretName: s, defaultMode: 0400}\n";
    let pod = world.send("POST", "pods", &[("content-type", "application/yaml")], yaml).await.ok();
    assert_eq!(pod["spec"]["volumes"][0]["secret"]["defaultMode"], 256);
}

#[tokio::test]
async fn bodies_have_a_limit_and_a_form() {
    let world = World::new();
    let large = json!({ "metadata": { "name": "a" }, "data": { "k": "x".repeat(4 << 20) } });
    let (code, reason, _) = world.post("configmaps", large).await.failure();
    assert_eq!((code, reason.as_str()), (413, "RequestEntityTooLarge"));
    let too_much = json!({ "metadata": { "name": "a" }, "data": { "k": "x".repeat(2 << 20) } });
    assert_eq!(world.post("configmaps", too_much).await.failure().0, 422);
    let answer = world.send("POST", "configmaps", &[("content-type", "text/plain")], "{}").await;
    assert_eq!(answer.failure().0, 415);
    assert_eq!(world.post("configmaps", json!({ "apiVersion": "v2" })).await.failure().0, 400);
    assert_eq!(world.post("configmaps", json!({ "kind": "Widget" })).await.failure().0, 400);
    let deep = "[".repeat(100_000);
    assert_eq!(world.send("POST", "configmaps", &[], deep).await.failure().0, 400);
}

#[tokio::test]
async fn identity_is_the_servers() {
    let world = World::new();
    let created = world
        .post("configmaps", json!({ "metadata": { "name": "a", "uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "deletionTimestamp": "2000-01-01T00:00:00Z", "generation": 7 } }))
        .await
        .ok();
    assert_ne!(created["metadata"]["uid"], "mine");
    assert_ne!(created["metadata"]["creationTimestamp"], "2000-01-01T00:00:00Z");
    assert!(
        created["metadata"].get("deletionTimestamp").is_none()
            && created["metadata"].get("generation").is_none()
    );
    let with_version = json!({ "metadata": { "name": "b", "resourceVersion": "5" } });
    assert_eq!(world.post("configmaps", with_version).await.failure().0, 500);
    let other = json!({ "metadata": { "name": "a", "uid": "another" } });
    let (code, _, message) = world.put("configmaps/a", other).await.failure();
    assert!(code == 409 && message.contains("UID in precondition: another"), "{message}");
    assert_eq!(world.put("configmaps/a", json!({ "metadata": { "name": "b" } })).await.failure().0, 400);
    assert_eq!(world.put("configmaps/a", json!({ "metadata": {} })).await.failure().0, 400);
    assert_eq!(world.merge("configmaps/a", json!({ "metadata": { "name": "b" } })).await.failure().0, 422);
}

#[tokio::test]
async fn of_parallel_updates_of_one_version_one_succeeds() {
    let world = Arc::new(World::new());
    let created = world.config_map("a", json!({})).await;
    let mut attempts = tokio::task::JoinSet::new();
    for attempt in 0..8 {
        let (world, mut object) = (Arc::clone(&world), created.clone());
        object["data"] = json!({ "k": attempt.to_string() });
        attempts.spawn(async move { world.put("configmaps/a", object).await.code });
    }
    let codes = attempts.join_all().await;
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 1);
    assert!(codes.iter().all(|code| matches!(code, 200 | 409)), "{codes:?}");
}

#[tokio::test]
async fn generated_names_are_valid_and_different() {
    let world = World::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let prefix = "x".repeat(70);
        let created = world.post("configmaps", json!({ "metadata": { "generateName": prefix } })).await.ok();
        let name = created["metadata"]["name"].as_str().expect("a name").to_owned();
        assert_eq!(name.len(), 63);
        assert!(seen.insert(name));
    }
    assert_eq!(
        world.post("configmaps", json!({ "metadata": { "generateName": "Bad_" } })).await.failure().0,
        422
    );
}

#[tokio::test]
async fn a_namespace_comes_with_an_account_and_ends_with_a_refusal() {
    let world = World::new();
    world.post("/api/v1/namespaces", json!({ "metadata": { "name": "m" } })).await.ok();
    world.get("/api/v1/namespaces/m/serviceaccounts/default").await.ok();
    let terminating = world.delete("/api/v1/namespaces/m").await.ok();
    assert_eq!(terminating["status"]["phase"], "Terminating");
    let answer = world.post("/api/v1/namespaces/m/configmaps", json!({ "metadata": { "name": "a" } })).await;
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let (code, _, message) = answer.failure();
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "configmaps \"a\" is forbidden: unable to create new content in namespace m because it is being terminated"
    );
    assert_eq!(world.delete("/api/v1/namespaces/m").await.failure().0, 409);
    assert_eq!(world.delete("/api/v1/namespaces/default").await.failure().0, 404);
}

#[tokio::test]
async fn methods_and_parts_that_are_not_there() {
    let world = World::new();
    world.config_map("a", json!({})).await;
    for (method, path, code) in [
        ("POST", "configmaps/a", 405),
        ("PATCH", "configmaps", 405),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("OPTIONS", "configmaps", 405),
        ("GET", "configmaps/a/status", 404),
        ("GET", "configmaps/a/log", 404),
        ("POST", "pods/p/eviction", 404),
        ("DELETE", "pods/p/log", 405),
        ("POST", "/version", 405),
        ("GET", "/apis/apps/v1/deployments", 404),
        ("GET", "/apis/none", 404),
    ] {
        assert_eq!(world.send(method, path, &[], "{}").await.code, code, "{method} {path}");
    }
    for path in [
        "/healthz",
        "/livez",
        "/readyz",
        "/readyz/ping",
        "/version",
        "/api",
        "/apis",
        "/apis/authorization.k8s.io",
    ] {
        assert_eq!(world.get(path).await.code, 200, "{path}");
    }
    assert_eq!(world.send("HEAD", "configmaps/a", &[], "").await.code, 200);
}

#[tokio::test]
async fn secrets() {
    let world = World::new();
    let created = world
        .post("secrets", json!({ "metadata": { "name": "s" }, "data": { "a": "eA==", "b": "eA==" }, "stringData": { "b": "y" } }))
        .await
        .ok();
    assert_eq!(created["data"], json!({ "a": "eA==", "b": "eQ==" }));
    assert!(created.get("stringData").is_none() && created["type"] == "Opaque");
    let patched = world.merge("secrets/s", json!({ "stringData": { "c": "z" } })).await.ok();
    assert_eq!(patched["data"]["c"], "eg==");
    let tls = json!({ "metadata": { "name": "t" }, "type": "kubernetes.io/tls" });
    assert!(world.post("secrets", tls).await.failure().2.contains("data[tls.crt]: Required value"));
    assert_eq!(world.merge("secrets/s", json!({ "type": "x" })).await.failure().0, 422);
}

#[tokio::test]
async fn field_validation() {
    let world = World::new();
    let body = json!({ "metadata": { "name": "a", "lables": {} }, "datum": 1 });
    let ignored = world.post("configmaps?fieldValidation=Ignore&dryRun=All", body.clone()).await;
    assert!(ignored.headers.get("warning").is_none() && ignored.code == 201);
    let warned = world.post("configmaps?dryRun=All", body.clone()).await;
    assert_eq!(warned.headers.get_all("warning").iter().count(), 2);
    let message = world.post("configmaps?fieldValidation=Strict", body).await.failure().2;
    assert!(message.ends_with("unknown field \"metadata.lables\", unknown field \"datum\""), "{message}");
    world.config_map("a", json!({})).await;
    let patch = world.merge("configmaps/a?fieldValidation=Strict", json!({ "datum": 1 })).await;
    assert_eq!(patch.failure().0, 400);
    assert_eq!(world.post("configmaps?fieldValidation=x", json!({})).await.failure().0, 422);
}
