use serde_json::json;

use super::*;

impl World {
    async fn apply(&self, path: &str, manager: &str, body: Value) -> Answer {
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}fieldManager={manager}");
        self.send("PATCH", &path, &[("content-type", "application/apply-patch+yaml")], body.to_string()).await
    }
}

fn pod(image: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "labels": labels },
        "spec": { "containers": [{ "name": "c", "image": image, "resources": { "limits": { "cpu": "0.5" } } }] },
    })
}

#[tokio::test]
async fn applying_the_same_pod_twice_changes_nothing() {
    let world = World::new();
    let first = world.apply("pods/p", "m", pod("x:1", json!({ "a": "1" }))).await;
    assert_eq!(first.code, 201);
    let first = first.ok();
    assert_eq!(first["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    let managed = &first["metadata"]["managedFields"];
    assert_eq!(managed.as_array().map(Vec::len), Some(1));
    assert_eq!(managed[0]["fieldsV1"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"]["f:image"], json!({}));
    let again = world.apply("pods/p", "m", pod("x:1", json!({ "a": "1" }))).await;
    assert_eq!(again.code, 200);
    assert_eq!(again.ok()["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn what_is_no_longer_applied_goes() {
    let world = World::new();
    world.apply("pods/p", "m", pod("x:1", json!({ "a": "1", "b": "2" }))).await.ok();
    let less = world.apply("pods/p", "m", pod("x:2", json!({ "a": "1" }))).await.ok();
    assert_eq!(less["metadata"]["labels"], json!({ "a": "1" }));
    assert_eq!(less["spec"]["containers"][0]["image"], "x:2");
    assert_eq!(less["metadata"]["generation"], 2);
}

#[tokio::test]
async fn conflicts_with_an_ordinary_writer() {
    let world = World::new();
    world.pod("p").await;
    let (code, reason, message) = world.apply("pods/p", "m", pod("y", json!({}))).await.failure();
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    assert!(message.contains("conflict with \"unknown\" using v1 at"), "{message}");
    assert!(message.ends_with(".spec.containers[name=\"c\"].image"), "{message}");
    // Forced, the conflict is over; what is left to refuse is that resources can't be changed.
    let refused = world.apply("pods/p?force=true", "m", pod("y", json!({}))).await.failure();
    assert!(refused.0 == 422 && refused.2.contains("pod updates may not change fields"), "{}", refused.2);
    let mut image_only = pod("y", json!({}));
    image_only["spec"]["containers"][0].as_object_mut().expect("an object").remove("resources");
    let forced = world.apply("pods/p?force=true", "m", image_only).await.ok();
    assert_eq!(forced["spec"]["containers"][0]["image"], "y");
}

#[tokio::test]
async fn what_can_not_be_applied() {
    let world = World::new();
    let refuse = async |body: Value| world.apply("configmaps/a", "m", body).await.failure();
    assert_eq!(refuse(json!({ "data": {} })).await.0, 400);
    assert_eq!(
        refuse(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b" } })).await.0,
        400
    );
    let managed = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "managedFields": [] } });
    assert_eq!(refuse(managed).await.2, "metadata.managedFields must be nil");
    let unknown = json!({ "apiVersion": "v1", "kind": "ConfigMap", "datum": 1 });
    assert!(refuse(unknown).await.2.ends_with(".datum: field not declared in schema"));
    let yaml = "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n";
    let headers = [("content-type", "application/apply-patch+yaml")];
    let created = world.send("PATCH", "configmaps/a?fieldManager=m", &headers, yaml).await;
    assert_eq!(created.code, 201);
    assert_eq!(created.ok()["data"], json!({ "a": "b" }));
}

#[tokio::test]
async fn the_status_has_managers_of_its_own() {
    let world = World::new();
    world.pod("p").await;
    let headers = [("content-type", "application/merge-patch+json"), ("user-agent", "kubelet/1.36")];
    let body = json!({ "status": { "phase": "Running" }, "metadata": { "labels": { "x": "1" } }, "spec": { "nodeName": "no" } });
    let patched = world.send("PATCH", "pods/p/status", &headers, body.to_string()).await.ok();
    assert_eq!(patched["status"]["phase"], "Running");
    assert!(patched["spec"].get("nodeName").is_none(), "a status is no way to change a spec");
    let managed = patched["metadata"]["managedFields"].as_array().expect("managers");
    let kubelet = managed.iter().find(|entry| entry["manager"] == "kubelet").expect("noted");
    assert_eq!(kubelet["subresource"], "status");
    let ignored = world.merge("pods/p", json!({ "status": { "phase": "Failed" } })).await.ok();
    assert_eq!(ignored["status"]["phase"], "Running", "an object is no way to change its status");
}

#[tokio::test]
async fn the_record_of_managers_can_be_cleared() {
    let world = World::new();
    world.config_map("a", json!({ "x": "1" })).await;
    let cleared = world.merge("configmaps/a", json!({ "metadata": { "managedFields": [{}] } })).await.ok();
    assert!(cleared["metadata"].get("managedFields").is_none());
}
