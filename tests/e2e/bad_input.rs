//! Requests that can't be carried out: each gets an answer that says why, and none leaves anything behind.

use serde_json::{Value, json};

use crate::{dev::Dev, kubectl::Kubectl, mcp::Client};

fn pod(container: Value) -> Value {
    let mut pod = json!({ "containers": [{ "name": "agent", "image": "busybox" }] });
    for (field, value) in container.as_object().unwrap() {
        pod["containers"][0][field] = value.clone();
    }
    pod
}

/// Arguments of `spawn_workspace`, and the status and reason with which they are refused.
fn refused() -> Vec<(Value, u16, &'static str)> {
    let simple = pod(json!({}));
    let with_id = |id: &str| json!({ "id": id, "spec": simple });
    let spec = |spec: Value| json!({ "id": "w1", "spec": spec });
    let annotated =
        |key: &str, value: &str| json!({ "id": "w1", "spec": simple, "annotations": { key: value } });
    let volume = |source: Value| {
        let mut pod = simple.clone();
        pod["volumes"] = json!([source]);
        pod
    };
    let mut host_network = simple.clone();
    host_network["hostNetwork"] = json!(true);
    let mut typing_error = simple.clone();
    typing_error["contaners"] = json!([]);
    let deep = (0..60).fold(json!({}), |inner, _| json!({ "a": inner }));
    vec![
        (with_id("Upper"), 400, "InvalidWorkspaceId"),
        (with_id(&"a".repeat(64)), 400, "InvalidWorkspaceId"),
        (with_id("a,b=c"), 400, "InvalidWorkspaceId"),
        (with_id("ä"), 400, "InvalidWorkspaceId"),
        (with_id("-a"), 400, "InvalidWorkspaceId"),
        (with_id(""), 400, "InvalidWorkspaceId"),
        (json!({ "id": "w1", "templateRef": "no-such-template" }), 404, "TemplateNotFound"),
        (json!({ "id": "w1", "templateRef": "a/b/c" }), 400, "InvalidTemplateRef"),
        (json!({ "id": "w1" }), 400, "NoPodSource"),
        (json!({ "id": "w1", "spec": simple, "idd": "w2" }), 400, "InvalidArgument"),
        (json!({ "id": "w1", "spec": "containers: []" }), 400, "InvalidArgument"),
        (json!({ "id": "w1", "spec": simple, "namespace": "No_Such" }), 400, "InvalidNamespace"),
        (annotated("nogoo9/workspace-port", "http"), 422, "InvalidAnnotation"),
        (annotated("nogoo9/workspace-id", "w2"), 403, "ReservedKey"),
        (spec(volume(json!({ "name": "host", "hostPath": { "path": "/" } }))), 403, "PolicyViolation"),
        (spec(pod(json!({ "securityContext": { "privileged": true } }))), 403, "PolicyViolation"),
        (spec(host_network), 403, "PolicyViolation"),
        (spec(typing_error), 422, "InvalidPodSpec"),
        (spec(json!({ "containers": [] })), 422, "InvalidPodSpec"),
        (spec(pod(json!({ "args": ["x".repeat(300_000)] }))), 413, "SpecTooLarge"),
        (spec(json!({ "containers": [{ "name": "a", "image": "b", "env": deep }] })), 422, "InvalidPodSpec"),
    ]
}

#[tokio::test]
async fn refusals_say_why_and_leave_nothing() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    let mut client = Client::connect(&dev).await;
    for (arguments, code, reason) in refused() {
        let shown: String = arguments.to_string().chars().take(200).collect();
        let error = client.refusal("spawn_workspace", arguments).await;
        assert_eq!(
            (error["code"].as_u64(), error["reason"].as_str()),
            (Some(code.into()), Some(reason)),
            "{shown}: {error}"
        );
        assert!(!error["remedy"].as_str().unwrap().is_empty(), "{error}");
    }
    assert_eq!(kubectl.names("pods,secrets"), Vec::<String>::new());

    client.call("spawn_workspace", json!({ "id": "w1", "spec": pod(json!({})) })).await;
    let error = client.refusal("spawn_workspace", json!({ "id": "w1", "spec": pod(json!({})) })).await;
    assert_eq!(
        (error["code"].as_u64(), error["reason"].as_str()),
        (Some(409), Some("WorkspaceExists")),
        "{error}"
    );
    for tool in ["get_workspace", "get_workspace_events", "stop_workspace"] {
        let error = client.refusal(tool, json!({ "id": "w2" })).await;
        assert_eq!(
            (error["code"].as_u64(), error["reason"].as_str()),
            (Some(404), Some("WorkspaceNotFound")),
            "{tool}: {error}"
        );
    }
    dev.stop();
}

#[tokio::test]
async fn a_bomb_among_the_templates_harms_nobody() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    let levels = (1..12).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let again = format!("*a{},", n - 1).repeat(9);
        format!("{text}a{n}: &a{n} [{again}]\n")
    });
    for (name, spec) in [
        ("bomb", levels.as_str()),
        ("broken", "containers: [}"),
        ("good", "containers: [{name: agent, image: busybox}]"),
    ] {
        kubectl.apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "nogoo9", "labels": { "nogoo9/pod-template": "true" } },
            "data": { "spec": spec },
        }));
    }
    let mut client = Client::connect(&dev).await;
    let listed = loop {
        let listed = client.call("list_templates", json!({})).await;
        if listed.to_string().contains("\"good\"") {
            break listed;
        }
    };
    for name in ["bomb", "broken"] {
        let error = client.refusal("spawn_workspace", json!({ "id": "w1", "templateRef": name })).await;
        assert_eq!(
            (error["code"].as_u64(), error["reason"].as_str()),
            (Some(422), Some("TemplateMalformed")),
            "{error}"
        );
        assert!(listed.to_string().contains(name), "{name} is reported nowhere: {listed}");
    }
    client.call("spawn_workspace", json!({ "id": "w1", "templateRef": "good" })).await;
    dev.stop();
}
