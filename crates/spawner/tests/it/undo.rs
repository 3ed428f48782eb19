use nocrd_devcluster::{access::Rule, kind::Kind};
use nocrd_spawner::{Config, Spawner, TemplateSources};

use crate::world::{World, id, role_template, tally, until, with_context, with_role};

async fn with_roles(world: &World) -> (tempfile::TempDir, Spawner) {
    let (directory, sources) = role_template();
    (directory, Spawner::new(world.cluster(true).await, sources, Config::default()))
}

#[tokio::test]
async fn the_account_goes_when_the_pod_is_refused() {
    let world = World::idle().await;
    let (_directory, spawner) = with_roles(&world).await;
    world.dev.access().set(vec![Rule::deny("create", "pods")]);
    let error = spawner.spawn(with_role("w1")).await.unwrap_err();
    assert_eq!(error.code().reason, "ClusterForbidden", "{error}");
    assert_eq!(world.count(Kind::ServiceAccount, "nogoo9"), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_pod_the_api_server_refuses_leaves_nothing_and_names_the_field() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let mut wish = with_context("w1");
    wish.source = nocrd_spawner::Source::Inline(serde_json::json!({
        "containers": [{"name": "Not_A_Name", "image": "i"}],
    }));
    let error = spawner.spawn(wish).await.unwrap_err();
    assert_eq!(error.code().reason, "ClusterRefused", "{error}");
    assert!(error.to_string().contains("containers[0].name"), "{error}");
    for kind in [Kind::Pod, Kind::Secret, Kind::ServiceAccount] {
        assert_eq!(world.count(kind, "nogoo9"), 0, "{kind:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn without_the_right_to_secrets_context_is_literal_and_the_caller_is_told() {
    for known_beforehand in [true, false] {
        let world = World::idle().await;
        world.dev.access().set(vec![Rule::deny("create", "secrets")]);
        let cluster = world.cluster(known_beforehand).await;
        let spawner = Spawner::new(cluster, TemplateSources::default(), Config::default());
        for name in ["w1", "w2"] {
            let spawned = spawner.spawn(with_context(name)).await.unwrap();
            assert!(spawned.warnings[0].contains("Secrets"), "{:?}", spawned.warnings);
        }
        let pods = world.objects(Kind::Pod, "nogoo9");
        assert_eq!(pods.len(), 2);
        for pod in pods {
            assert_eq!(pod["spec"]["containers"][0]["env"][0]["value"], "s3cret");
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn a_secret_left_by_an_earlier_pod_is_replaced() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let left = serde_json::json!({"metadata": {"name": "ws-w1-context", "namespace": "nogoo9"}, "data": {"TOKEN": "b2xk"}});
    world.dev.store().create(Kind::Secret, left).unwrap();
    spawner.spawn(with_context("w1")).await.unwrap();
    let secrets = world.objects(Kind::Secret, "nogoo9");
    assert_eq!(secrets[0]["data"]["TOKEN"], "czNjcmV0");
    assert_eq!(secrets[0]["metadata"]["ownerReferences"][0]["name"], "ws-w1");
    world.stop().await;
}

#[tokio::test]
async fn k03_stopping_takes_secret_and_account_along_and_frees_the_id() {
    let world = World::idle().await;
    let (_directory, spawner) = with_roles(&world).await;
    let janitor = tokio::spawn({
        let spawner = spawner.clone();
        async move { spawner.janitor().await }
    });
    for _ in 0..2 {
        spawner.spawn(with_role("w1")).await.unwrap();
        assert_eq!(
            (world.count(Kind::Secret, "nogoo9"), world.count(Kind::ServiceAccount, "nogoo9")),
            (1, 1)
        );
        assert!(spawner.stop(&id("w1"), Some(&"eve".into()), Default::default()).await.is_err(), "not hers");
        let options = nocrd_spawner::StopOptions { grace_period_seconds: Some(0) };
        spawner.stop(&id("w1"), Some(&"ada".into()), options).await.unwrap();
        until("nothing is left", || {
            [Kind::Pod, Kind::Secret, Kind::ServiceAccount]
                .iter()
                .all(|kind| world.count(*kind, "nogoo9") == 0)
        })
        .await;
        until("the id is free", || spawner.get(&id("w1"), None).is_err()).await;
    }
    janitor.abort();
    world.stop().await;
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_a_whole_workspace() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    // Polled once: the work has begun and the caller is gone.
    let mut spawn = Box::pin(spawner.spawn(with_context("w1")));
    assert!(futures::poll!(&mut spawn).is_pending());
    drop(spawn);
    until("pod and secret are there", || {
        (world.count(Kind::Pod, "nogoo9"), world.count(Kind::Secret, "nogoo9")) == (1, 1)
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_losers_of_a_race_leave_the_winners_account_alone() {
    let world = World::idle().await;
    let (_directory, spawner) = with_roles(&world).await;
    for round in 0..5 {
        let id = format!("w{round}");
        let results = futures::future::join_all((0..3).map(|_| spawner.spawn(with_role(&id)))).await;
        assert_eq!(tally(results), (1, vec!["WorkspaceExists"]));
        let named = format!("ws-{id}");
        let pods = world.objects(Kind::Pod, "nogoo9");
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == named.as_str()).unwrap();
        let accounts = world.objects(Kind::ServiceAccount, "nogoo9");
        let own = accounts
            .iter()
            .filter(|account| account["metadata"]["name"] == pod["spec"]["serviceAccountName"]);
        assert_eq!((own.count(), accounts.len()), (1, round + 1));
    }
    world.stop().await;
}
