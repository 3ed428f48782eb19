//! What is kept in memory follows the cluster, whatever happens to the connection.

use std::{sync::Arc, time::Duration};

use http::Method;
use nocrd_cluster::{ChangeKind, Cluster, Config, Scope, Watched, WorkspacePod};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    PATIENCE, config,
    fake::{Api, Expiry, pod, template},
    id, namespace, start, synced, until,
};

/// Waits until the pods of a workspace are these.
async fn shows(cluster: &Cluster, workspace: &str, pods: &[&str]) -> Vec<Arc<WorkspacePod>> {
    let wanted =
        |found: &[Arc<WorkspacePod>]| found.iter().map(|pod| pod.pod_name.as_str()).eq(pods.iter().copied());
    let found = cluster.workspaces().wait_for(&id(workspace), PATIENCE, wanted).await;
    found.unwrap_or_else(|_| panic!("{workspace} has {:?}", cluster.workspaces().get(&id(workspace))))
}

#[tokio::test(start_paused = true)]
async fn the_index_follows_and_costs_nothing_to_read() {
    let api = Api::default();
    api.put("pods", pod("p1", "w1", false));
    let cluster = synced(&api).await;
    assert_eq!(cluster.workspaces().get(&id("w1")).len(), 1);
    assert_eq!(cluster.workspaces().routable(&id("w1")).map(|pod| pod.uid.clone()), None);
    assert_eq!(cluster.health().watched, Watched::One(namespace("nogoo9")));

    let mut changes = cluster.workspaces().changes();
    api.put("pods", pod("p1", "w1", true));
    api.put("pods", pod("p2", "w2", true));
    shows(&cluster, "w2", &["p2"]).await;
    assert_eq!(changes.recv().await.unwrap().kind, ChangeKind::Applied);

    let before = cluster.api_calls();
    for _ in 0..1000 {
        assert_eq!(cluster.workspaces().routable(&id("w1")).unwrap().ip.unwrap().to_string(), "10.0.0.7");
        assert_eq!(cluster.workspaces().all().len(), 2);
    }
    assert_eq!(cluster.api_calls(), before);

    api.remove("pods", "nogoo9", "p2");
    shows(&cluster, "w2", &[]).await;
    // Only pods of ours were asked for.
    let selector = "labelSelector=nogoo9%2Fmanaged-by%3Dnogoo9-spawner";
    assert_eq!(api.count(selector), api.count("/pods?"));
}

#[tokio::test(start_paused = true)]
async fn long_listings_come_in_pages() {
    let api = Api::default();
    api.set_page(2);
    for n in 0..5 {
        api.put("pods", pod(&format!("p{n}"), &format!("w{n}"), true));
    }
    let cluster = synced(&api).await;
    assert_eq!(cluster.workspaces().len(), 5);
    assert_eq!(api.count("continue="), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_resumed_where_it_ended() {
    let api = Api::default();
    api.put("pods", pod("p1", "w1", true));
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    api.end_watches();
    api.put("pods", pod("p2", "w2", true));
    shows(&cluster, "w2", &["p2"]).await;
    let listings = api.count("/pods?") - api.count("/pods?&watch") - api.count("/pods?watch");
    assert_eq!(listings, 1, "{:?}", api.received());
    until("healthy again", || cluster.health().stale_for.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn t48_after_an_expired_watch_everything_is_read_anew() {
    for expiry in [Expiry::Event, Expiry::Status] {
        let api = Api::default();
        api.put("pods", pod("old", "w1", true));
        api.put("pods", pod("gone", "w2", true));
        let cluster = synced(&api).await;
        until("both watches", || api.watching() == 2).await;
        let arrival = cluster.workspaces().get(&id("w1"))[0].arrival;

        api.end_watches();
        api.remove("pods", "nogoo9", "gone");
        api.put("pods", pod("a-new-one", "w1", true));
        api.forget(expiry);
        let pods = shows(&cluster, "w1", &["old", "a-new-one"]).await;
        assert_eq!(pods[0].arrival, arrival, "{expiry:?}");
        shows(&cluster, "w2", &[]).await;
        until("healthy again", || cluster.health().stale_for.is_none()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t48_thousands_of_changes_at_once_leave_the_last_state() {
    let api = Api::default();
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    let name = |n: usize| (format!("p{n}"), format!("w{n}"));
    for round in 0..100 {
        for n in 0..50 {
            let (pod_name, workspace) = name(n);
            api.put("pods", pod(&pod_name, &workspace, (round + n) % 2 == 0));
            if n >= 25 {
                api.remove("pods", "nogoo9", &pod_name);
            }
        }
    }
    api.put("pods", pod("last", "last", true));
    shows(&cluster, "last", &["last"]).await;
    assert_eq!(cluster.workspaces().len(), 26);
    for n in 0..25 {
        let routable = cluster.workspaces().routable(&id(&name(n).1)).is_some();
        assert_eq!(routable, (99 + n) % 2 == 0, "{n}");
    }
    // And a watch that expires again and again is a listing each time, no more.
    let listings = || api.count("/pods?") - api.count("/pods?&watch") - api.count("/pods?watch");
    let before = listings();
    for round in 1..=10 {
        api.end_watches();
        api.forget(Expiry::Event);
        api.put("pods", pod("last", &format!("last-{round}"), true));
        shows(&cluster, &format!("last-{round}"), &["last"]).await;
    }
    assert_eq!(listings() - before, 10);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_down_at_start_is_waited_for() {
    let api = Api::default();
    api.put("pods", pod("p1", "w1", true));
    api.put("configmaps", template("t1", "{}"));
    api.set_down(true);
    let cluster = start(&api, config(Scope::Cluster)).await;
    until("it says so", || cluster.health().last_error.is_some()).await;
    let health = cluster.health();
    assert!(!health.synced && health.stale_for.is_some());
    assert!(health.last_error.unwrap().contains("connection refused"));
    assert!(!cluster.permissions().complete && !cluster.permissions().enables("spawn_workspace"));

    api.set_down(false);
    cluster.synced().await;
    assert_eq!(cluster.workspaces().len(), 1);
    assert_eq!(cluster.template_config_maps().len(), 1);
    until("healthy", || cluster.health().stale_for.is_none()).await;
    until("permissions are known", || cluster.permissions().enables("spawn_workspace")).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_and_the_last_state_served() {
    let api = Api::default();
    api.put("pods", pod("p1", "w1", true));
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    assert_eq!((cluster.health().stale_for, cluster.health().last_error), (None, None));

    api.set_down(true);
    until("it says so", || cluster.health().stale_for.is_some_and(|stale| stale.as_secs() >= 30)).await;
    assert!(cluster.health().synced);
    assert!(cluster.workspaces().routable(&id("w1")).is_some());
    // Patience, not insistence: pauses grow to ten seconds.
    assert!(api.count("/pods?") < 40, "{}", api.count("/pods?"));

    api.set_down(false);
    // Nothing changes in the cluster: the connection alone makes it healthy again.
    until("healthy again", || cluster.health().stale_for.is_none()).await;
    api.put("pods", pod("p2", "w2", true));
    shows(&cluster, "w2", &["p2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_read_is_skipped_and_a_bookmark_moves_on() {
    let api = Api::default();
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    api.send_line("pods", r#"{"type":"ADDED","object":{"metadata":{"name":5}}}"#);
    let bookmark = json!({"type": "BOOKMARK", "object": {
        "kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "77"},
    }});
    api.send_line("pods", &bookmark.to_string());
    api.end_watches();
    until("it resumes from the bookmark", || api.count("resourceVersion=77") > 0).await;
    assert!(cluster.workspaces().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pods_made_by_hand_are_no_workspaces() {
    let api = Api::default();
    let mut by_hand = pod("by-hand", "w1", true);
    by_hand["metadata"]["labels"].as_object_mut().unwrap().remove("nogoo9/managed-by");
    api.put("pods", by_hand);
    let mut no_id = pod("no-id", "w1", true);
    no_id["metadata"]["labels"]["nogoo9/workspace-id"] = json!("a,b=c");
    api.put("pods", no_id);
    api.put("pods", pod("ours", "w1", true));
    let cluster = synced(&api).await;
    shows(&cluster, "w1", &["ours"]).await;

    // One that loses the mark is forgotten.
    let mut lost = pod("ours", "w1", true);
    lost["metadata"]["labels"]["nogoo9/managed-by"] = json!("somebody");
    api.put("pods", lost);
    shows(&cluster, "w1", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn one_watch_serves_workspaces_and_other_pods() {
    let api = Api::default();
    let raw = |name: &str| {
        let mut raw = pod(name, "w1", true);
        raw["metadata"]["labels"] = json!({"nogoo9/managed-by": "nogoo9-spawner", "nogoo9/user-sub": "bob"});
        raw
    };
    api.put("pods", pod("p1", "w1", true));
    api.put("pods", raw("job"));
    let cluster = synced(&api).await;
    let names = |cluster: &Cluster| -> Vec<String> {
        cluster.pods().in_namespace(&namespace("nogoo9")).iter().map(|pod| pod.name.clone()).collect()
    };
    assert_eq!((names(&cluster), cluster.workspaces().len()), (vec!["job".into(), "p1".into()], 1));

    let mut changes = cluster.pods().changes();
    api.put("pods", raw("later"));
    changes.changed().await.unwrap();
    assert_eq!(cluster.pods().by_owner(&"bob".into()).len(), 2);
    api.remove("pods", "nogoo9", "job");
    changes.changed().await.unwrap();
    assert_eq!(names(&cluster), ["later", "p1"]);
    // The templates' and this one.
    until("both watches", || api.watching() == 2).await;

    let before = cluster.api_calls();
    let listed = cluster.list_managed_pods(Some(&namespace("nogoo9"))).await.unwrap();
    assert_eq!(listed.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["p1", "later"]);
    assert_eq!(cluster.api_calls() - before, 1);
    assert_eq!(cluster.list_workspace_pods(None).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn templates_are_kept_without_ballast_and_changes_told() {
    let api = Api::default();
    api.put("configmaps", template("t1", "{}"));
    let cluster = synced(&api).await;
    let mut changes = cluster.template_changes();
    let templates = cluster.template_config_maps();
    let [first] = templates.as_slice() else { panic!("{templates:?}") };
    assert_eq!(first.metadata.managed_fields, None);
    assert_eq!(first.metadata.annotations.clone().unwrap().into_keys().collect::<Vec<_>>(), ["nogoo9/tag"]);

    api.put("configmaps", template("t0", "{}"));
    changes.changed().await.unwrap();
    let names = |cluster: &Cluster| -> Vec<String> {
        cluster.template_config_maps().iter().map(|map| map.metadata.name.clone().unwrap()).collect()
    };
    assert_eq!(names(&cluster), ["t0", "t1"]);
    api.remove("configmaps", "nogoo9", "t1");
    changes.changed().await.unwrap();
    assert_eq!(names(&cluster), ["t0"]);
    assert!(api.count("labelSelector=nogoo9%2Fpod-template%3Dtrue") > 0);
}

/// Roles made for versions up to 0.17 don't let templates be watched.
#[tokio::test(start_paused = true)]
async fn templates_that_must_not_be_watched_are_listed_now_and_then() {
    for check_permissions in [true, false] {
        let api = Api::default();
        api.put("configmaps", template("t1", "{}"));
        api.deny("watch", "configmaps", "*");
        api.deny("watch", "configmaps", "nogoo9");
        let cluster = start(&api, Config { check_permissions, ..config(Scope::Cluster) }).await;
        cluster.synced().await;
        let health = cluster.health();
        assert_eq!((health.watched_templates, health.stale_for), (Watched::AllNamespaces, None));
        let mut changes = cluster.template_changes();
        assert_eq!(cluster.template_config_maps().len(), 1);
        api.put("configmaps", template("t0", "{}"));
        changes.changed().await.unwrap();
        assert_eq!(cluster.template_config_maps().len(), 2);

        // One's own changes are seen at once.
        let before = Instant::now();
        let map = template("t2", "{}");
        api.script(Method::POST, "/api/v1/namespaces/nogoo9/configmaps", 201, map.to_string());
        api.put("configmaps", map.clone());
        let map = serde_json::from_value(map).unwrap();
        cluster.create_template_config_map(&namespace("nogoo9"), &map).await.unwrap();
        changes.changed().await.unwrap();
        assert!(before.elapsed() < Duration::from_secs(1));
        assert_eq!(cluster.template_config_maps().len(), 3);

        // Whether it is permitted by now is asked seldom, and found out.
        let (tries, lists) = (api.count("configmaps?&watch"), api.count("configmaps?"));
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!(api.count("configmaps?&watch"), tries);
        assert!((15..=25).contains(&(api.count("configmaps?") - lists)));
        assert_eq!(cluster.health().stale_for, None);
        api.allow_all();
        until("both watches", || api.watching() == 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_rights_in_the_whole_cluster_the_default_namespace_is_watched_until_they_come() {
    let api = Api::default();
    api.put("pods", pod("p1", "w1", true));
    let mut elsewhere = pod("p2", "w2", true);
    elsewhere["metadata"]["namespace"] = json!("team-a");
    api.put("pods", elsewhere);
    for (verb, resource) in [("list", "pods"), ("watch", "pods"), ("list", "configmaps")] {
        api.deny(verb, resource, "*");
    }
    let cluster = start(&api, config(Scope::Cluster)).await;
    cluster.synced().await;
    assert_eq!(cluster.health().watched, Watched::One(namespace("nogoo9")));
    assert_eq!(cluster.workspaces().len(), 1);
    assert_eq!(api.count("/api/v1/pods?"), 0);

    api.allow_all();
    cluster.refresh_permissions().await;
    shows(&cluster, "w2", &["p2"]).await;
    shows(&cluster, "w1", &["p1"]).await;
    assert_eq!(cluster.health().watched, Watched::AllNamespaces);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_is_noticed() {
    let api = Api::default();
    api.put("pods", pod("p1", "w1", true));
    let cluster = start(&api, config(Scope::Cluster)).await;
    cluster.synced().await;
    until("both watches", || api.watching() == 2).await;
    assert_eq!(cluster.health().watched, Watched::AllNamespaces);

    api.deny("watch", "pods", "*");
    api.end_watches();
    until("it falls back", || cluster.health().watched == Watched::One(namespace("nogoo9"))).await;
    until("healthy again", || cluster.health().stale_for.is_none()).await;
    assert_eq!(cluster.workspaces().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_checks_a_denied_watch_narrows_itself() {
    let api = Api::default();
    api.put("pods", pod("p1", "w1", true));
    for resource in ["pods", "configmaps"] {
        api.deny("list", resource, "*");
    }
    api.deny("list", "configmaps", "nogoo9");
    let mut config = config(Scope::Cluster);
    config.check_permissions = false;
    let cluster = start(&api, config).await;
    cluster.synced().await;
    let health = cluster.health();
    assert_eq!(
        (health.watched, health.watched_templates),
        (Watched::One(namespace("nogoo9")), Watched::Nothing)
    );
    assert_eq!((cluster.workspaces().len(), cluster.template_config_maps().len()), (1, 0));
    assert_eq!(api.count("selfsubjectaccessreviews"), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_when_the_last_clone_is_gone() {
    let api = Api::default();
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    let clone = cluster.clone();
    drop(cluster);
    tokio::task::yield_now().await;
    assert_eq!(api.watching(), 2);
    drop(clone);
    until("the watches are closed", || api.watching() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn pods_outside_the_allowed_namespaces_are_no_workspaces() {
    let api = Api::default();
    let within = |namespace: &str, workspace: &str| {
        let mut pod = pod("p1", workspace, true);
        pod["metadata"]["namespace"] = namespace.into();
        pod
    };
    api.put("pods", within("nogoo9", "w1"));
    api.put("pods", within("kube-system", "w2"));
    let allowed = Some([namespace("team-a")].into());
    let cluster =
        start(&api, nocrd_cluster::Config { allowed_namespaces: allowed, ..config(Scope::Cluster) }).await;
    cluster.synced().await;
    api.put("pods", within("kube-public", "w3"));
    api.put("pods", within("team-a", "w4"));
    until("the allowed one is seen", || cluster.workspaces().routable(&id("w4")).is_some()).await;
    let ids: Vec<String> = cluster.workspaces().all().iter().map(|pod| pod.id.to_string()).collect();
    assert_eq!(ids, ["w1", "w4"]);
}
