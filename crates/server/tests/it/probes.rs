use nocrd_server::Components;

use crate::support::{Cluster, Relay, Running, free_port, status_and_json};

#[tokio::test]
async fn the_probes_of_a_server_that_works() {
    let cluster = Cluster::start().await;
    let port = free_port();
    let env = [("UI_TITLE", "T"), ("UI_SUBTITLE", "S"), ("METRICS_PORT", &port)];
    let server = Running::start(&cluster, &env).await;
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
    let ready = server.readiness(|_, ready| ready["checks"]["index"]["workspaces"] == 1).await;
    assert_eq!(ready["checks"]["index"]["watched"], "all namespaces");
    // Strangers are told what holds, and no more.
    let (status, ready) = status_and_json(server.get("/readyz").send().await.unwrap()).await;
    let expected = serde_json::json!({
        "status": "ok",
        "checks": { "index": { "synced": true }, "kubernetes": { "reachable": true }, "draining": false },
    });
    assert_eq!((status, ready), (200, expected));
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
    let port = free_port();
    let server = Running::begin(&cluster, &[("METRICS_PORT", &port)], Components::ALL).await;
    let told = |ready: &serde_json::Value| ready["checks"]["kubernetes"]["lastError"].as_str().is_some();
    let body = server.readiness(|status, ready| status == 503 && told(ready)).await;
    assert_eq!(
        (body["status"].as_str(), body["checks"]["index"]["synced"].as_bool()),
        (Some("error"), Some(false))
    );
    let address = relay.address.to_string();
    assert!(body["checks"]["kubernetes"]["lastError"].as_str().unwrap().contains(&address), "{body}");
    // Where the API server is, strangers are not told.
    for path in ["/readyz", "/healthz"] {
        let (status, body) = status_and_json(server.get(path).send().await.unwrap()).await;
        assert_eq!((status, body["status"].as_str()), (503, Some("error")), "{path}");
        assert_eq!(body["message"], "the server can't read the cluster's state", "{path}");
        assert!(!body.to_string().contains(&address), "{path}: {body}");
    }
    assert_eq!(server.get("/livez").send().await.unwrap().status(), 200);
    assert_eq!(server.get("/route/w1/").send().await.unwrap().status(), 503);

    relay.mend();
    server.ready().await;

    // What is known is served on: it is stale, and that is told.
    relay.cut();
    let body = server.until("/readyz", |_, body| body.contains("\"reachable\":false")).await;
    assert!(body.contains("\"status\":\"ok\"") && !body.contains("staleFor"), "{body}");
    let body = server.readiness(|_, ready| ready["checks"]["kubernetes"]["reachable"] == false).await;
    assert!(body["checks"]["kubernetes"]["staleFor"].is_u64(), "{body}");
    assert_eq!(server.get("/healthz").send().await.unwrap().status(), 200);
    relay.mend();
    server.until("/readyz", |_, body| body.contains("\"reachable\":true")).await;
    server.stop().await;
}
