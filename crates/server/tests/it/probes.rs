use nocrd_server::Components;

use crate::support::{Cluster, Relay, Running, status_and_json};

#[tokio::test]
async fn the_probes_of_a_server_that_works() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("UI_TITLE", "T"), ("UI_SUBTITLE", "S")]).await;
    for path in ["/healthz", "/mcp/healthz"] {
        let (status, body) = status_and_json(server.get(path).send().await.unwrap()).await;
        let expected = serde_json::json!({
            "status": "ok", "version": env!("CARGO_PKG_VERSION"), "branding": { "title": "T", "subtitle": "S" },
        });
        assert_eq!((status, body), (200, expected), "{path}");
    }
    let (status, body) = status_and_json(server.get("/livez").send().await.unwrap()).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("ok")));

    cluster.add_pod("w1", 80);
    let ready = server.until("/readyz", |_, body| body.contains("\"workspaces\":1")).await;
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["status"], "ok");
    assert_eq!(ready["checks"]["index"]["synced"], true);
    assert_eq!(ready["checks"]["index"]["watched"], "all namespaces");
    assert_eq!(ready["checks"]["kubernetes"]["reachable"], true);
    // Whoever probes need not know our name: the kubelet asks by address.
    let answer = server.get("/readyz").header("host", "10.0.0.7:3000").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["cache-control"].to_str().unwrap()),
        (200, "no-store")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_server_starts_while_the_api_is_away_and_survives_it_going_away() {
    let cluster = Cluster::start().await;
    let relay = Relay::start(cluster.address()).await;
    cluster.reach_through(&relay);
    relay.cut();
    let server = Running::begin(&cluster, &[], Components::ALL).await;
    let body = server.until("/readyz", |status, body| status == 503 && body.contains("lastError")).await;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (body["status"].as_str(), body["checks"]["index"]["synced"].as_bool()),
        (Some("error"), Some(false))
    );
    assert!(body["message"].as_str().unwrap().contains("can't read the cluster's state"), "{body}");
    let (status, body) = status_and_json(server.get("/healthz").send().await.unwrap()).await;
    assert_eq!((status, body["status"].as_str()), (503, Some("error")));
    assert_eq!(server.get("/livez").send().await.unwrap().status(), 200);
    assert_eq!(server.get("/route/w1/").send().await.unwrap().status(), 503);

    relay.mend();
    server.ready().await;

    // What is known is served on: it is stale, and that is told.
    relay.cut();
    let body = server.until("/readyz", |_, body| body.contains("\"reachable\":false")).await;
    assert!(body.contains("\"status\":\"ok\"") && body.contains("staleFor"), "{body}");
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
    relay.mend();
    server.until("/readyz", |_, body| body.contains("\"reachable\":true")).await;
    server.stop().await;
}
