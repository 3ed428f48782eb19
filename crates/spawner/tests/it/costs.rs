use nocrd_devcluster::kind::Kind;
use nocrd_spawner::{Config, ListFilter, Spawner, TemplateSources};

use crate::world::{World, id, request, role_template, template_directory, until, with_context, with_role};

/// Requests sent to the API server while `work` runs.
async fn calls<T>(spawner: &Spawner, work: impl Future<Output = T>) -> (u64, T) {
    let before = spawner.cluster().api_calls();
    let result = work.await;
    (spawner.cluster().api_calls() - before, result)
}

#[tokio::test]
async fn a_spawn_costs_one_call_and_one_more_for_context_and_role() {
    let world = World::idle().await;
    let (_directory, sources) = role_template();
    let spawner = Spawner::new(world.cluster(true).await, sources, Config::default());
    for (wish, expected) in
        [(request("plain", "ada"), 1), (with_context("context"), 2), (with_role("role"), 3)]
    {
        let (cost, result) = calls(&spawner, spawner.spawn(wish)).await;
        result.unwrap();
        assert_eq!(cost, expected);
    }
    world.stop().await;
}

#[tokio::test]
async fn k28_k41_reading_costs_nothing() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    for n in 0..5 {
        spawner.spawn(request(&format!("w{n}"), "ada")).await.unwrap();
    }
    let (cost, ()) = calls(&spawner, async {
        let page = spawner.list(&ListFilter { limit: Some(2), ..ListFilter::default() }).unwrap();
        assert_eq!((page.items.len(), page.total, page.next), (2, 5, Some(id("w1"))));
        let rest = spawner.list(&ListFilter { after: Some(id("w1")), ..ListFilter::default() }).unwrap();
        assert_eq!(rest.items.iter().map(|w| w.id().as_str()).collect::<Vec<_>>(), ["w2", "w3", "w4"]);
        assert_eq!(spawner.get(&id("w3"), None).unwrap().id(), &id("w3"));
        assert!(spawner.get(&id("w3"), Some(&"eve".into())).is_err());
        assert!(
            spawner
                .list(&ListFilter { owner: Some("eve".into()), ..ListFilter::default() })
                .unwrap()
                .items
                .is_empty()
        );
    })
    .await;
    assert_eq!(cost, 0);
    // Refusals that the index can tell cost nothing either.
    let (cost, result) = calls(&spawner, spawner.spawn(request("w3", "eve"))).await;
    assert_eq!((cost, result.unwrap_err().code().reason), (0, "WorkspaceExists"));
    world.stop().await;
}

#[tokio::test]
async fn k32_a_refused_request_creates_nothing() {
    let world = World::idle().await;
    let text = "metadata:\n  annotations:\n    nogoo9/required-context: PROJECT_NAME, REPO_URL\n    \
                nogoo9/iam-role-arn: arn:aws:iam::123456789012:role/r\nspec: {containers: [{name: a, image: i}]}";
    let (_directory, sources) = template_directory("needy", text);
    let spawner = Spawner::new(world.cluster(true).await, sources, Config::default());
    let mut wish = request("w1", "ada");
    wish.source = "needy".parse::<nocrd_spawner::TemplateRef>().unwrap().into();
    wish.context = [("REPO_URL", "x")].into_iter().collect();
    let (cost, result) = calls(&spawner, spawner.spawn(wish)).await;
    let error = result.unwrap_err();
    assert_eq!((cost, error.code().reason), (0, "MissingContext"));
    assert!(error.to_string().ends_with("PROJECT_NAME"), "{error}");
    for kind in [Kind::Pod, Kind::Secret, Kind::ServiceAccount] {
        assert_eq!(world.count(kind, "nogoo9"), 0, "{kind:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_template_config_map_is_seen_when_it_appears_and_changes() {
    let world = World::idle().await;
    let spawner = Spawner::new(world.cluster(true).await, TemplateSources::default(), Config::default());
    let config_map = |text: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "mine", "namespace": "nogoo9", "labels": {"nogoo9/pod-template": "true"}},
            "data": {"spec": text},
        })
    };
    let namespace = "nogoo9".parse().unwrap();
    let reference: nocrd_spawner::TemplateRef = "mine".parse().unwrap();
    assert!(spawner.catalogue().resolve(&reference, &namespace).is_err());
    world.dev.store().create(Kind::ConfigMap, config_map("containers: [{name: a, image: i}]")).unwrap();
    until("it appears", || spawner.catalogue().resolve(&reference, &namespace).is_ok()).await;
    let broken = |object: &mut serde_json::Value| {
        object["data"]["spec"] = "containers: [".into();
        Ok(())
    };
    world.dev.store().update(Kind::ConfigMap, "nogoo9", "mine", &Default::default(), broken).unwrap();
    until("it is reported as broken", || !spawner.catalogue().list(&namespace).problems.is_empty()).await;
    let listing = spawner.catalogue().list(&namespace);
    assert!(
        listing.templates.iter().any(|template| template.name == "default-agent-workspace"),
        "the others stay"
    );
    world.stop().await;
}
