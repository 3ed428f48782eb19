//! Whose templates a workspace may be upgraded to, and by whom.

use nocrd_devcluster::{kind::Kind, store::Preconditions};
use nocrd_spawner::{
    Caller, UpgradeRequest, Workspace,
    model::{Grants, Role},
};
use serde_json::{Value, json};

use super::stage::*;
use crate::world::{id, until};

fn by(subject: &str) -> Value {
    json!({"nogoo9/user-sub": subject})
}

fn curated_by(admin: &str) -> Value {
    json!({"nogoo9/user-sub": admin, "nogoo9/template-author": "admin"})
}

fn owners(name: &str) -> UpgradeRequest {
    UpgradeRequest { caller: Caller::verified("ada".into(), Role::User), ..upgrade(name) }
}

fn admins(name: &str) -> UpgradeRequest {
    UpgradeRequest { caller: Caller::verified("root".into(), Role::Admin), ..upgrade(name) }
}

impl Stage {
    fn see(&self, name: &str) -> Workspace {
        self.spawner.get(&id(name), None).unwrap()
    }

    /// `begun`, `unchanged` or the reason's code.
    async fn outcome(&self, request: UpgradeRequest) -> &'static str {
        match self.spawner.begin_upgrade(request).await {
            Ok(begun) if begun.changed => "begun",
            Ok(_) => "unchanged",
            Err(error) => error.code().reason,
        }
    }

    fn outdated(&self) -> Vec<String> {
        let outdated = self.spawner.outdated(&Default::default()).unwrap();
        outdated.iter().map(|workspace| workspace.id().to_string()).collect()
    }

    /// Nothing leads to the present template: nobody is told of it, and nobody gets it.
    async fn is_left_alone(&self, name: &str) {
        let workspace = self.see(name);
        assert_eq!((workspace.latest_template_version(), workspace.is_outdated()), (None, false), "{name}");
        assert_eq!(self.outdated(), [""; 0]);
        for request in [owners(name), admins(name), upgrade(name)] {
            for force in [false, true] {
                let request = UpgradeRequest { force, ..request.clone() };
                assert_eq!(self.outcome(request).await, "UpgradeFailed", "{name}");
            }
        }
        assert_eq!(pods_of(self.world.dev.store(), "nogoo9", name).len(), 1);
        assert!(is_plain(&pods_of(self.world.dev.store(), "nogoo9", name)[0]));
    }
}

#[tokio::test]
async fn t53_no_upgrade_follows_a_template_s_name_to_another_author() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    // An operator's, an administrator's, one of a user's.
    let authors = [("w1", json!({})), ("w2", curated_by("root")), ("w3", by("bob"))];
    for (name, author) in &authors {
        stage.publish("1", author.clone(), spec("1", RUNS)).await;
        stage.spawner.spawn(wish(name)).await.unwrap();
    }
    stage.world.dev.store().delete(Kind::ConfigMap, "nogoo9", "t", &Preconditions::none()).unwrap();
    stage.publish("99", by("mallory"), spec("99", "echo $TOKEN")).await;
    for (name, _) in &authors {
        stage.is_left_alone(name).await;
    }
    // Nor when the template that was the operator's is the administrator's no more.
    stage.publish("100", by("root"), spec("100", RUNS)).await;
    stage.is_left_alone("w2").await;
    // Who answers for templates may do so for each other's.
    stage.publish("101", curated_by("root"), spec("101", RUNS)).await;
    assert_eq!(stage.outdated(), ["w1", "w2"]);
    assert_eq!(stage.outcome(owners("w1")).await, "begun");
    assert_eq!(stage.outcome(admins("w2")).await, "begun");
    stage.stop().await;
}

#[tokio::test]
async fn t53_a_user_s_template_is_followed_by_the_owner_alone() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    stage.publish("1", by("bob"), spec("1", RUNS)).await;
    for name in ["w1", "w2"] {
        stage.spawner.spawn(wish(name)).await.unwrap();
    }
    stage.publish("2", by("bob"), spec("2", RUNS)).await;
    assert!(stage.see("w1").is_outdated());
    // Not for those who would upgrade everybody's.
    assert_eq!(stage.outdated(), [""; 0]);
    assert_eq!(stage.outcome(admins("w1")).await, "UpgradeFailed");
    assert_eq!(stage.outcome(upgrade("w1")).await, "UpgradeFailed");
    let begun = stage.spawner.begin_upgrade(owners("w1")).await.unwrap();
    // The upgrade goes on as what it was begun as, and the new pod says whose its template is.
    let names = || -> Vec<String> {
        let pods = pods_of(stage.world.dev.store(), "nogoo9", "w1");
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    until("the new pod is there", || names().contains(&begun.pod_name)).await;
    let pods = pods_of(stage.world.dev.store(), "nogoo9", "w1");
    let origins: Vec<_> = pods.iter().map(|pod| annotation(pod, "nogoo9/template-origin")).collect();
    assert_eq!(origins, [Some("ConfigMap:bob"); 2]);
    stage.stop().await;
}

#[tokio::test]
async fn t53_a_pod_that_does_not_say_whose_its_template_was_gets_curated_ones_alone() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    let mut old = stage.only_pod("w1").await;
    let metadata = json!({
        "name": "ws-ada-w2", "namespace": "nogoo9", "labels": old["metadata"]["labels"],
        "annotations": {"nogoo9/template-ref": "t", "nogoo9/template-version": "1", "nogoo9/user-sub": "ada"},
    });
    old["metadata"] = metadata;
    old["metadata"]["labels"]["nogoo9/workspace-id"] = "w2".into();
    old["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN", "value": "s3cret"}]);
    old["status"].take();
    stage.spawner.cluster().create_pod(&"nogoo9".parse().unwrap(), &old).await.unwrap();
    until("the index has it", || stage.spawner.get(&id("w2"), None).is_ok()).await;
    stage.publish("2", by("ada"), spec("2", RUNS)).await;
    stage.is_left_alone("w2").await;
    stage.publish("3", curated_by("root"), spec("3", RUNS)).await;
    assert!(stage.see("w2").is_outdated());
    assert_eq!(stage.outcome(owners("w2")).await, "begun");
    stage.stop().await;
}

#[tokio::test]
async fn t53_an_upgrade_that_is_begun_does_not_go_to_another_author_either() {
    let world = cluster(false).await;
    let spawner = world.spawner(quick()).await;
    let stage = Stage { upgrader: tokio::spawn(async {}), world, spawner };
    stage.publish("1", by("bob"), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    stage.publish("2", by("bob"), spec("2", RUNS)).await;
    assert_eq!(stage.outcome(owners("w1")).await, "begun");
    // The same version.
    let mallorys = spec("mallory", RUNS);
    publish(stage.world.dev.store(), "nogoo9", "2", by("mallory"), mallorys);
    until("the template is known", || !stage.see("w1").is_outdated()).await;
    let upgrader = upgrader(&stage.spawner);
    let error = stage.ended("w1").await.unwrap_err().to_string();
    assert!(error.contains("somebody else"), "{error}");
    assert_eq!(stage.world.count(Kind::Pod, "nogoo9"), 1);
    upgrader.abort();
    stage.stop().await;
}

fn only_for(roles: &str) -> Value {
    json!({"nogoo9/allowed-roles": roles})
}

#[tokio::test]
async fn t53_nobody_else_s_upgrade_gives_an_owner_a_template_that_is_not_for_them() {
    let stage = Stage::on(cluster(false).await, quick()).await;
    for (name, restriction) in [("w1", json!({})), ("w2", only_for("dev, ops")), ("w3", only_for("dev"))] {
        stage.publish("1", restriction, spec("1", RUNS)).await;
        stage.spawner.spawn(wish(name)).await.unwrap();
    }
    stage.publish("2", only_for("dev,ops"), spec("2", RUNS)).await;
    // Whether the owner of the first and third may have it is not known here.
    for request in [admins("w1"), upgrade("w1"), admins("w3")] {
        let error = stage.spawner.begin_upgrade(request).await.unwrap_err();
        assert_eq!(error.code().reason, "UpgradeFailed");
        assert!(error.to_string().contains("not for the same users"), "{error}");
    }
    assert_eq!(stage.outcome(admins("w2")).await, "begun");
    // The owner knows.
    assert_eq!(stage.outcome(owners("w1")).await, "TemplateNotFound");
    let grants = Grants { roles: ["ops".to_owned()].into(), ..Grants::default() };
    let may = UpgradeRequest { caller: owners("w1").caller.with_grants(grants), ..owners("w1") };
    assert_eq!(stage.outcome(may).await, "begun");
    // What is for everybody is for every owner.
    stage.publish("3", json!({}), spec("3", RUNS)).await;
    assert_eq!(stage.outcome(admins("w3")).await, "begun");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t53_what_has_finished_and_counts_no_more_is_not_started_again_by_an_upgrade() {
    let stage = Stage::new().await;
    for (name, script) in [("w1", "exit 0"), ("w2", "exit 1")] {
        let mut first = spec("1", script);
        first["restartPolicy"] = "Never".into();
        stage.publish("1", json!({}), first).await;
        stage.spawner.spawn(wish(name)).await.unwrap();
        until("it has finished", || ["Succeeded", "Failed"].contains(&stage.see(name).pod().phase.as_str()))
            .await;
    }
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    assert!(stage.see("w1").is_outdated());
    assert_eq!(stage.outdated(), [""; 0]);
    for name in ["w1", "w2"] {
        for force in [false, true] {
            let request = UpgradeRequest { force, ..owners(name) };
            let error = stage.spawner.begin_upgrade(request).await.unwrap_err();
            assert_eq!(error.code().reason, "UpgradeFailed");
            assert!(error.to_string().contains("has finished"), "{error}");
        }
        assert_eq!(pods_of(stage.world.dev.store(), "nogoo9", name).len(), 1);
    }
    stage.stop().await;
}

#[tokio::test]
async fn t53_nor_is_what_finishes_while_its_upgrade_waits() {
    let world = cluster(false).await;
    let spawner = world.spawner(quick()).await;
    let stage = Stage { upgrader: tokio::spawn(async {}), world, spawner };
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    stage.spawner.spawn(wish("w1")).await.unwrap();
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    assert_eq!(stage.outcome(owners("w1")).await, "begun");
    let finish = |pod: &mut Value| {
        pod["status"]["phase"] = "Succeeded".into();
        Ok(())
    };
    let store = stage.world.dev.store();
    store.update(Kind::Pod, "nogoo9", "ws-w1", &Preconditions::none(), finish).unwrap();
    until("it has finished", || stage.see("w1").pod().phase.as_str() == "Succeeded").await;
    let upgrader = upgrader(&stage.spawner);
    let error = stage.ended("w1").await.unwrap_err().to_string();
    assert!(error.contains("has finished"), "{error}");
    assert_eq!(stage.world.count(Kind::Pod, "nogoo9"), 1);
    upgrader.abort();
    stage.stop().await;
}
