//! The unchanged Rust client, in the same process.

use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{ConfigMap, Event, Namespace, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, ResourceExt,
    api::{
        DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent,
        WatchParams,
    },
    runtime::{WatchStreamExt, reflector, watcher},
};
use nocrd_devcluster::{Config, DevCluster, Sandbox, access::Rule};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{PATIENCE, cluster, gone, in_process, plain, run, talker};

fn config_map(name: &str, app: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name, "labels": { "app": app } } }))
        .expect("a ConfigMap")
}

fn code(error: kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn reading_writing_and_typed_errors() {
    let cluster = cluster().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(in_process(&cluster));
    let created = maps.create(&PostParams::default(), &config_map("a", "x")).await.expect("created");
    let again = maps.create(&PostParams::default(), &config_map("a", "x")).await.expect_err("is there");
    assert_eq!(code(again), (409, "AlreadyExists".into()));
    assert_eq!(code(maps.get("none").await.expect_err("isn't there")), (404, "NotFound".into()));

    let mut stale = created.clone();
    let merge = json!({ "data": { "k": "1" } });
    maps.patch("a", &PatchParams::default(), &Patch::Merge(&merge)).await.expect("merged");
    let strategic = json!({ "metadata": { "labels": { "b": "2" } } });
    maps.patch("a", &PatchParams::default(), &Patch::Strategic(&strategic)).await.expect("merged");
    let operations = serde_json::from_value(json!([{ "op": "replace", "path": "/data/k", "value": "2" }]));
    let operations: json_patch::Patch = operations.expect("a patch");
    maps.patch("a", &PatchParams::default(), &Patch::<ConfigMap>::Json(operations)).await.expect("patched");
    let applied =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "l": "3" } });
    let patched =
        maps.patch("a", &PatchParams::apply("test"), &Patch::Apply(&applied)).await.expect("applied");
    assert_eq!(plain(&patched.data), json!({ "k": "2", "l": "3" }));
    assert_eq!(plain(&patched.metadata.labels), json!({ "app": "x", "b": "2" }));

    stale.metadata.labels = None;
    let refused = maps.replace("a", &PostParams::default(), &stale).await.expect_err("changed since");
    assert_eq!(code(refused), (409, "Conflict".into()));
    let another = Preconditions { uid: Some("x".into()), resource_version: None };
    let refused =
        maps.delete("a", &DeleteParams::default().preconditions(another)).await.expect_err("another");
    assert_eq!(code(refused).0, 409);
    maps.delete("a", &DeleteParams::default()).await.expect("deleted");
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn pages_and_watches() {
    let cluster = cluster().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(in_process(&cluster));
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name, "x")).await.expect("created");
    }
    let selected = ListParams::default().labels("app=x");
    let page = maps.list(&selected.clone().limit(2)).await.expect("listed");
    assert_eq!(page.items.len(), 2);
    let token = page.metadata.continue_.expect("more");
    let rest = maps.list(&selected.limit(2).continue_token(&token)).await.expect("listed");
    assert_eq!(rest.items.len(), 1);

    let version = rest.metadata.resource_version.expect("a version");
    let events =
        maps.watch(&WatchParams::default().labels("app=x").timeout(60), &version).await.expect("watching");
    let mut events = std::pin::pin!(events);
    maps.create(&PostParams::default(), &config_map("other", "y")).await.expect("created");
    maps.create(&PostParams::default(), &config_map("d", "x")).await.expect("created");
    maps.delete("d", &DeleteParams::default()).await.expect("deleted");
    let mut next = async || timeout(PATIENCE, events.try_next()).await.expect("in time").expect("no failure");
    assert!(matches!(next().await, Some(WatchEvent::Added(map)) if map.name_any() == "d"));
    assert!(matches!(next().await, Some(WatchEvent::Deleted(map)) if map.name_any() == "d"));
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn a_reflector_keeps_up() {
    for watcher_config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let cluster = cluster().await;
        let maps: Api<ConfigMap> = Api::default_namespaced(in_process(&cluster));
        maps.create(&PostParams::default(), &config_map("before", "x")).await.expect("created");
        let (reader, writer) = reflector::store();
        let stream =
            reflector(writer, watcher(maps.clone(), watcher_config.labels("app=x"))).applied_objects();
        let following = tokio::spawn(stream.for_each(|_| async {}));
        timeout(PATIENCE, reader.wait_until_ready()).await.expect("in time").expect("alive");
        assert!(reader.get(&reflector::ObjectRef::new("before").within("nogoo9")).is_some());
        maps.create(&PostParams::default(), &config_map("after", "x")).await.expect("created");
        maps.delete("before", &DeleteParams::default()).await.expect("deleted");
        let arrived = async {
            loop {
                let names: Vec<String> = reader.state().iter().map(|map| map.name_any()).collect();
                if names == ["after"] {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, arrived).await.expect("in time");
        following.abort();
        cluster.shutdown().await.expect("shut down");
    }
}

#[tokio::test]
async fn a_pod_runs_tells_and_goes() {
    let cluster = cluster().await;
    let client = in_process(&cluster);
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod = run(&pods, &talker("p", "echo one; echo two")).await;
    let status = pod.status.expect("a status");
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(status.pod_ip.is_some_and(|ip| ip.starts_with("127.")));

    let follow = LogParams { follow: true, ..LogParams::default() };
    let mut lines = pods.log_stream("p", &follow).await.expect("a log").lines();
    let mut next = async || timeout(PATIENCE, lines.try_next()).await.expect("in time").expect("no failure");
    assert_eq!(next().await.as_deref(), Some("one"));
    assert_eq!(next().await.as_deref(), Some("two"));
    let tail = LogParams { tail_lines: Some(1), ..LogParams::default() };
    assert_eq!(pods.logs("p", &tail).await.expect("a log"), "two\n");

    let events: Api<Event> = Api::default_namespaced(client);
    let of_pod = ListParams::default().fields("involvedObject.name=p,type=Normal");
    let reasons: Vec<_> =
        events.list(&of_pod).await.expect("listed").items.into_iter().filter_map(|e| e.reason).collect();
    assert!(["Scheduled", "Started"].iter().all(|reason| reasons.iter().any(|r| r == reason)), "{reasons:?}");

    pods.delete("p", &DeleteParams::default()).await.expect("deleted");
    gone(&pods, "p").await;
    assert_eq!(next().await, None, "with the pod its log ends");
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn what_a_pod_owns_goes_with_it() {
    let cluster = cluster().await;
    let client = in_process(&cluster);
    let (pods, secrets): (Api<Pod>, Api<Secret>) =
        (Api::default_namespaced(client.clone()), Api::default_namespaced(client.clone()));
    let pod = run(&pods, &talker("p", "true")).await;
    let secret = json!({
        "metadata": { "name": "s", "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod.uid() }] },
        "stringData": { "k": "v" },
    });
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    secrets.create(&PostParams::default(), &secret).await.expect("created");
    pods.delete("p", &DeleteParams::default()).await.expect("deleted");
    gone(&pods, "p").await;
    let going =
        kube::runtime::wait::await_condition(secrets, "s", |secret: Option<&Secret>| secret.is_none());
    timeout(PATIENCE, going).await.expect("in time").expect("watched");
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn a_namespace_takes_its_pods_along() {
    let cluster = cluster().await;
    let client = in_process(&cluster);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({ "metadata": { "name": "m" } })).expect("a Namespace");
    namespaces.create(&PostParams::default(), &namespace).await.expect("created");
    let pods: Api<Pod> = Api::namespaced(client, "m");
    run(&pods, &talker("p", "true")).await;
    namespaces.delete("m", &DeleteParams::default()).await.expect("marked");
    let going =
        kube::runtime::wait::await_condition(namespaces, "m", |found: Option<&Namespace>| found.is_none());
    timeout(PATIENCE, going).await.expect("in time").expect("watched");
    assert!(pods.list(&ListParams::default()).await.expect("listed").items.is_empty());
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn without_a_kubelet_tests_play_its_part() {
    let config = Config { run_pods: false, sandbox: Sandbox::None, ..Config::default() };
    let cluster = DevCluster::start(config).await.expect("a cluster");
    let pods: Api<Pod> = Api::default_namespaced(in_process(&cluster));
    pods.create(&PostParams::default(), &talker("p", "true")).await.expect("created");
    let bound = |pod: Option<&Pod>| pod.and_then(|pod| pod.spec.as_ref()?.node_name.as_deref()).is_some();
    let waiting = kube::runtime::wait::await_condition(pods.clone(), "p", bound);
    timeout(PATIENCE, waiting).await.expect("in time").expect("watched");
    let running = json!({ "status": { "phase": "Running", "podIP": "127.0.0.9" } });
    let patched =
        pods.patch_status("p", &PatchParams::default(), &Patch::Merge(&running)).await.expect("patched");
    assert_eq!(patched.status.and_then(|status| status.phase).as_deref(), Some("Running"));
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn containers_are_resized_while_they_run() {
    let cluster = cluster().await;
    let pods: Api<Pod> = Api::default_namespaced(in_process(&cluster));
    let mut pod = plain(&talker("p", "true"));
    pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "100m" } });
    run(&pods, &serde_json::from_value(pod).expect("a pod")).await;
    let more = json!({ "spec": { "containers": [{ "name": "main", "resources": { "requests": { "cpu": "200m" } } }] } });
    let patch = Patch::Strategic(&more);
    pods.patch_subresource("resize", "p", &PatchParams::default(), &patch).await.expect("resized");
    let has_more = |pod: Option<&Pod>| {
        let status = pod.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref()?.first());
        status.is_some_and(|status| {
            plain(&status.resources) == json!({ "requests": { "cpu": "200m" } }) && status.restart_count == 0
        })
    };
    let waiting = kube::runtime::wait::await_condition(pods.clone(), "p", has_more);
    timeout(PATIENCE, waiting).await.expect("in time").expect("watched");
    cluster.shutdown().await.expect("shut down");
}

#[tokio::test]
async fn tokens_of_service_accounts_are_checked_by_the_published_keys() {
    let cluster = cluster().await;
    let client = in_process(&cluster);
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    let request: TokenRequest =
        serde_json::from_value(json!({ "spec": { "audiences": ["x"], "expirationSeconds": 600 } })).unwrap();
    let issued = accounts.create_token_request("default", &PostParams::default(), &request).await.unwrap();
    let token = issued.status.and_then(|status| status.token).expect("a token");
    let get = |path: &str| http::Request::get(path).body(Vec::new()).unwrap();
    let found: Value = client.request(get("/.well-known/openid-configuration")).await.unwrap();
    let keys: JwkSet = client.request(get("/openid/v1/jwks")).await.unwrap();
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&kid).expect("the key")).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["x"]);
    validation.set_issuer(&[found["issuer"].as_str().unwrap()]);
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "system:serviceaccount:nogoo9:default");
    validation.set_audience(&["y"]);
    assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_err());
    cluster.access().set(vec![Rule::deny("create", "serviceaccounts/token")]);
    let refused = accounts.create_token_request("default", &PostParams::default(), &request).await;
    assert_eq!(code(refused.unwrap_err()), (403, "Forbidden".into()));
}
