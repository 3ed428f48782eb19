//! Spawning and stopping.

use std::time::Duration;

use nocrd_mcp_surface::Options;
use serde_json::{Value, json};

use crate::{
    api::{Api, ready, waiting},
    world::{Client, Heard, World, until},
};

fn spec() -> Value {
    json!({"containers": [{"name": "agent", "image": "i"}]})
}

async fn world() -> (World, Client) {
    let world = World::new().await.synced().await;
    let client = world.client().await;
    (world, client)
}

#[tokio::test(start_paused = true)]
async fn k57_the_life_of_a_workspace() {
    let (world, client) = world().await;
    let reply = client
        .call(
            "spawn_workspace",
            json!({"id": "w1", "name": "My Name", "templateRef": "default-agent-workspace", "context": {"FOO": "b4r"},
                "labels": {"team": "a"}}),
        )
        .await;
    assert!(!reply.failed, "{}", reply.text);
    let pod_name = reply.structured["podName"].as_str().unwrap().to_owned();
    assert_eq!(
        reply.structured,
        json!({"id": "w1", "status": "spawned", "podName": pod_name, "namespace": "nogoo9", "url": "/route/w1/",
            "warnings": []})
    );
    assert!(
        reply.text.starts_with(&format!("Successfully spawned workspace w1 (Pod: {pod_name})")),
        "{}",
        reply.text
    );
    assert_eq!(world.api.objects("secrets").len(), 1);

    let again = client.call("spawn_workspace", json!({"id": "w1", "spec": spec()})).await;
    assert_eq!((again.error_id().as_str(), &again.structured["error"]["code"]), ("NCR0302", &json!(409)));

    let seen = client.call("get_workspace", json!({"id": "w1"})).await.structured;
    assert_eq!((&seen["name"], &seen["labels"]["team"]), (&json!("My Name"), &json!("a")));
    assert!(!seen.to_string().contains("b4r"));

    let reply = client.call("stop_workspace", json!({"id": "w1"})).await;
    assert_eq!(reply.structured, json!({"id": "w1", "status": "terminating", "podNames": [pod_name]}));
    until("the pod gone", || world.cluster.workspaces().all().is_empty()).await;
    assert_eq!(client.call("stop_workspace", json!({"id": "w1"})).await.error_id(), "NCR0301");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_must_make_sense() {
    let (world, client) = world().await;
    let template = "default-agent-workspace";
    for (arguments, id) in [
        (json!({"id": "w1"}), "NCR0210"),
        (json!({"id": "w1", "templateRef": "no-such-template"}), "NCR0201"),
        (json!({"id": "w1", "templateRef": "a/b/c/d"}), "NCR0209"),
        (json!({"id": "w1", "templateRef": "open-webui"}), "NCR0208"),
        (json!({"id": "w1", "spec": {"containers": []}}), "NCR0203"),
        (
            json!({"id": "w1", "spec": {"hostNetwork": true, "containers": [{"name": "a", "image": "i"}]}}),
            "NCR0205",
        ),
        (json!({"id": "w1", "spec": spec(), "labels": {"nogoo9/user-sub": "root"}}), "NCR0207"),
        (json!({"id": "w1", "spec": spec(), "namespace": "No!"}), "NCR0103"),
        (json!({"id": "w1", "spec": "containers: []"}), "NCR0102"),
        (json!({"id": "w1", "spec": spec(), "wait": true, "timeoutSeconds": 0}), "NCR0102"),
        (json!({"id": "w1", "templateRef": template, "containerOverrides": [{"image": "i"}]}), "NCR0102"),
    ] {
        let reply = client.call("spawn_workspace", arguments.clone()).await;
        assert_eq!(reply.error_id(), id, "{arguments}: {}", reply.text);
    }
    assert!(world.api.objects("pods").is_empty() && world.api.objects("secrets").is_empty());
    let missing = client.call("spawn_workspace", json!({"id": "w1", "templateRef": "open-webui"})).await;
    assert_eq!(missing.structured["error"]["details"], json!(["OPENAI_API_KEY"]));
}

#[tokio::test(start_paused = true)]
async fn of_a_template_and_a_spec_the_template_is_taken() {
    let (world, client) = world().await;
    let arguments = json!({"id": "w1", "templateRef": "default-agent-workspace", "spec": spec()});
    let reply = client.call("spawn_workspace", arguments).await;
    assert!(!reply.failed, "{}", reply.text);
    let warnings = reply.structured["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("`spec` was ignored"),
        "{warnings:?}"
    );
    let pod = &world.api.objects("pods")[0];
    assert_eq!(pod["metadata"]["annotations"]["nogoo9/template-ref"], "default-agent-workspace");
    assert_ne!(pod["spec"]["containers"][0]["image"], "i");
}

#[tokio::test(start_paused = true)]
async fn waiting_reports_progress_until_ready() {
    let (world, mut client) = world().await;
    let api = world.api.clone();
    let kubelet = tokio::spawn(async move {
        until("a pod", || !api.objects("pods").is_empty()).await;
        let name = api.objects("pods")[0]["metadata"]["name"].as_str().unwrap().to_owned();
        api.set_status(&name, waiting("ContainerCreating", ""));
        tokio::time::sleep(Duration::from_secs(2)).await;
        api.set_status(&name, ready());
    });
    let reply = client.call("spawn_workspace", json!({"id": "w1", "spec": spec(), "wait": true})).await;
    assert!(!reply.failed, "{}", reply.text);
    assert_eq!(
        (&reply.structured["status"], &reply.structured["url"]),
        (&json!("running"), &json!("/route/w1/"))
    );
    assert!(reply.text.contains("It is ready at /route/w1/."), "{}", reply.text);
    kubelet.await.unwrap();

    let (mut last, mut messages) = (0.0, Vec::new());
    while let Ok(heard) = client.heard.try_recv() {
        let Heard::Progress(step, message) = heard else { panic!("{heard:?}") };
        assert!(step > last, "progress goes up");
        last = step;
        messages.push(message);
    }
    assert!(messages.len() >= 3, "{messages:?}");
    assert!(
        messages[0].starts_with("Pending") && messages.last().unwrap().starts_with("Running"),
        "{messages:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_does_not_start_is_diagnosed_and_kept() {
    let (world, client) = world().await;
    let api = world.api.clone();
    tokio::spawn(async move {
        until("a pod", || !api.objects("pods").is_empty()).await;
        let name = api.objects("pods")[0]["metadata"]["name"].as_str().unwrap().to_owned();
        api.set_status(&name, waiting("ImagePullBackOff", "Back-off pulling image \"nope\u{1b}[1m\""));
    });
    let reply = client.call("spawn_workspace", json!({"id": "w1", "spec": spec(), "wait": true})).await;
    assert_eq!((reply.error_id().as_str(), &reply.structured["error"]["code"]), ("NCR0305", &json!(422)));
    assert_eq!((&reply.structured["id"], &reply.structured["status"]), (&json!("w1"), &json!("Degraded")));
    let details = reply.structured["error"]["details"][0].as_str().unwrap();
    assert!(details.contains("ImagePullBackOff") && details.contains("nope\""), "{details}");
    assert!(reply.text.contains("It is kept as it is") && !reply.text.contains('\u{1b}'), "{}", reply.text);
    assert_eq!(world.api.objects("pods").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_time_limit() {
    let options = Options { spawn_timeout: Duration::from_secs(60), ..Options::default() };
    let world = World::with(Api::default(), options).await.synced().await;
    let client = world.client().await;
    let begun = tokio::time::Instant::now();
    let arguments = json!({"id": "w1", "spec": spec(), "wait": true, "timeoutSeconds": 5});
    let reply = client.call("spawn_workspace", arguments).await;
    assert_eq!((reply.error_id().as_str(), &reply.structured["error"]["code"]), ("NCR0306", &json!(504)));
    assert_eq!(reply.structured["status"], "Pending");
    assert_eq!(begun.elapsed().as_secs(), 5, "by the clock of the test");

    let begun = tokio::time::Instant::now();
    let arguments = json!({"id": "w2", "spec": spec(), "wait": true, "timeoutSeconds": 6_000});
    let reply = client.call("spawn_workspace", arguments).await;
    assert_eq!((reply.error_id().as_str(), begun.elapsed().as_secs()), ("NCR0306", 60));
    assert_eq!(reply.structured["warnings"], json!(["this server waits 60 s at most"]));
}

#[tokio::test(start_paused = true)]
async fn t62_a_cancelled_wait_ends_and_the_workspace_stays() {
    let (world, mut client) = world().await;
    let arguments = json!({"id": "w1", "spec": spec(), "wait": true});
    let handle = client.begin("spawn_workspace", arguments).await;
    assert!(matches!(client.hears().await, Heard::Progress(..)), "it waits");
    handle.cancel(Some("changed my mind".to_owned())).await.unwrap();
    // No step of the workspace is reported any more, and everything else goes on.
    let name = world.api.objects("pods")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    world.api.set_status(&name, ready());
    until("the pod ready", || world.cluster.workspaces().all().iter().all(|pod| pod.ready)).await;
    let seen = client.call("get_workspace", json!({"id": "w1"})).await;
    assert_eq!(seen.structured["ready"], true);
    while let Ok(heard) = client.heard.try_recv() {
        assert!(!format!("{heard:?}").contains("Running"), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t54_k19_context_values_are_in_no_reply() {
    let (_world, mut client) = world().await;
    let secret = "s3cret-v4lue";
    for arguments in [
        json!({"id": "w1", "spec": spec(), "context": {"TOKEN": secret}, "wait": true, "timeoutSeconds": 1}),
        json!({"id": "w1", "spec": spec(), "context": {"TOKEN": secret}}),
        json!({"id": "w2", "spec": spec(), "context": secret}),
        json!({"id": "w2", "spec": spec(), "context": {"TOKEN": [secret]}}),
        json!({"id": "w2", "spec": spec(), "context": {"NOT A NAME": secret}}),
        json!({"id": "w2", "spec": spec(), "containerOverrides": [{"name": "agent", "env": secret}]}),
    ] {
        let reply = client.call("spawn_workspace", arguments).await;
        assert!(reply.failed && !format!("{reply:?}").contains(secret), "{reply:?}");
    }
    for (tool, arguments) in [
        ("get_workspace", json!({"id": "w1", "includePod": true})),
        ("list_workspaces", json!({})),
        ("get_workspace_events", json!({"id": "w1"})),
    ] {
        let reply = client.call(tool, arguments).await;
        assert!(!reply.failed && !format!("{reply:?}").contains(secret), "{reply:?}");
    }
    while let Ok(heard) = client.heard.try_recv() {
        assert!(!format!("{heard:?}").contains(secret), "{heard:?}");
    }
}
