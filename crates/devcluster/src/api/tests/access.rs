use serde_json::json;

use super::*;
use crate::access::{Namespaces, Rule};

impl World {
    async fn may(&self, verb: &str, resource: &str, subresource: &str, namespace: &str) -> bool {
        let attributes =
            json!({ "verb": verb, "resource": resource, "subresource": subresource, "namespace": namespace });
        let review = json!({ "spec": { "resourceAttributes": attributes } });
        let answer = self.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).await.ok();
        answer["status"]["allowed"].as_bool().expect("an answer")
    }
}

#[tokio::test]
async fn rules_are_told_and_enforced() {
    let world = World::new();
    world.pod("p").await;
    world.bind("p");
    assert!(world.may("get", "pods", "log", "n").await);
    world.access.set(vec![Rule::deny("get", "pods/log"), Rule::deny("watch", "pods")]);
    assert!(!world.may("get", "pods", "log", "n").await && world.may("get", "pods", "", "n").await);
    let (code, reason, message) = world.get("pods/p/log").await.failure();
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        message,
        "pods \"p\" is forbidden: User \"developer\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"n\""
    );
    world.get("pods/p").await.ok();
    world.get("pods").await.ok();
    assert_eq!(world.get("pods?watch=true").await.failure().0, 403);
    world.access.set(Vec::new());
    world.get("pods/p/log").await.ok();
}

#[tokio::test]
async fn parts_have_rules_of_their_own() {
    let world = World::new();
    world.pod("p").await;
    world.access.set(vec![Rule::deny("patch", "pods/resize")]);
    assert!(!world.may("patch", "pods", "resize", "n").await && world.may("patch", "pods", "", "n").await);
    assert_eq!(world.merge("pods/p/resize", json!({})).await.failure().0, 403);
    world.merge("pods/p", json!({})).await.ok();
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = world.post(path, json!({ "spec": { "namespace": "n" } })).await.ok();
    let rules = rules["status"]["resourceRules"].as_array().expect("rules");
    let of_resize = rules.iter().find(|rule| rule["resources"] == json!(["pods/resize"])).expect("some");
    let verbs = of_resize["verbs"].as_array().expect("verbs");
    assert!(verbs.contains(&json!("update")) && !verbs.contains(&json!("patch")));
}

#[tokio::test]
async fn a_namespaced_role() {
    let world = World::new();
    world.access.set(vec![Rule::deny("*", "*").within(Namespaces::Except(vec!["n".into()]))]);
    world.get("pods").await.ok();
    let (code, _, message) = world.get("/api/v1/pods").await.failure();
    assert_eq!(code, 403);
    assert!(
        message.ends_with("cannot list resource \"pods\" in API group \"\" at the cluster scope"),
        "{message}"
    );
    assert_eq!(world.get("/api/v1/namespaces/other/pods").await.failure().0, 403);
    assert_eq!(world.get("/api/v1/namespaces").await.failure().0, 403);
    world.get("/api/v1/namespaces/n").await.ok();
    assert!(!world.may("list", "pods", "", "").await && world.may("list", "pods", "", "n").await);
}

#[tokio::test]
async fn the_list_of_rights_follows_the_rules() {
    let world = World::new();
    let rules = async || {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        world.post(path, json!({ "spec": { "namespace": "n" } })).await.ok()["status"]["resourceRules"]
            .clone()
    };
    let everything = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] });
    assert!(rules().await.as_array().expect("rules").contains(&everything));
    world.access.set(vec![Rule::deny("delete", "pods"), Rule::deny("*", "secrets")]);
    let limited = rules().await;
    let limited = limited.as_array().expect("rules");
    assert!(!limited.contains(&everything));
    let pods = limited.iter().find(|rule| rule["resources"] == json!(["pods"])).expect("pods");
    assert_eq!(
        pods["verbs"],
        json!(["create", "deletecollection", "get", "list", "patch", "update", "watch"])
    );
    assert!(!limited.iter().any(|rule| rule["resources"] == json!(["secrets"])));
}

#[tokio::test]
async fn who_am_i_and_bad_questions() {
    let world = World::new();
    let me = world.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.ok();
    assert_eq!(me["status"]["userInfo"]["username"], "developer");
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(world.post(path, json!({ "spec": {} })).await.failure().0, 422);
    let other = json!({ "spec": { "nonResourceAttributes": { "path": "/version", "verb": "get" } } });
    assert_eq!(world.post(path, other).await.ok()["status"]["allowed"], true);
    assert_eq!(world.get(path).await.failure().0, 405);
}
