use serde_json::json;

use super::*;
use crate::resources::claim;

impl World {
    /// Does what a controller does.
    fn give_volume(&self, name: &str) {
        let bind = |object: &mut Value| {
            claim::bind(object);
            Ok(())
        };
        let kind = Kind::PersistentVolumeClaim;
        self.store.update(kind, "n", name, &Preconditions::none(), bind).expect("bound");
    }
}

#[tokio::test]
async fn a_new_claim_is_protected_and_waits() {
    let world = World::new();
    let claim = world.claim("c", "1024Mi").await;
    assert_eq!(claim["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    assert_eq!(claim["spec"]["volumeMode"], "Filesystem");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi");
    assert_eq!(claim["status"], json!({ "phase": "Pending" }));
    let deleted = world.delete("persistentvolumeclaims/c").await.ok();
    assert_eq!(deleted["kind"], "PersistentVolumeClaim");
    assert!(deleted["metadata"]["deletionTimestamp"].is_string());
    world.get("persistentvolumeclaims/c").await.ok();
    let released = json!({ "metadata": { "finalizers": null } });
    world.merge("persistentvolumeclaims/c", released).await.ok();
    assert_eq!(world.get("persistentvolumeclaims/c").await.failure().0, 404);
}

#[tokio::test]
async fn a_claim_grows_when_it_has_a_volume() {
    let world = World::new();
    world.claim("c", "1Gi").await;
    let size = |size: &str| json!({ "spec": { "resources": { "requests": { "storage": size } } } });
    let (code, _, message) = world.merge("persistentvolumeclaims/c", size("2Gi")).await.failure();
    assert_eq!(code, 422);
    assert!(
        message.starts_with(
            "PersistentVolumeClaim \"c\" is invalid: spec: Forbidden: spec is immutable after creation"
        ),
        "{message}"
    );
    world.give_volume("c");
    let grown = world.merge("persistentvolumeclaims/c", size("2Gi")).await.ok();
    assert_eq!(grown["status"]["capacity"]["storage"], "1Gi", "not yet");
    world.give_volume("c");
    let (_, _, message) = world.merge("persistentvolumeclaims/c", size("1Gi")).await.failure();
    assert!(message.contains("field can not be less than status.capacity"), "{message}");
    let status = json!({ "status": { "phase": "Lost" }, "spec": { "volumeName": "x" } });
    let written = world.merge("persistentvolumeclaims/c/status", status).await.ok();
    assert_eq!(written["status"]["phase"], "Lost");
    assert_ne!(written["spec"]["volumeName"], "x");
}

#[tokio::test]
async fn rows_of_claims() {
    let world = World::new();
    world.claim("c", "1Gi").await;
    let cells = async || {
        let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
        let table = world.send("GET", "persistentvolumeclaims/c", &accept, "").await.ok();
        let cells = table["rows"][0]["cells"].as_array().expect("cells").clone();
        cells.into_iter().map(|cell| cell.as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(cells().await[..7], ["c", "Pending", "", "", "", "", "<unset>"]);
    world.give_volume("c");
    let bound = cells().await;
    assert!(bound[2].starts_with("pvc-"), "{bound:?}");
    assert_eq!((bound[1].as_str(), bound[3].as_str(), bound[4].as_str()), ("Bound", "1Gi", "RWO"));
    assert_eq!(bound[8], "Filesystem");
    world.delete("persistentvolumeclaims/c").await.ok();
    assert_eq!(cells().await[1], "Terminating");
}
