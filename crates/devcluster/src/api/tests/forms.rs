use serde_json::json;

use super::*;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[tokio::test]
async fn every_kind_has_a_table() {
    let world = World::new();
    world.pod("p").await;
    world.config_map("c", json!({})).await;
    world.post("secrets", json!({ "metadata": { "name": "s" } })).await.ok();
    world
        .post("resourcequotas", json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": 2 } } }))
        .await
        .ok();
    world.claim("c", "1Gi").await;
    world.store.create(Kind::Node, json!({ "metadata": { "name": "node" } })).expect("created");
    let event = json!({ "metadata": { "name": "e" }, "involvedObject": { "kind": "Pod", "name": "p", "namespace": "n" }, "reason": "R" });
    world.post("events", event).await.ok();
    for kind in Kind::ALL {
        let path = match kind.is_namespaced() {
            true => format!("/api/v1/namespaces/n/{}", kind.resource()),
            false => format!("/api/v1/{}", kind.resource()),
        };
        let table = world.send("GET", &path, &[("accept", TABLE)], "").await.ok();
        let columns = table["columnDefinitions"].as_array().expect("columns").len();
        let rows = table["rows"].as_array().expect("rows");
        assert!(!rows.is_empty(), "{kind}");
        assert!(rows.iter().all(|row| row["cells"].as_array().map(Vec::len) == Some(columns)), "{kind}");
    }
}

#[tokio::test]
async fn one_object_in_each_form() {
    let world = World::new();
    world.pod("p").await;
    let row = world.send("GET", "pods/p?includeObject=Object", &[("accept", TABLE)], "").await.ok();
    assert_eq!(row["rows"][0]["object"]["spec"]["containers"][0]["name"], "c");
    let bare = world.send("GET", "pods/p?includeObject=None", &[("accept", TABLE)], "").await.ok();
    assert!(bare["rows"][0]["object"].is_null());
    let accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let metadata = world.send("GET", "pods/p", &[("accept", accept)], "").await.ok();
    assert_eq!((&metadata["kind"], metadata.get("spec")), (&json!("PartialObjectMetadata"), None));
    let binary = world.send("GET", "pods/p", &[("accept", "application/vnd.kubernetes.protobuf")], "").await;
    assert_eq!(binary.failure().0, 406);
}

#[tokio::test]
async fn published_types_tell_how_lists_merge() {
    let world = World::new();
    let document = world.get("/openapi/v3/api/v1").await.ok();
    let schemas = &document["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["items"]["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.Container");
    for path in ["pods/{name}", "pods/{name}/resize", "persistentvolumeclaims/{name}/status"] {
        let patch = &document["paths"][&format!("/api/v1/namespaces/{{namespace}}/{path}")]["patch"];
        let parameters = patch["parameters"].as_array().expect(path);
        assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"), "{path}");
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(schemas.get(name).is_some(), "{name}");
    }
    for path in ["apis/authorization.k8s.io/v1", "apis/authentication.k8s.io/v1"] {
        world.get(&format!("/openapi/v3/{path}")).await.ok();
    }
    assert_eq!(world.get("/openapi/v3/apis/apps/v1").await.failure().0, 404);
}
