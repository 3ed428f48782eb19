use serde_json::json;

use super::*;

#[tokio::test]
async fn pods_run_under_an_account_that_exists() {
    let world = World::new();
    let pod = world.pod("p").await;
    assert_eq!(pod["spec"]["serviceAccountName"], "default");
    assert_eq!(pod["spec"]["serviceAccount"], "default");
    let named = json!({ "metadata": { "name": "q" }, "spec": { "serviceAccountName": "none", "containers": [{ "name": "c", "image": "x" }] } });
    let (code, reason, message) = world.post("pods", named).await.failure();
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        message,
        "pods \"q\" is forbidden: error looking up service account n/none: serviceaccount \"none\" not found"
    );
    let account = json!({ "metadata": { "name": "puller" }, "imagePullSecrets": [{ "name": "registry" }] });
    world.post("serviceaccounts", account).await.ok();
    let pulling = json!({ "metadata": { "name": "r" }, "spec": { "serviceAccountName": "puller", "containers": [{ "name": "c", "image": "x" }] } });
    assert_eq!(
        world.post("pods", pulling).await.ok()["spec"]["imagePullSecrets"],
        json!([{ "name": "registry" }])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_quota_holds_against_parallel_requests() {
    let world = Arc::new(World::new());
    world
        .post("resourcequotas", json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "3" } } }))
        .await
        .ok();
    let mut attempts = tokio::task::JoinSet::new();
    for attempt in 0..12 {
        let world = Arc::clone(&world);
        attempts.spawn(async move {
            let spec = json!({ "containers": [{ "name": "c", "image": "x" }] });
            world
                .post("pods", json!({ "metadata": { "name": format!("p{attempt}") }, "spec": spec }))
                .await
                .code
        });
    }
    let codes = attempts.join_all().await;
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 3, "{codes:?}");
    assert!(codes.iter().all(|code| matches!(code, 201 | 403)), "{codes:?}");
    let one_more =
        json!({ "metadata": { "name": "last" }, "spec": { "containers": [{ "name": "c", "image": "x" }] } });
    assert_eq!(
        world.post("pods", one_more).await.failure().2,
        "pods \"last\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3"
    );
}

#[tokio::test]
async fn logs_reach_the_runtime() {
    let world = World::new();
    world.pod("p").await;
    assert_eq!(world.get("pods/p/log").await.ok(), "", "nothing runs yet");
    world.bind("p");
    let log = world.get("pods/p/log?tailLines=5&follow=true").await;
    assert_eq!(log.headers["content-type"], "text/plain");
    assert_eq!(log.ok(), "c Some(5) true\n");
    let two = json!({ "containers": [{ "name": "a", "image": "x" }, { "name": "b", "image": "x" }], "initContainers": [{ "name": "i", "image": "x" }] });
    world.post("pods", json!({ "metadata": { "name": "two" }, "spec": two })).await.ok();
    world.bind("two");
    assert_eq!(
        world.get("pods/two/log").await.failure().2,
        "a container name must be specified for pod two, choose one of: [a b] or one of the init containers: [i]"
    );
    assert_eq!(world.get("pods/two/log?container=i").await.ok(), "i None false\n");
}

#[tokio::test]
async fn commands_need_a_command_and_a_connection() {
    let world = World::new();
    world.pod("p").await;
    assert!(
        world
            .get("pods/p/exec?command=ls&stdout=1")
            .await
            .failure()
            .2
            .contains("does not have a host assigned")
    );
    world.bind("p");
    assert!(world.get("pods/p/exec?stdout=1").await.failure().2.contains("at least 1 command"));
    assert!(
        world.get("pods/p/exec?command=ls").await.failure().2.contains("at least 1 of stdin, stdout, stderr")
    );
    assert_eq!(world.get("pods/p/exec?command=ls&stdout=1").await.failure().2, "Upgrade request required");
    world.merge("pods/p/status", json!({ "status": { "phase": "Succeeded" } })).await.ok();
    assert!(world.get("pods/p/exec?command=ls&stdout=1").await.failure().2.contains("in a completed pod"));
}

#[tokio::test]
async fn only_additions_to_tolerations_and_new_images() {
    let world = World::new();
    world.pod("p").await;
    let image = json!({ "spec": { "containers": [{ "name": "c", "image": "y" }] } });
    assert_eq!(world.strategic("pods/p", image).await.ok()["metadata"]["generation"], 2);
    let env = json!({ "spec": { "containers": [{ "name": "c", "env": [{ "name": "A", "value": "1" }] }] } });
    let (code, reason, message) = world.strategic("pods/p", env).await.failure();
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(message.starts_with("Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"));
    let added = json!({ "spec": { "containers": [{ "name": "d", "image": "x" }] } });
    assert!(world.strategic("pods/p", added).await.failure().2.contains("may not add or remove containers"));
}

#[tokio::test]
async fn gates_are_lifted_but_not_set() {
    let world = World::new();
    let spec = json!({ "containers": [{ "name": "c", "image": "x" }], "schedulingGates": [{ "name": "a" }] });
    world.post("pods", json!({ "metadata": { "name": "p" }, "spec": spec })).await.ok();
    let gates = |names: &[&str]| {
        let gates: Value = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "spec": { "schedulingGates": gates } })
    };
    let (code, _, message) = world.merge("pods/p", gates(&["a", "b"])).await.failure();
    assert_eq!(code, 422);
    assert!(message.ends_with("only deletion is allowed, but found new scheduling gate 'b'"), "{message}");
    let lifted = world.merge("pods/p", gates(&[])).await.ok();
    assert!(lifted["spec"].get("schedulingGates").is_none());
    assert_eq!(lifted["metadata"]["generation"], 2);
    assert_eq!(world.merge("pods/p", gates(&["a"])).await.failure().0, 422);
}

#[tokio::test]
async fn containers_are_resized_by_a_part_of_the_pod() {
    let world = World::new();
    let resources = |cpu: &str| json!({ "requests": { "cpu": cpu } });
    let container = json!({ "name": "c", "image": "x", "resources": resources("1") });
    let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [container] } });
    world.post("pods", pod).await.ok();
    let resize =
        |cpu: &str| json!({ "spec": { "containers": [{ "name": "c", "resources": resources(cpu) }] } });
    let (code, _, message) = world.strategic("pods/p", resize("2")).await.failure();
    assert!(code == 422 && message.contains("pod updates may not change fields other than"), "{message}");
    let resized = world.strategic("pods/p/resize", resize("2")).await.ok();
    assert_eq!(resized["spec"]["containers"][0]["resources"], resources("2"));
    let fields = resized["metadata"]["managedFields"].as_array().expect("managers");
    assert!(fields.iter().any(|entry| entry["subresource"] == "resize"), "{fields:?}");
    let mut read = world.get("pods/p/resize").await.ok();
    assert_eq!(read["kind"], "Pod");
    read["spec"]["containers"][0]["resources"] = resources("3");
    read["spec"]["containers"][0]["image"] = "y".into();
    let replaced = world.put("pods/p/resize", read).await.ok();
    assert_eq!(replaced["spec"]["containers"][0]["resources"], resources("3"));
    assert_eq!(replaced["spec"]["containers"][0]["image"], "x");
    let none = json!({ "spec": { "containers": [{ "name": "c", "resources": null }] } });
    let message = world.strategic("pods/p/resize", none).await.failure().2;
    assert!(message.contains("Pod QOS Class may not change as a result of resizing"), "{message}");
    for (method, path) in [("DELETE", "pods/p/resize"), ("POST", "pods/p/resize")] {
        assert_eq!(world.send(method, path, &[], "{}").await.code, 405, "{method}");
    }
    assert_eq!(world.get("configmaps/c/resize").await.code, 404);
    assert_eq!(world.strategic("pods/none/resize", resize("2")).await.code, 404);
}

#[tokio::test]
async fn nothing_is_said_of_values_that_were_refused() {
    let world = World::new();
    let spec = json!({ "containers": [{ "name": "c", "image": "x", "env": [{ "name": "A=", "value": "hidden" }] }] });
    let answer = world.post("pods", json!({ "metadata": { "name": "p" }, "spec": spec })).await;
    assert!(answer.code == 422 && !answer.body.to_string().contains("hidden"));
}
