//! Many upgrades at once.

use nocrd_devcluster::kind::Kind;
use nocrd_spawner::{Config, SpawnRequest, UpgradeConfig};
use serde_json::{Value, json};

use super::stage::*;
use crate::world::{PATIENCE, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_upgrades_a_few_start_their_pods_at_a_time() {
    let config = Config { upgrade: UpgradeConfig { at_once: 2, ..quick().upgrade }, ..quick() };
    let stage = Stage::with(config).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        stage.spawn(wish(name)).await;
    }
    stage.publish("2", json!({}), spec("2", RUNS)).await;
    let (_, mut watch) = stage.world.dev.store().list_and_watch(Kind::Pod).unwrap();
    let outdated = stage.spawner.outdated(&Default::default()).unwrap();
    assert_eq!(outdated.len(), names.len());
    for workspace in outdated {
        assert!(stage.begin(workspace.id().as_str()).await.unwrap().changed);
    }
    let ended = async {
        for name in names {
            assert_eq!(stage.ended(name).await.unwrap().template_version(), "2");
        }
    };
    let mut starting = std::collections::BTreeSet::new();
    let counting = async {
        while let Some(Ok(event)) = watch.next().await {
            let is_open = |pod: &Value| {
                let link = annotation(pod, "nogoo9/upgrade-from");
                link.is_some_and(|link| !link.contains(r#""cut":true"#))
            };
            let name = event.object["metadata"]["name"].as_str().unwrap().to_owned();
            if is_open(&event.object) {
                starting.insert(name)
            } else {
                starting.remove(&name)
            };
            assert!(starting.len() <= 2, "{starting:?}");
        }
    };
    tokio::select! {
        () = ended => {}
        () = counting => {}
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t53_one_owner_s_upgrades_do_not_keep_others_waiting() {
    // Longer than this test has patience.
    let endless = UpgradeConfig { at_once: 2, timeout: PATIENCE * 20, ..quick().upgrade };
    let stage = Stage::with(Config { upgrade: endless, ..quick() }).await;
    stage.publish("1", json!({}), spec("1", RUNS)).await;
    let names = ["a1", "a2", "a3"];
    for name in names {
        stage.spawn(wish(name)).await;
    }
    let context = [("TOKEN", "good")].into_iter().collect();
    stage.spawn(SpawnRequest { owner: "bob".into(), context, ..wish("b1") }).await;
    // Ready for one of them alone.
    let mut next = spec("2", RUNS);
    next["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["/bin/sh", "-c", "test \"$TOKEN\" = good"]}, "periodSeconds": 1});
    stage.publish("2", json!({}), next).await;
    for name in names {
        assert!(stage.begin(name).await.unwrap().changed);
    }
    let starting = || {
        let all = names.iter().flat_map(|name| pods_of(stage.world.dev.store(), "nogoo9", name));
        all.filter(|pod| annotation(pod, "nogoo9/upgrade-from").is_some()).count()
    };
    until("the first of them starts", || starting() > 0).await;
    assert!(stage.begin("b1").await.unwrap().changed);
    assert_eq!(stage.ended("b1").await.unwrap().template_version(), "2");
    assert_eq!(starting(), 1);
    stage.stop().await;
}
