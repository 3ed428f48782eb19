//! The API server is away.

use rustix::process::Signal;
use serde_json::Value;

use super::{
    Cluster,
    load::{Clients, Load},
    pod::{NAMESPACE, Pod},
    relay::Relay,
};
use crate::{
    auth::{Env, until},
    kubectl::Kubectl,
    part::{Half, Part, readiness_at},
};

/// Tells of the outage: the server goes on, and says for how long it has heard nothing, and why.
async fn tells(metrics: &str, what: &str, wanted: impl Fn(u64, &str) -> bool) {
    until(what, async || {
        let (status, ready) = readiness_at(metrics).await;
        assert_eq!(status, 200, "{ready}");
        let state = &ready["checks"]["kubernetes"];
        state["reachable"] == Value::Bool(false)
            && wanted(state["staleFor"].as_u64().unwrap(), state["lastError"].as_str().unwrap())
    })
    .await;
}

/// It has all of the cluster again: this new workspace, and what became of one that is gone.
async fn catches_up(proxy: &Part, kubectl: &Kubectl, pod: &Pod, new: &str) {
    pod.appear(kubectl, new);
    until(new, async || status(proxy, new).await == 200).await;
    until("good health", async || {
        proxy.readiness().await.1["checks"]["kubernetes"]["reachable"] == Value::Bool(true)
    })
    .await;
}

async fn status(proxy: &Part, id: &str) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(format!("{}/route/{id}/", proxy.base())).send().await.unwrap().status().as_u16()
}

/// How long it is away does not matter, once all that waits for it has waited its longest: a request for 15 seconds, and
/// attempts for one another, for pauses that double. An open watch of which nothing is heard for two minutes is looked at
/// where it is made.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_goes_on_without_the_api_server_and_what_changed_meanwhile_is_seen_later() {
    let mut cluster = Cluster::start();
    let relay = Relay::to(&cluster.api()).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let env = Env::new().with("METRICS_PORT", &port.to_string());
    let proxy = Part::start(Half::Proxy, &relay.kubeconfig(&cluster.kubeconfig()), &env);
    let metrics = format!("http://127.0.0.1:{port}");
    let kubectl = cluster.kubectl();
    let pod = Pod::listen(([127, 0, 0, 1], 0).into(), "the secret of w1").await;
    for id in ["w1", "w2"] {
        pod.appear(&kubectl, id);
        until(id, async || status(&proxy, id).await == 200).await;
    }
    let clients = Clients { requests: 6, sockets: 2, methods: &["GET", "POST"] };
    let load = Load::start(&[proxy.address()], "/route/w1/", "/route/w1/socket", clients);
    load.more(50, 20).await;

    // It can't be reached, and others change things meanwhile.
    relay.cut();
    let delete = ["delete", "pod/ws-w2", "--namespace", NAMESPACE, "--grace-period=0", "--force"];
    kubectl.run(&delete);
    tells(&metrics, "the outage", |stale, _| stale >= 4).await;
    assert_eq!(status(&proxy, "w2").await, 200, "what is known is served");
    relay.mend(&cluster.api());
    catches_up(&proxy, &kubectl, &pod, "w3").await;
    assert_eq!(status(&proxy, "w2").await, 404);

    // It accepts connections, and says nothing.
    cluster.program.signal(Signal::STOP);
    relay.mend(&cluster.api());
    tells(&metrics, "the silence", |stale, error| stale >= 15 && error.contains("15")).await;
    cluster.program.signal(Signal::CONT);
    catches_up(&proxy, &kubectl, &pod, "w4").await;

    // It ends, and another comes in its place, which knows no more than what was kept.
    cluster.revive();
    relay.mend(&cluster.api());
    catches_up(&proxy, &cluster.kubectl(), &pod, "w5").await;

    load.more(50, 20).await;
    let seen = load.stop().await;
    let failures = seen.failures(pod.secret());
    assert!(failures.is_empty(), "{} of {}: {:?}", failures.len(), seen.requests.len(), failures.first());
    assert_eq!(seen.endings(), Vec::<&super::load::Socket>::new());
    proxy.stop();
    cluster.program.stop();
}
