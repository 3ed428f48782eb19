//! Single calls: what is sent, and what the answers become.

use std::time::Duration;

use futures::StreamExt;
use http::Method;
use nocrd_cluster::{Cluster, DeletePod, Error, LogOptions, Scope};
use nocrd_model::{ErrorKind, error as codes};
use serde_json::{Value, json};

use crate::{
    config,
    fake::{Api, Received, pod, status},
    id, namespace, start, synced, until,
};

const PODS: &str = "/api/v1/namespaces/nogoo9/pods";

fn last(api: &Api, method: Method) -> Received {
    api.received().into_iter().rfind(|received| received.method == method).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn creation_is_strict_and_signed() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let before = cluster.api_calls();
    api.script(Method::POST, PODS, 201, json!({"metadata": {"uid": "u"}}).to_string());
    let object = json!({"metadata": {"name": "p1"}, "spec": {"x-unknown": 1}});
    let created = cluster.create_pod(&namespace("nogoo9"), &object).await.unwrap();
    assert_eq!(created["metadata"]["uid"], "u");
    assert_eq!(cluster.api_calls(), before + 1);
    let sent = last(&api, Method::POST);
    assert_eq!(sent.target, format!("{PODS}?fieldValidation=Strict&fieldManager=nocrd"));
    assert_eq!(sent.body, object);
}

#[tokio::test(start_paused = true)]
async fn refusals_become_errors_a_caller_can_act_on() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let quota =
        "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3";
    let forbidden = "pods is forbidden: User \"u\" cannot create resource \"pods\" in API group \"\" in the namespace \"nogoo9\"";
    for (code, reason, message, expected) in [
        (409, "AlreadyExists", "pods \"p1\" already exists", codes::CLUSTER_EXISTS),
        (403, "Forbidden", quota, codes::CLUSTER_QUOTA),
        (403, "Forbidden", forbidden, codes::CLUSTER_FORBIDDEN),
        (403, "Forbidden", "pods \"p\" is forbidden: violates PodSecurity", codes::CLUSTER_REFUSED),
        (422, "Invalid", "Pod \"p\" is invalid: spec.containers: Required value", codes::CLUSTER_REFUSED),
        (400, "BadRequest", "strict decoding error: unknown field \"spec.x\"", codes::CLUSTER_REFUSED),
        (413, "RequestEntityTooLarge", "limit is 3145728", codes::CLUSTER_REFUSED),
        (401, "Unauthorized", "Unauthorized", codes::CLUSTER_FORBIDDEN),
        (503, "ServiceUnavailable", "the server is shutting down", codes::CLUSTER_UNREACHABLE),
        (500, "InternalError", "an error occurred", codes::CLUSTER_ERROR),
    ] {
        api.script(Method::POST, PODS, code, status(code, reason, message).to_string());
        let error =
            cluster.create_pod(&namespace("nogoo9"), &json!({"metadata": {"name": "p1"}})).await.unwrap_err();
        assert_eq!(error.code(), expected, "{error:?}");
        assert!(!error.to_string().contains("kind"), "{error}");
    }
    api.script(Method::POST, PODS, 502, "<html>bad gateway</html>");
    let error = cluster.create_pod(&namespace("nogoo9"), &json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "the Kubernetes API server answered 502");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_gone_is_named() {
    let api = Api::default();
    let mut config = config(Scope::Namespaced);
    config.server = Some("https://10.0.0.1:6443".to_owned());
    let cluster = start(&api, config).await;
    api.set_down(true);
    let error = cluster.get_pod(&namespace("nogoo9"), "p1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("https://10.0.0.1:6443") && text.contains("connection refused"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn no_call_takes_for_ever() {
    // A service that never answers.
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, tower::BoxError>>()
    });
    let mut config = config(Scope::Namespaced);
    config.request_timeout = Duration::from_secs(3);
    let cluster = Cluster::start(kube::Client::new(service, "default"), config).await.unwrap();
    let error = cluster.get_pod(&namespace("nogoo9"), "p1").await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("get pods nogoo9/p1"), "{error}");
    until("health says so", || cluster.health().last_error.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_turned_away_by_flow_control_is_sent_again() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let path = format!("{PODS}/p1");
    api.script(Method::GET, &path, 429, status(429, "TooManyRequests", "slow down").to_string());
    api.script(Method::GET, &path, 200, json!({"metadata": {"name": "p1"}}).to_string());
    assert_eq!(cluster.get_pod(&namespace("nogoo9"), "p1").await.unwrap()["metadata"]["name"], "p1");
    assert_eq!(api.count("/pods/p1"), 2);
}

#[tokio::test(start_paused = true)]
async fn t57_deletion_names_the_exact_pod_and_is_idempotent() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let path = format!("{PODS}/p1");
    let options = DeletePod { uid: Some("u-1".to_owned()), grace_period_seconds: Some(0) };
    api.script(Method::DELETE, &path, 200, "{}");
    cluster.delete_pod(&namespace("nogoo9"), "p1", options.clone()).await.unwrap();
    let body = last(&api, Method::DELETE).body;
    assert_eq!((&body["preconditions"]["uid"], &body["gracePeriodSeconds"]), (&json!("u-1"), &json!(0)));

    api.script(Method::DELETE, &path, 404, status(404, "NotFound", "pods \"p1\" not found").to_string());
    cluster.delete_pod(&namespace("nogoo9"), "p1", DeletePod::default()).await.unwrap();
    assert_eq!(last(&api, Method::DELETE).body.as_object().unwrap().len(), 2);

    api.script(Method::DELETE, &path, 409, status(409, "Conflict", "the UID does not match").to_string());
    let other = cluster.delete_pod(&namespace("nogoo9"), "p1", options).await.unwrap_err();
    assert!(matches!(other, Error::Conflict { .. }), "{other:?}");
}

#[tokio::test(start_paused = true)]
async fn t51_k05_names_that_are_none_are_not_sent() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let before = api.received().len();
    for name in ["", "a/../b", "p1?x=y", "p1/log", "P1", "a b"] {
        let error = cluster.get_pod(&namespace("nogoo9"), name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name:?}");
        cluster.delete_pod(&namespace("nogoo9"), name, DeletePod::default()).await.unwrap();
        assert!(cluster.pod_logs(&namespace("nogoo9"), name, LogOptions::default()).await.is_err());
        assert!(cluster.events_for(&namespace("nogoo9"), name, None).await.is_err());
    }
    assert_eq!(api.received().len(), before);
}

#[tokio::test(start_paused = true)]
async fn logs_are_bounded_and_any_bytes_will_do() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let path = format!("{PODS}/p1/log");
    api.script(Method::GET, &path, 200, vec![b'o', b'k', 0xff, b'\n']);
    let log = cluster.pod_logs(&namespace("nogoo9"), "p1", LogOptions::default()).await.unwrap();
    assert_eq!(log.text, "ok\u{fffd}\n");
    let sent = last(&api, Method::GET).target;
    assert!(sent.contains("limitBytes=4194304") && sent.contains("tailLines=2001"), "{sent}");

    api.script(Method::GET, &path, 200, "0123456789");
    let options = LogOptions {
        container: Some("a b".to_owned()),
        limit_bytes: Some(4),
        previous: true,
        timestamps: true,
        ..LogOptions::default()
    };
    let log = cluster.pod_logs(&namespace("nogoo9"), "p1", options).await.unwrap();
    assert_eq!((log.text.as_str(), log.truncated), ("0123", true));
    let sent = last(&api, Method::GET).target;
    assert!(!sent.contains("tailLines"), "{sent}");
    for part in ["container=a+b", "limitBytes=4", "previous=true", "timestamps=true"] {
        assert!(sent.contains(part), "{sent}");
    }

    // Lines that are longer than what is read at a time are fewer, and the last ones.
    let before = api.count(&path);
    for log in ["x".repeat(5_000_000), "y".repeat(5_000_000), "z".repeat(100)] {
        api.script(Method::GET, &path, 200, log);
    }
    let log = cluster.pod_logs(&namespace("nogoo9"), "p1", LogOptions::default()).await.unwrap();
    assert_eq!((log.text, log.truncated), ("z".repeat(100), true));
    assert_eq!(api.count(&path) - before, 3);
    assert!(last(&api, Method::GET).target.contains("tailLines=7"), "{}", last(&api, Method::GET).target);

    let several = "a container name must be specified for pod p1, choose one of: [a b]";
    api.script(Method::GET, &path, 400, status(400, "BadRequest", several).to_string());
    let error = cluster.pod_logs(&namespace("nogoo9"), "p1", LogOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), several);
}

fn event(name: &str, minute: u32, count: u32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "nogoo9", "resourceVersion": "1"},
        "involvedObject": {"kind": "Pod", "name": "p1"}, "type": "Normal", "reason": name, "message": "m",
        "count": count, "lastTimestamp": format!("2026-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60),
    })
}

#[tokio::test(start_paused = true)]
async fn events_come_in_the_order_of_time_and_not_too_many() {
    let api = Api::default();
    let cluster = synced(&api).await;
    for minute in 0..150 {
        api.put("events", event(&format!("e{}", (minute * 7) % 150), (minute * 7) % 150, 1));
    }
    let events = cluster.events_for(&namespace("nogoo9"), "p1", Some("u-1")).await.unwrap();
    assert_eq!((events.len(), events[0].reason.as_str(), events[99].reason.as_str()), (100, "e50", "e149"));
    let sent = last(&api, Method::GET).target;
    let selector =
        "fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3Dp1%2CinvolvedObject.uid%3Du-1";
    assert!(sent.contains(selector), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn events_are_told_as_they_happen_and_once() {
    let api = Api::default();
    let cluster = synced(&api).await;
    api.put("events", event("second", 2, 1));
    api.put("events", event("first", 1, 1));
    let mut events = cluster.watch_events(&namespace("nogoo9"), "p1", "u-1");
    assert_eq!(events.next().await.unwrap().reason, "first");
    assert_eq!(events.next().await.unwrap().reason, "second");
    until("the watch", || api.watching() == 3).await;
    // The same again is no news; happening again is.
    api.put("events", event("first", 1, 1));
    api.put("events", event("first", 3, 2));
    let again = events.next().await.unwrap();
    assert_eq!((again.reason.as_str(), again.count), ("first", 2));
    drop(events);
    until("the watch is closed", || api.watching() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_may_not_be_read_end_the_stream() {
    let api = Api::default();
    api.deny("list", "events", "nogoo9");
    let cluster = synced(&api).await;
    let mut events = cluster.watch_events(&namespace("nogoo9"), "p1", "u-1");
    assert_eq!(events.next().await, None);
    let error = cluster.events_for(&namespace("nogoo9"), "p1", None).await.unwrap_err();
    let Error::Forbidden { verb, resource, namespace } = &error else { panic!("{error:?}") };
    assert_eq!((verb.as_str(), resource.as_str(), namespace.as_deref()), ("list", "events", Some("nogoo9")));
}

#[tokio::test(start_paused = true)]
async fn accounts_and_secrets_are_listed_by_our_mark_and_without_contents() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let mut account = json!({"metadata": {
        "name": "ws-sa-w1", "namespace": "nogoo9", "uid": "u", "creationTimestamp": "2026-11-22T12:00:00Z",
        "labels": {"nogoo9/workspace-id": "w1"}, "ownerReferences": [{
            "apiVersion": "v1", "kind": "Pod", "name": "p1", "uid": "u-1",
        }],
    }});
    api.put("serviceaccounts", account.clone());
    account["metadata"]["name"] = json!("ws-ctx-w1");
    api.put("secrets", account);

    // Without a namespace: where the watch is.
    let accounts = cluster.list_service_accounts(None).await.unwrap();
    let [found] = accounts.as_slice() else { panic!("{accounts:?}") };
    assert_eq!((found.name.as_str(), found.workspace_id.clone()), ("ws-sa-w1", Some(id("w1"))));
    assert_eq!(found.owners, ["u-1"]);
    let sent = last(&api, Method::GET);
    assert!(sent.target.starts_with("/api/v1/namespaces/nogoo9/serviceaccounts?"), "{sent:?}");
    assert!(sent.target.contains("labelSelector=nogoo9%2Fmanaged-by%3Dnogoo9-spawner"), "{sent:?}");
    assert!(sent.accept.contains("PartialObjectMetadataList"), "{sent:?}");

    assert_eq!(cluster.list_secrets(Some(&namespace("nogoo9"))).await.unwrap().len(), 1);
    let secret = "/api/v1/namespaces/nogoo9/secrets/ws-ctx-w1";
    api.script(Method::GET, secret, 200, "{}");
    assert!(cluster.secret_exists(&namespace("nogoo9"), "ws-ctx-w1").await.unwrap());
    api.script(
        Method::GET,
        secret,
        404,
        status(404, "NotFound", "secrets \"ws-ctx-w1\" not found").to_string(),
    );
    assert!(!cluster.secret_exists(&namespace("nogoo9"), "ws-ctx-w1").await.unwrap());
    assert!(last(&api, Method::GET).accept.contains("PartialObjectMetadata"));
}

#[tokio::test(start_paused = true)]
async fn t54_an_answer_that_cannot_be_read_is_not_repeated() {
    let api = Api::default();
    let cluster = synced(&api).await;
    let secrets = "/api/v1/namespaces/nogoo9/secrets";
    api.script(Method::POST, secrets, 201, "{\"data\": {\"TOKEN\": \"s3cr3t\"");
    let error =
        cluster.create_secret(&namespace("nogoo9"), &json!({"metadata": {"name": "s"}})).await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_live_listing_continues_the_order_of_the_index() {
    let api = Api::default();
    api.put("pods", pod("p2", "w1", true));
    let cluster = synced(&api).await;
    until("both watches", || api.watching() == 2).await;
    let known = cluster.workspaces().get(&id("w1"))[0].arrival;
    api.end_watches();
    api.put("pods", pod("p1", "w1", true));
    let pods = cluster.list_workspace_pods(None).await.unwrap();
    let [first, second] = pods.as_slice() else { panic!("{pods:?}") };
    assert_eq!((first.pod_name.as_str(), first.arrival), ("p2", known));
    assert!(second.arrival > known && second.pod_name == "p1");
}

#[tokio::test(start_paused = true)]
async fn events_of_one_second_come_in_the_order_of_writing() {
    let api = Api::default();
    let cluster = synced(&api).await;
    for name in ["scheduled", "created", "started"] {
        api.put("events", event(name, 1, 1));
    }
    let events = cluster.events_for(&namespace("nogoo9"), "p1", None).await.unwrap();
    let reasons: Vec<_> = events.iter().map(|event| event.reason.as_str()).collect();
    assert_eq!(reasons, ["scheduled", "created", "started"]);
}
