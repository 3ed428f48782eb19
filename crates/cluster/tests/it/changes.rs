//! Changes and looks that name exactly what they are meant for, over the embedded cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use nocrd_cluster::{AccessMode, Changes, Cluster, DeletePod, Error, Scope, Version};
use nocrd_devcluster::DevCluster;
use nocrd_model::error as codes;
use serde_json::{Value, json};

use crate::{
    PATIENCE,
    embedded::{embedded, start},
    namespace,
};

async fn world() -> (DevCluster, Cluster) {
    let embedded = embedded().await;
    let cluster = start(&embedded, Scope::Namespaced).await;
    (embedded, cluster)
}

/// Creates a pod of ours, with a gate that keeps it from being scheduled.
async fn pod(cluster: &Cluster, name: &str, gates: &[&str]) -> Version {
    let gates: Vec<Value> = gates.iter().map(|name| json!({"name": name})).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"nogoo9/managed-by": "nogoo9-spawner", "app": "a", "nogoo9/user-sub": "alice"},
        },
        "spec": {
            "schedulingGates": gates,
            "containers": [
                {"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "d", "image": "i"},
            ],
        },
    });
    let created = cluster.create_pod(&namespace("nogoo9"), &pod).await.unwrap();
    if gates.is_empty() {
        return version(&created);
    }
    // The scheduler notes once that it may not have the pod; from then on nobody changes it but the test.
    let noted = async {
        loop {
            let pod = cluster.get_pod(&namespace("nogoo9"), name).await.unwrap();
            if pod["status"]["conditions"][0]["reason"] == "SchedulingGated" {
                return version(&pod);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noted).await.unwrap()
}

fn version(object: &Value) -> Version {
    let text = |key: &str| object["metadata"][key].as_str().unwrap().to_owned();
    Version { uid: text("uid"), resource_version: Some(text("resourceVersion")) }
}

fn changes(given: &[(&str, Option<&str>)]) -> Changes {
    given.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
}

#[track_caller]
fn is_conflict<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    assert!(matches!(outcome, Err(Error::Conflict { .. })), "{outcome:?}");
}

#[tokio::test]
async fn t57_metadata_is_changed_of_the_exact_pod_alone() {
    let (_embedded, cluster) = world().await;
    let home = namespace("nogoo9");
    let first = pod(&cluster, "p", &["g"]).await;
    let none = Changes::new();
    let labels = changes(&[("app", None), ("team", Some("x"))]);
    let annotations = changes(&[("note", Some("a \"quoted\" text"))]);
    let patched = cluster.patch_metadata(&home, "p", &first, &labels, &annotations).await.unwrap();
    let metadata = &patched["metadata"];
    assert_eq!((&metadata["labels"]["team"], &metadata["labels"]["app"]), (&json!("x"), &Value::Null));
    assert_eq!(metadata["labels"]["nogoo9/managed-by"], "nogoo9-spawner");
    assert_eq!(metadata["annotations"]["note"], "a \"quoted\" text");
    assert_ne!(version(&patched), first);

    // Another version, another pod, no pod.
    is_conflict(cluster.patch_metadata(&home, "p", &first, &labels, &none).await);
    is_conflict(cluster.patch_metadata(&home, "p", &Version::any_of("other"), &labels, &none).await);
    let any = Version::any_of(&first.uid);
    let again = cluster.patch_metadata(&home, "p", &any, &none, &changes(&[("note", None)])).await.unwrap();
    assert_eq!(again["metadata"]["annotations"]["note"], Value::Null);
    let gone = cluster.patch_metadata(&home, "q", &any, &labels, &none).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    // What can't be a label is the API server's to refuse.
    let odd =
        cluster.patch_metadata(&home, "p", &any, &changes(&[("team", Some("not a label!"))]), &none).await;
    assert!(matches!(odd, Err(Error::Invalid { .. })), "{odd:?}");
    // A name is no path.
    let path = cluster.patch_metadata(&home, "p/status", &any, &labels, &none).await;
    assert!(matches!(path, Err(Error::NotFound { .. })), "{path:?}");
}

#[tokio::test]
async fn t57_a_pod_is_resized_and_no_other() {
    let (_embedded, cluster) = world().await;
    let home = namespace("nogoo9");
    let of = pod(&cluster, "p", &[]).await;
    let resources = json!({"requests": {"cpu": "200m"}});
    let containers = [json!({"name": "c", "resources": resources})];
    is_conflict(cluster.resize_pod(&home, "p", "other", &containers).await);
    let resized = cluster.resize_pod(&home, "p", &of.uid, &containers).await.unwrap();
    assert_eq!(resized["spec"]["containers"][0]["resources"], resources);
    assert_eq!(resized["spec"]["containers"][0]["image"], "i");
    assert_eq!(resized["spec"]["containers"].as_array().unwrap().len(), 2);
    let nobody = [json!({"name": "none", "resources": resources})];
    let refused = cluster.resize_pod(&home, "p", &of.uid, &nobody).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn t57_a_gate_is_taken_off_by_name() {
    let (_embedded, cluster) = world().await;
    let home = namespace("nogoo9");
    let of = pod(&cluster, "p", &["example.com/a", "example.com/b"]).await;
    is_conflict(cluster.ungate_pod(&home, "p", &Version::any_of("other"), "example.com/b").await);
    let left = cluster.ungate_pod(&home, "p", &of, "example.com/b").await.unwrap();
    assert_eq!(left["spec"]["schedulingGates"], json!([{"name": "example.com/a"}]));
    is_conflict(cluster.ungate_pod(&home, "p", &of, "example.com/a").await);
    let any = Version::any_of(&of.uid);
    for _ in 0..2 {
        let open = cluster.ungate_pod(&home, "p", &any, "example.com/a").await.unwrap();
        assert!(open["spec"].get("schedulingGates").is_none_or(|gates| gates == &json!([])), "{open}");
    }
}

fn template(name: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"nogoo9/pod-template": "true"}},
        "data": {"spec": "{}", "other": "kept"},
    }))
    .unwrap()
}

fn version_of(map: &ConfigMap) -> Version {
    version(&json!(map))
}

#[tokio::test]
async fn t57_templates_are_replaced_and_deleted_as_they_were_read() {
    let (_embedded, cluster) = world().await;
    let home = namespace("nogoo9");
    let created = cluster.create_template_config_map(&home, &template("t")).await.unwrap();
    let twice = cluster.create_template_config_map(&home, &template("t")).await;
    assert!(matches!(twice, Err(Error::AlreadyExists { .. })), "{twice:?}");
    let mut map = cluster.template_config_map(&home, "t").await.unwrap();
    assert_eq!(version_of(&map), version_of(&created));

    map.data.as_mut().unwrap().insert("spec".into(), "{\"a\":1}".into());
    let of = version_of(&map);
    let replaced = cluster.replace_template_config_map(&home, "t", &of, &map).await.unwrap();
    assert_eq!(replaced.data.as_ref().unwrap()["other"], "kept");
    is_conflict(cluster.replace_template_config_map(&home, "t", &of, &map).await);
    is_conflict(cluster.replace_template_config_map(&home, "t", &Version::any_of("other"), &map).await);

    is_conflict(cluster.delete_template_config_map(&home, "t", &of).await);
    is_conflict(cluster.delete_template_config_map(&home, "t", &Version::any_of("other")).await);
    cluster.delete_template_config_map(&home, "t", &version_of(&replaced)).await.unwrap();
    cluster.delete_template_config_map(&home, "t", &version_of(&replaced)).await.unwrap();
    let gone = cluster.template_config_map(&home, "t").await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_config_map_that_is_no_template_is_not_there() {
    let (_embedded, cluster) = world().await;
    let home = namespace("nogoo9");
    cluster.write_own_config_map("secrets-of-others", &[], &BTreeMap::new(), None).await.unwrap();
    let found = cluster.template_config_map(&home, "secrets-of-others").await.unwrap_err();
    let missing = cluster.template_config_map(&home, "nothing").await.unwrap_err();
    assert_eq!(found.to_string().replace("secrets-of-others", "nothing"), missing.to_string());
}

#[tokio::test]
async fn t54_context_values_are_those_of_our_secrets_and_shown_nowhere() {
    let (_embedded, cluster) = world().await;
    let home = namespace("nogoo9");
    let secret = |name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels},
            "stringData": {"TOKEN": "hunter2", "OTHER": ""},
        })
    };
    let ours = secret("ours", json!({"nogoo9/managed-by": "nogoo9-spawner"}));
    cluster.create_secret(&home, &ours).await.unwrap();
    cluster.create_secret(&home, &secret("theirs", json!({}))).await.unwrap();

    let values = cluster.context_values(&home, "ours").await.unwrap();
    assert_eq!(values.names().collect::<Vec<_>>(), ["OTHER", "TOKEN"]);
    assert_eq!((values.expose("TOKEN"), values.expose("none")), (Some(&b"hunter2"[..]), None));
    let shown = format!("{values:?}");
    assert!(shown.contains(values.uid()) && !shown.contains("hunter2") && !shown.contains("104"), "{shown}");

    for name in ["theirs", "none", "../pods"] {
        let refused = cluster.context_values(&home, name).await.unwrap_err();
        assert_eq!(refused.code(), codes::CLUSTER_NOT_FOUND, "{name}");
        assert!(!refused.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn claims_tell_how_they_can_be_mounted() {
    let (embedded, cluster) = world().await;
    let client = kube::Client::new(embedded.router(), "nogoo9");
    let claims: kube::Api<k8s_openapi::api::core::v1::PersistentVolumeClaim> =
        kube::Api::namespaced(client, "nogoo9");
    for (name, mode, parsed, shared) in [
        ("once", "ReadWriteOnce", AccessMode::ReadWriteOnce, false),
        ("many", "ReadWriteMany", AccessMode::ReadWriteMany, true),
        ("alone", "ReadWriteOncePod", AccessMode::ReadWriteOncePod, false),
    ] {
        let claim = json!({
            "metadata": {"name": name},
            "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
        });
        claims
            .create(&kube::api::PostParams::default(), &serde_json::from_value(claim).unwrap())
            .await
            .unwrap();
        let claim = cluster.claim(&namespace("nogoo9"), name).await.unwrap();
        assert_eq!((claim.modes.as_slice(), claim.is_shared()), (&[parsed][..], shared), "{name}");
    }
    let missing = cluster.claim(&namespace("nogoo9"), "none").await.unwrap_err();
    assert_eq!(missing.code(), codes::CLUSTER_NOT_FOUND);
}

#[tokio::test]
async fn t57_a_pod_that_took_the_name_is_not_changed() {
    let (_embedded, cluster) = world().await;
    let home = namespace("nogoo9");
    let first = pod(&cluster, "p", &["g"]).await;
    let options = DeletePod { uid: Some(first.uid.clone()), grace_period_seconds: Some(0) };
    cluster.delete_pod(&home, "p", options.clone()).await.unwrap();
    let second = pod(&cluster, "p", &["g"]).await;
    let any = Version::any_of(&first.uid);
    is_conflict(
        cluster.patch_metadata(&home, "p", &any, &changes(&[("a", Some("b"))]), &Changes::new()).await,
    );
    is_conflict(cluster.resize_pod(&home, "p", &first.uid, &[]).await);
    is_conflict(cluster.ungate_pod(&home, "p", &any, "g").await);
    is_conflict(cluster.delete_pod(&home, "p", options).await);
    let left = cluster.get_pod(&home, "p").await.unwrap();
    assert_eq!(version(&left), second);
}
