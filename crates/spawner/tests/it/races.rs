use std::num::NonZeroU32;

use futures::future::join_all;
use nocrd_devcluster::kind::Kind;
use nocrd_spawner::{Caller, Config, ListFilter, SpawnRequest, model::Role};

use crate::world::{World, request, tally, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t57_two_hundred_spawns_of_a_hundred_ids_on_two_replicas_make_a_hundred_pods() {
    let world = World::idle().await;
    let replicas = [world.spawner(Config::default()).await, world.spawner(Config::default()).await];
    let spawns = (0..200).map(|n| replicas[n % 2].spawn(request(&format!("w{}", n / 2), "ada")));
    let (succeeded, refusals) = tally(join_all(spawns).await);
    assert_eq!((succeeded, refusals), (100, vec!["WorkspaceExists"]));
    assert_eq!(world.count(Kind::Pod, "nogoo9"), 100);
    for replica in &replicas {
        until("both replicas see all", || replica.list(&ListFilter::default()).unwrap().total == 100).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t57_one_id_in_two_namespaces_goes_to_one_of_them() {
    let world = World::idle().await;
    let replicas = [world.spawner(Config::default()).await, world.spawner(Config::default()).await];
    for round in 0..10 {
        let id = format!("w{round}");
        let spawns = ["nogoo9", "default"].iter().zip(&replicas).map(|(namespace, replica)| {
            replica
                .spawn(SpawnRequest { namespace: Some((*namespace).to_owned()), ..request(&id, namespace) })
        });
        let (succeeded, refusals) = tally(join_all(spawns).await);
        assert_eq!((succeeded, refusals), (1, vec!["WorkspaceExists"]), "{id}");
    }
    let pods = || world.count(Kind::Pod, "nogoo9") + world.count(Kind::Pod, "default");
    until("the later ones are gone", || pods() == 10).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t56_parallel_spawns_at_the_limit_end_with_exactly_the_limit() {
    let world = World::idle().await;
    let config = Config { max_workspaces_per_user: NonZeroU32::new(3), ..Config::default() };
    let replicas = [world.spawner(config.clone()).await, world.spawner(config).await];
    let spawns = (0..20).map(|n| {
        let namespace = Some(["nogoo9", "default"][n / 2 % 2].to_owned());
        replicas[n % 2].spawn(SpawnRequest { namespace, ..request(&format!("w{n}"), "ada@example.com") })
    });
    let (succeeded, refusals) = tally(join_all(spawns).await);
    assert_eq!((succeeded, refusals), (3, vec!["QuotaExceeded"]));
    let pods = || world.count(Kind::Pod, "nogoo9") + world.count(Kind::Pod, "default");
    until("those over the limit are gone", || pods() == 3).await;
    // Somebody else has a limit of their own; what an administrator makes counts as its owner's, and theirs is not limited.
    replicas[0].spawn(request("other", "ada.example.com")).await.unwrap();
    let root = || Caller::verified("root".into(), Role::Admin);
    for (id, caller, owner, allowed) in [
        ("by-root", root(), "ada@example.com", false),
        ("by-anybody", Caller::local(), "ada@example.com", false),
        ("r1", root(), "root", true),
        ("r2", root(), "root", true),
        ("r3", root(), "root", true),
        ("r4", root(), "root", true),
    ] {
        let outcome = replicas[0].spawn(SpawnRequest { caller, ..request(id, owner) }).await;
        assert_eq!(outcome.is_ok(), allowed, "{id}: {outcome:?}");
    }
    world.stop().await;
}
