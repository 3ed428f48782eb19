//! A workspace's pod is replaced by another, and its address goes to somebody else's.

use std::time::{Duration, Instant};

use nocrd_model::{DEFAULT_WORKSPACE_IMAGE, keys};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Cluster,
    load::{Clients, Load, Socket},
    pod::{NAMESPACE, Pod, manifest},
};
use crate::{
    auth::{Env, until},
    dev::PATIENCE,
    kubectl::Kubectl,
    part::{Half, Part},
};

const PORT: u16 = 5678;
/// How soon requests must be routed to a pod that is Ready.
const SOON: Duration = Duration::from_secs(1);

/// Starts a pod of the default image, whose page has this text on it.
fn start(kubectl: &Kubectl, name: &str, secret: &str) {
    let mut pod = manifest(name, "w1", PORT);
    let ready = json!({ "httpGet": { "path": "/healthz", "port": PORT }, "periodSeconds": 1 });
    let env = json!([
        { "name": "ECHO_TEXT", "value": secret },
        { "name": "PORT", "value": PORT.to_string() },
        { "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
    ]);
    let container = json!({
        "name": keys::MAIN_CONTAINER, "image": DEFAULT_WORKSPACE_IMAGE, "env": env, "readinessProbe": ready,
    });
    pod["spec"] = json!({ "terminationGracePeriodSeconds": 5, "containers": [container] });
    kubectl.apply(&pod);
}

fn get(kubectl: &Kubectl, name: &str) -> Value {
    let text = kubectl.run(&["get", "pod", name, "--namespace", NAMESPACE, "--output=json"]);
    serde_json::from_str(&text).unwrap()
}

/// Waits until it is Ready as the API has it.
async fn becomes_ready(kubectl: &Kubectl, name: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let conditions = get(kubectl, name)["status"]["conditions"].clone();
        let ready = json!("Ready");
        let mut all = conditions.as_array().into_iter().flatten();
        if all.any(|condition| condition["type"] == ready && condition["status"] == "True") {
            return;
        }
        assert!(Instant::now() < deadline, "{name} is never ready: {conditions}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t36_requests_follow_a_workspace_to_its_new_address_and_none_goes_to_who_has_the_old_one() {
    let cluster = Cluster::start();
    let kubectl = cluster.kubectl();
    let proxy = Part::start(Half::Proxy, &cluster.kubeconfig(), &Env::new());
    let (old, new, strange) = ("the first pod of w1", "the second pod of w1", "somebody else's pod");
    start(&kubectl, "ws-w1-a", old);
    becomes_ready(&kubectl, "ws-w1-a").await;
    let address = get(&kubectl, "ws-w1-a")["status"]["podIP"].as_str().unwrap().to_owned();
    let clients = Clients { requests: 6, sockets: 2, methods: &["GET"] };
    let load = Load::start(&[proxy.address()], "/route/w1/", "/route/w1/echo", clients);
    load.until("the first pod's answers", |seen| {
        let last = seen.requests.iter().rev().take(20);
        seen.requests.len() > 50
            && last.filter_map(|seen| seen.answer.as_ref().ok()).all(|answer| answer.body.contains(old))
    })
    .await;

    let replaced = Instant::now();
    kubectl.run(&["delete", "pod/ws-w1-a", "--namespace", NAMESPACE, "--wait=false"]);
    start(&kubectl, "ws-w1-b", new);
    until("the end of the first pod", async || !get_all(&kubectl).contains(&"ws-w1-a".to_owned())).await;
    // Its address goes to another workspace's pod, which is asked for, too.
    let stranger = Pod::listen(format!("{address}:{PORT}").parse().unwrap(), strange).await;
    stranger.appear(&kubectl, "w2");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/route/w2/", proxy.base());
    until("the other workspace", async || {
        http.get(&url).send().await.unwrap().text().await.unwrap().contains(strange)
    })
    .await;
    becomes_ready(&kubectl, "ws-w1-b").await;
    let ready = Instant::now();
    assert_ne!(get(&kubectl, "ws-w1-b")["status"]["podIP"], address);
    sleep(SOON).await;
    load.more(100, 20).await;
    let seen = load.stop().await;

    let mut between = 0;
    for request in &seen.requests {
        let answer = request.answer.as_ref().unwrap_or_else(|error| panic!("no answer: {error}"));
        assert!(!answer.body.contains(strange), "it went to the wrong pod");
        match answer.status {
            200 if answer.body.contains(new) => assert!(request.at > replaced),
            200 => assert!(answer.body.contains(old) && request.at < ready, "{}", answer.body),
            503 => {
                between += 1;
                assert!(answer.retry_after, "{}", answer.body);
                assert!(request.at < ready + SOON, "it is not routed to within {SOON:?}");
            }
            // The first pod may be gone before the second one is there.
            404 if request.at > replaced && request.at < ready => between += 1,
            status => panic!("{status}: {}", answer.body),
        }
    }
    assert!(between > 0, "nobody has asked in between");
    let strangers = seen.sockets.iter().filter(|(_, socket)| *socket == Socket::Echoed(strange.to_owned()));
    assert_eq!(strangers.count(), 0);
    // Those who asked for it are all who came: a request that is refused by its pod has gone to the wrong one, too.
    let asked = stranger.connections();
    http.get(&url).send().await.unwrap();
    assert!(asked >= 1 && stranger.connections() <= asked + 1, "{asked}");
    drop(stranger);
    proxy.stop();
    cluster.program.stop();
}

fn get_all(kubectl: &Kubectl) -> Vec<String> {
    let text = kubectl.run(&["get", "pods", "--namespace", NAMESPACE, "--output=name"]);
    text.lines().filter_map(|line| Some(line.strip_prefix("pod/")?.to_owned())).collect()
}
