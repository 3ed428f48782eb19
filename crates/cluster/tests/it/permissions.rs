//! What is asked about the server's own rights, and what becomes of the answers.

use std::{collections::BTreeSet, time::Duration};

use nocrd_cluster::{NEEDS, Scope};
use serde_json::{Value, json};

use crate::{config, fake::Api, start, until};

fn asked(api: &Api) -> Vec<Value> {
    let reviews = api.received().into_iter().filter(|received| received.target.ends_with("accessreviews"));
    reviews.map(|review| review.body["spec"]["resourceAttributes"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn questions_name_group_subresource_and_the_right_scope() {
    let api = Api::default();
    let cluster = start(&api, config(Scope::Cluster)).await;
    let asked = asked(&api);
    for question in [
        json!({"group": "", "verb": "get", "resource": "pods", "subresource": "log", "namespace": "nogoo9"}),
        json!({"group": "", "verb": "list", "resource": "namespaces"}),
        json!({"group": "", "verb": "watch", "resource": "pods", "namespace": "nogoo9"}),
        json!({"group": "", "verb": "watch", "resource": "pods"}),
    ] {
        assert!(asked.contains(&question), "{question} not in {asked:?}");
    }
    assert_eq!(asked.len(), NEEDS.len() + 4);
    assert!(cluster.permissions().complete && cluster.permissions().disabled_tools.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_namespaced_server_asks_for_nothing_outside_its_namespace() {
    let api = Api::default();
    start(&api, config(Scope::Namespaced)).await;
    assert!(asked(&api).iter().all(|question| question["namespace"] == "nogoo9"), "{:?}", asked(&api));
}

#[tokio::test(start_paused = true)]
async fn t55_each_right_alone_can_be_missing() {
    for need in NEEDS {
        let api = Api::default();
        let (verb, resource) = (need.verb, need.full_resource());
        api.deny(verb, &resource, "nogoo9");
        api.deny(verb, &resource, "*");
        let cluster = start(&api, config(Scope::Cluster)).await;
        let report = cluster.permissions();
        assert!(!report.allows(verb, &resource) && report.complete, "{need:?}");
        let disabled: BTreeSet<_> = report.disabled_tools.iter().collect();
        assert_eq!(disabled, need.tools.iter().collect(), "{need:?}");
        // Templates in the cluster are a help, not a need.
        if need.resource == "configmaps" {
            cluster.synced().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_found_and_told() {
    let api = Api::default();
    api.deny("get", "pods/log", "nogoo9");
    let cluster = start(&api, config(Scope::Cluster)).await;
    assert!(
        !cluster.permissions().enables("get_pod_logs") && !cluster.permissions().allows("get", "pods/log")
    );
    let mut changes = cluster.permission_changes();
    changes.mark_unchanged();

    // By itself, after a while.
    api.allow_all();
    changes.changed().await.unwrap();
    assert!(cluster.permissions().enables("get_pod_logs"));

    // And on demand.
    api.deny("create", "pods", "nogoo9");
    cluster.refresh_permissions().await;
    assert!(changes.has_changed().unwrap());
    assert!(!cluster.permissions().enables("spawn_workspace"));
    changes.mark_unchanged();
    cluster.refresh_permissions().await;
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_answered_keeps_its_last_answer() {
    let api = Api::default();
    let cluster = start(&api, config(Scope::Cluster)).await;
    api.set_reviews_fail(true);
    cluster.refresh_permissions().await;
    assert!(!cluster.permissions().complete);
    assert!(cluster.permissions().enables("spawn_workspace"));
    api.set_reviews_fail(false);
    until("it asks again by itself", || cluster.permissions().complete).await;
}

#[tokio::test(start_paused = true)]
async fn without_checks_everything_counts_as_allowed() {
    let api = Api::default();
    let mut config = config(Scope::Cluster);
    config.check_permissions = false;
    let cluster = start(&api, config).await;
    cluster.refresh_permissions().await;
    assert!(
        cluster.permissions().disabled_tools.is_empty() && cluster.permissions().allows("create", "secrets")
    );
    assert!(asked(&api).is_empty());
}

#[tokio::test(start_paused = true)]
async fn k40_rights_in_other_listed_namespaces_are_told_and_decide_over_no_tool() {
    let api = Api::default();
    api.deny("create", "pods", "*");
    api.deny("create", "pods", "team-b");
    api.deny("get", "pods/log", "*");
    let allowed = ["nogoo9", "team-a", "team-b"].map(crate::namespace).into();
    let config = nocrd_cluster::Config { allowed_namespaces: Some(allowed), ..config(Scope::Cluster) };
    let cluster = start(&api, config).await;
    assert!(cluster.permissions().elsewhere.is_empty(), "it is not waited for at the start");

    let before = asked(&api).len();
    cluster.refresh_permissions().await;
    let report = cluster.permissions();
    let told: Vec<&str> = report.elsewhere.keys().map(|namespace| namespace.as_str()).collect();
    assert_eq!(told, ["team-a", "team-b"]);
    let may = |namespace: &str, verb: &str, resource: &str| {
        report.elsewhere[&crate::namespace(namespace)][resource][verb]
    };
    assert!(may("team-a", "create", "pods") && !may("team-b", "create", "pods"));
    assert!(may("team-b", "get", "pods/log") && may("team-b", "list", "secrets"));
    assert!(report.enables("spawn_workspace") && report.complete && report.disabled_tools.is_empty());
    // Only what is not granted in the whole cluster is asked for each.
    let namespaced = NEEDS.iter().filter(|need| !need.cluster_scoped).count();
    assert_eq!(asked(&api).len() - before, NEEDS.len() + 4 + namespaced + 2 * 2);

    // By itself it is asked for again, after ten minutes.
    api.allow_all();
    tokio::time::advance(Duration::from_secs(599)).await;
    assert!(!cluster.permissions().elsewhere[&crate::namespace("team-b")]["pods"]["create"]);
    until("it is noticed", || cluster.permissions().elsewhere[&crate::namespace("team-b")]["pods"]["create"])
        .await;
    // What is not answered keeps its answer.
    api.set_reviews_fail(true);
    cluster.refresh_permissions().await;
    assert!(cluster.permissions().elsewhere[&crate::namespace("team-b")]["pods"]["create"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_twenty_other_namespaces_are_asked_about() {
    let api = Api::default();
    let allowed = (0..30).map(|n| crate::namespace(&format!("n{n:02}"))).collect();
    let config = nocrd_cluster::Config { allowed_namespaces: Some(allowed), ..config(Scope::Cluster) };
    let cluster = start(&api, config).await;
    cluster.refresh_permissions().await;
    assert_eq!(cluster.permissions().elsewhere.len(), nocrd_cluster::permissions::MOST_ELSEWHERE);
}
