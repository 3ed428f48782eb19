//! What of a workspace is the user's stays, what is the template's comes anew.

use nocrd_devcluster::kind::Kind;
use nocrd_spawner::{
    Caller, PodPatch, SpawnRequest, Style, UpgradeRequest, model::Role,
    templates::overrides::ContainerOverride,
};
use serde_json::{Value, json};

use super::stage::*;
use crate::world::{id, until};

/// The context's value, where the pod's Secret keeps it.
fn stored(stage: &Stage, pod: &Value) -> Value {
    let name = annotation(pod, "nogoo9/context-secret").unwrap();
    let secrets = stage.world.objects(Kind::Secret, "nogoo9");
    let secret = secrets.iter().find(|secret| secret["metadata"]["name"] == name).unwrap();
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], pod["metadata"]["uid"]);
    secret["data"]["TOKEN"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k25_the_user_keeps_context_name_and_overrides_and_gets_all_of_the_template() {
    let stage = Stage::new().await;
    let script = format!("echo $VERSION $TOKEN $MINE; {RUNS}");
    let first = json!({"nogoo9/workspace-path": "/old", "nogoo9/api.a.port": "1"});
    stage.publish("1.9", first, spec("1", &script)).await;
    let mut mine = wish("w1");
    mine.container_overrides = vec![ContainerOverride {
        name: "agent".into(),
        env: Some(vec![json!({"name": "MINE", "value": "kept"}).as_object().unwrap().clone()]),
        ..ContainerOverride::default()
    }];
    mine.labels = [("team".to_owned(), "x".to_owned())].into();
    let before = stage.spawn(mine).await;
    assert_eq!((before.template_version(), before.pod().pod_name.as_str()), ("1.9", "ws-w1"));

    let mut next = spec("2", &script);
    next["containers"].as_array_mut().unwrap().push(json!({
        "name": "more", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["/bin/sh", "-c", RUNS],
    }));
    stage.publish("1.10", json!({"nogoo9/workspace-path": "/new"}), next).await;
    let outdated = stage.spawner.outdated(&Default::default()).unwrap();
    assert_eq!(outdated.iter().map(|w| w.id().as_str()).collect::<Vec<_>>(), ["w1"]);
    // Its user calls it something else by now.
    let rename = json!({"metadata": {"annotations": {"nogoo9/workspace-name": "Renamed"}}});
    let rename = PodPatch::parse(rename.as_object().unwrap()).unwrap();
    let pod = stage.spawner.find_pod(&Caller::local(), &"nogoo9".parse().unwrap(), "ws-w1").await.unwrap();
    stage.spawner.patch_pod(&Caller::local(), &pod, &rename).await.unwrap();
    until("that is known", || stage.spawner.get(&id("w1"), None).unwrap().name() == "Renamed").await;
    let begun = stage.begin("w1").await.unwrap();
    assert_eq!(
        (begun.pod_name.as_str(), begun.from.as_str(), begun.to.as_str(), begun.style, begun.changed),
        ("ws--w1", "1.9", "1.10", Style::Beside, true)
    );
    let after = stage.ended("w1").await.unwrap();
    assert_eq!((after.template_version(), after.path(), after.name()), ("1.10", "/new", "Renamed"));
    assert_eq!(
        (after.owner().as_str(), after.is_outdated(), after.last_upgrade_error()),
        ("ada", false, None)
    );
    let pod = stage.only_pod("w1").await;
    assert!(is_plain(&pod), "{pod}");
    assert_eq!(pod["metadata"]["labels"]["team"], "x");
    assert_eq!(annotation(&pod, "nogoo9/api.a.port"), None, "what the template has no more is gone");
    assert_eq!(pod["spec"]["containers"].as_array().unwrap().len(), 2);
    assert_eq!(stored(&stage, &pod), "czNjcmV0");
    stage.logs(&pod, &["2 s3cret kept"]).await;

    // A second time it goes the other way round.
    stage.publish("1.11", json!({}), spec("3", &script)).await;
    assert_eq!(stage.upgrade("w1").await.unwrap().pod().pod_name, "ws-w1");
    let pod = stage.only_pod("w1").await;
    stage.logs(&pod, &["3 s3cret kept"]).await;
    assert!(!pod["metadata"]["annotations"].to_string().contains("s3cret"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k24_where_a_volume_is_for_one_pod_the_old_one_is_gone_before_the_new_one_starts() {
    let stage = Stage::new().await;
    stage.publish("1", json!({}), spec_with_claim("1", RUNS)).await;
    create_claim(stage.world.dev.store(), "nogoo9", "w1", "ReadWriteOnce");
    create_claim(stage.world.dev.store(), "nogoo9", "w2", "ReadWriteMany");
    for name in ["w1", "w2"] {
        stage.spawn(wish(name)).await;
    }
    stage.publish("2", json!({}), spec_with_claim("2", RUNS)).await;
    for (name, style) in [("w1", Style::Recreate), ("w2", Style::Beside)] {
        assert_eq!(stage.begin(name).await.unwrap().style, style, "{name}");
        let after = stage.ended(name).await.unwrap();
        assert_eq!(after.template_version(), "2");
        let pod = stage.only_pod(name).await;
        assert!(is_plain(&pod), "{pod}");
        stage.logs(&pod, &["by 1"]).await;
        assert_eq!(stored(&stage, &pod), "czNjcmV0");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_the_node_is_for_one_pod_too() {
    let mut first = spec("1", RUNS);
    first["containers"][0]["ports"] = json!([{"containerPort": 8080, "hostPort": 18080}]);
    let config = nocrd_spawner::Config { pod_security: nocrd_spawner::PodSecurity::Privileged, ..quick() };
    let stage = Stage::with(config).await;
    stage.publish("1", json!({}), first).await;
    stage.spawn(wish("w1")).await;
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    assert_eq!(stage.begin("w1").await.unwrap().style, Style::Recreate);
    assert_eq!(stage.ended("w1").await.unwrap().template_version(), "2");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k25_a_pod_of_an_earlier_version_keeps_name_context_and_claims() {
    let stage = Stage::new().await;
    create_claim(stage.world.dev.store(), "nogoo9", "w1", "ReadWriteOnce");
    let mut old = spec_with_claim("1", RUNS);
    old["volumes"][0]["persistentVolumeClaim"]["claimName"] = "data-w1".into();
    old["containers"][0]["env"] =
        json!([{"name": "VERSION", "value": "1"}, {"name": "TOKEN", "value": "s3cret"}]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "ws-ada-w1", "namespace": "nogoo9",
            "labels": {
                "nogoo9/type": "workspace", "nogoo9/managed-by": "nogoo9-spawner", "nogoo9/workspace-id": "w1",
                "nogoo9/user-sub": "ada",
            },
            "annotations": {
                "nogoo9/template-ref": "t", "nogoo9/template-version": "1", "nogoo9/workspace-name": "Old",
                "nogoo9/workspace-path": "/old",
            },
        },
        "spec": old,
    });
    stage.spawner.cluster().create_pod(&"nogoo9".parse().unwrap(), &pod).await.unwrap();
    until("the index has it", || stage.spawner.get(&id("w1"), None).is_ok()).await;
    stage.ready("w1").await;
    for version in ["2", "3"] {
        // The new template knows nothing of the volume.
        let script = format!("cat /data/mine; echo $TOKEN $VERSION; {RUNS}");
        stage.publish(version, json!({}), spec(version, &script)).await;
        let after = stage.upgrade("w1").await.unwrap();
        assert_eq!((after.name(), after.path(), after.owner().as_str()), ("Old", "/", "ada"));
        let pod = stage.only_pod("w1").await;
        stage.logs(&pod, &["by 1", &format!("s3cret {version}")]).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn what_is_up_to_date_is_left_alone_unless_forced() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    let unchanged = stage.begin("w1").await.unwrap();
    assert_eq!(
        (unchanged.changed, unchanged.pod_name.as_str(), unchanged.to.as_str()),
        (false, "ws-w1", "2")
    );
    // A lower version is none to upgrade to.
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    assert!(!stage.begin("w1").await.unwrap().changed);
    assert!(stage.spawner.outdated(&Default::default()).unwrap().is_empty());
    let forced = UpgradeRequest { force: true, ..upgrade("w1") };
    let begun = stage.spawner.begin_upgrade(forced.clone()).await.unwrap();
    assert!(begun.changed && begun.to == "1");
    // Asked once more, the answer is the same and there is one new pod.
    assert_eq!(stage.spawner.begin_upgrade(forced).await.unwrap().pod_name, begun.pod_name);
    until("there are two", || stage.world.count(Kind::Pod, "nogoo9") == 2).await;
    stage.publish("3", json!({}), spec("3", RUNS)).await;
    let error = stage.begin("w1").await.unwrap_err();
    assert_eq!(error.code().reason, "UpgradeUnderWay", "{error}");
    stage.stop().await;
}

#[tokio::test]
async fn k15_k29_who_may_upgrade_what() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    let as_caller = |subject: &str, role| UpgradeRequest {
        caller: Caller::verified(subject.into(), role),
        ..upgrade("w1")
    };
    let reason = async |request| match stage.spawner.begin_upgrade(request).await {
        Ok(begun) => {
            if begun.changed {
                "begun"
            } else {
                "unchanged"
            }
        }
        Err(error) => error.code().reason,
    };
    stage.publish("2", json!({"nogoo9/allowed-roles": "ops"}), spec("2", RUNS)).await;
    assert_eq!(reason(as_caller("eve", Role::User)).await, "WorkspaceNotFound");
    // The template is not for its owner any more: it is not there for them.
    assert_eq!(reason(as_caller("ada", Role::User)).await, "TemplateNotFound");
    let elsewhere = UpgradeRequest { namespace: Some("default".parse().unwrap()), ..upgrade("w1") };
    assert_eq!(reason(elsewhere).await, "WorkspaceNotFound");
    assert_eq!(reason(UpgradeRequest { id: id("none"), ..upgrade("w1") }).await, "WorkspaceNotFound");
    // Without authentication everybody is the local user, who sees all, and can't say either what its owner may have.
    assert_eq!(reason(upgrade("w1")).await, "UpgradeFailed");
    stage.publish("3", json!({}), spec("3", RUNS)).await;
    assert_eq!(reason(upgrade("w1")).await, "begun");
    let inline = SpawnRequest { ..crate::world::request("w2", "ada") };
    stage.spawner.spawn(inline).await.unwrap();
    assert_eq!(reason(UpgradeRequest { id: id("w2"), ..upgrade("w1") }).await, "UpgradeFailed");
    assert_eq!(stage.spawner.get(&id("w1"), None).unwrap().owner().as_str(), "ada");
    stage.stop().await;
}

#[tokio::test]
async fn t53_an_upgrade_does_not_give_users_what_they_write_into_their_templates() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    let by_ada = json!({"nogoo9/user-sub": "ada"});
    stage.publish("1", by_ada.clone(), spec("1", RUNS)).await;
    // An administrator has started it for her, so that it may do what they may.
    stage.spawner.spawn(wish("w1")).await.unwrap();
    let mut grabbing = spec("2", RUNS);
    grabbing["volumes"] = json!([{"name": "s", "secret": {"secretName": "somebodys"}}]);
    stage.publish("2", by_ada, grabbing).await;
    let as_ada = UpgradeRequest { caller: Caller::verified("ada".into(), Role::User), ..upgrade("w1") };
    let error = stage.spawner.begin_upgrade(as_ada).await.unwrap_err();
    assert_eq!(error.code().reason, "PolicyViolation", "{error}");

    // Of a pod of an earlier version nobody knows who has started it.
    let mut old = stage.spawner.cluster().get_pod(&"nogoo9".parse().unwrap(), "ws-w1").await.unwrap();
    let labels = old["metadata"]["labels"].as_object_mut().unwrap();
    labels.insert("nogoo9/workspace-id".into(), "w2".into());
    let annotations =
        json!({"nogoo9/template-ref": "t", "nogoo9/template-version": "1", "nogoo9/user-sub": "ada"});
    let mut spec = spec("1", RUNS);
    spec["containers"][0]["env"] = json!([{"name": "TOKEN", "value": "s3cret"}]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": {"name": "ws-ada-w2", "namespace": "nogoo9", "labels": labels, "annotations": annotations},
    });
    stage.spawner.cluster().create_pod(&"nogoo9".parse().unwrap(), &pod).await.unwrap();
    until("the index has it", || stage.spawner.get(&id("w2"), None).is_ok()).await;
    // Nor can an administrator want her template for her.
    for name in ["w1", "w2"] {
        let error = stage.begin(name).await.unwrap_err();
        assert_eq!(error.code().reason, "UpgradeFailed", "{error}");
    }
    assert_eq!(stage.world.count(Kind::Pod, "nogoo9"), 2);
    stage.stop().await;
}

#[tokio::test]
async fn k30_a_template_that_is_gone_makes_nothing_outdated() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    let spawner = &stage.spawner;
    // A ConfigMap that hides a built-in template of its name.
    let found = spawner.catalogue().list(&"nogoo9".parse().unwrap()).templates;
    let built_in = found.first().unwrap().name.clone();
    let object = json!({
        "metadata": {
            "name": built_in, "namespace": "nogoo9", "labels": {"nogoo9/pod-template": "true"},
            "annotations": {"nogoo9/template-version": "0.0.1"},
        },
        "data": {"spec": spec("1", RUNS).to_string()},
    });
    stage.world.create(Kind::ConfigMap, &object);
    let resolves_to = |local: bool| {
        let found = spawner.catalogue().resolve(&built_in.parse().unwrap(), &"nogoo9".parse().unwrap());
        found.is_ok_and(|template| template.origin.is_local() == local)
    };
    until("it is hidden", || resolves_to(false)).await;
    let wish = SpawnRequest {
        source: built_in.parse::<nocrd_spawner::TemplateRef>().unwrap().into(),
        ..crate::world::request("w1", "ada")
    };
    spawner.spawn(wish).await.unwrap();
    let none = nocrd_devcluster::store::Preconditions::none();
    stage.world.dev.store().delete(Kind::ConfigMap, "nogoo9", &built_in, &none).unwrap();
    until("it shows again", || resolves_to(true)).await;
    let workspace = spawner.get(&id("w1"), None).unwrap();
    assert_eq!((workspace.latest_template_version(), workspace.is_outdated()), (None, false));
    assert!(spawner.outdated(&Default::default()).unwrap().is_empty());
    let forced = UpgradeRequest { force: true, ..upgrade("w1") };
    let error = spawner.begin_upgrade(forced).await.unwrap_err();
    assert!(error.to_string().contains("another source"), "{error}");
    assert_eq!(stage.world.count(Kind::Pod, "nogoo9"), 1);
    stage.stop().await;
}
