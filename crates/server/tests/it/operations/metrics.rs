//! What Prometheus reads.

use reqwest::Method;

use crate::{
    auth::{World, send},
    support::{Cluster, PATIENCE, Running, free_port, initialize},
};

async fn scrape(port: &str, client: &reqwest::Client) -> String {
    let reading = async {
        loop {
            if let Ok(answer) = client.get(format!("http://127.0.0.1:{port}/metrics")).send().await {
                assert_eq!(answer.status(), 200);
                assert!(
                    answer.headers()["content-type"]
                        .to_str()
                        .unwrap()
                        .starts_with("application/openmetrics-text")
                );
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap()
}

#[tokio::test]
async fn the_metrics_are_read_where_that_was_said_and_on_this_machine_otherwise() {
    let cluster = Cluster::start().await;
    for (env, at, elsewhere) in
        [(&[][..], "127.0.0.1", "127.0.0.2"), (&[("METRICS_HOST", "127.0.0.2")], "127.0.0.2", "127.0.0.1")]
    {
        let port = free_port();
        let server =
            Running::start(&cluster, &[&[("METRICS_PORT", &*port), ("HOST", "0.0.0.0")], env].concat()).await;
        let ask = |host: &str| server.client.get(format!("http://{host}:{port}/livez")).send();
        assert!(ask(at).await.is_ok() && ask(elsewhere).await.is_err(), "{env:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn metrics_have_a_port_of_their_own_and_name_nobody() {
    let port = free_port();
    let world =
        World::start(&[("METRICS_PORT", &*port), ("RATE_LIMIT_MAX", "1"), ("STATELESS", "true")]).await;
    world.cluster.add_pod_of("secret-name", 3000, "alice", &[]);
    let token = world.token("alice", &["user"], "nogoo9:read");
    assert_eq!(send(world.server.post_mcp(&initialize()).bearer_auth(&token)).await.0, 200);
    assert_eq!(send(world.ask(Method::GET, "/permissions", Some("bad"))).await.0, 401);
    assert_eq!(send(world.ask(Method::GET, "/route/secret-name/", Some("bad"))).await.0, 429);
    send(world.ask(Method::GET, "/logout", None)).await;
    assert_eq!(send(world.ask(Method::GET, "/logout", None)).await.0, 429);
    // The metrics are not where everybody looks.
    assert_eq!(send(world.ask(Method::GET, "/metrics", None)).await.0, 404);

    let text = scrape(&port, &world.server.client).await;
    for line in [
        "nocrd_http_requests_total{route=\"mcp\",method=\"POST\",status=\"200\"} 1",
        "nocrd_http_requests_total{route=\"workspace\",method=\"GET\",status=\"429\"} 1",
        "nocrd_http_request_duration_seconds_count{route=\"mcp\"} 1",
        "nocrd_credential_checks_total{method=\"bearer\",outcome=\"accepted\"} 1",
        "nocrd_credential_checks_total{method=\"bearer\",outcome=\"refused\"} 2",
        "nocrd_rate_limited_total{limit=\"sign-in\"} 1",
        "nocrd_tunnels_open 0",
        "nocrd_mcp_sessions 0",
        "nocrd_watch_synced 1",
        "nocrd_watch_stale_seconds 0.0",
        "nocrd_watch_failures_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        text.contains("nocrd_build_info{version=\"") && text.contains("nocrd_kubernetes_requests_total ")
    );
    for name in ["alice", "secret-name", "127.0.0.1"] {
        assert!(!text.contains(name), "{name}\n{text}");
    }
    // Probes are there as well, for a server that asks for client certificates.
    let ready = world.server.client.get(format!("http://127.0.0.1:{port}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test]
async fn metrics_follow_what_happens_and_are_off_unless_asked_for() {
    let port = free_port();
    let world = World::start(&[("METRICS_PORT", &*port)]).await;
    let has = async |line: &str| {
        let reading = async {
            loop {
                let text = scrape(&port, &world.server.client).await;
                if text.lines().any(|found| found.starts_with(line)) {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "{line}");
    };
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    world.cluster.add_pod_of("w1", crate::drain::echo().await, "alice", &[]);
    world.cluster.make_ready("w1");
    let answers = |status, body: &str| status != 503 && !body.contains("NCR0301");
    world.server.until_as(&token, "/route/w1/", answers).await;

    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(
        format!("{}/route/w1/", world.server.base.replacen("http", "ws", 1)),
    )
    .unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let socket = tokio_tungstenite::connect_async(request).await.unwrap().0;
    has("nocrd_tunnels_open 1").await;
    drop(socket);
    has("nocrd_tunnels_open 0").await;

    let begun = world.server.post_mcp(&initialize()).bearer_auth(&token).send().await.unwrap();
    let session = begun.headers()["mcp-session-id"].clone();
    has("nocrd_mcp_sessions 1").await;
    let spec = serde_json::json!({ "containers": [{ "name": "agent", "image": "busybox" }] });
    let call = serde_json::json!({
        "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": { "name": "spawn_workspace", "arguments": { "id": "w2", "spec": spec } },
    });
    let spawn = world.server.post_mcp(&call).bearer_auth(&token).header("mcp-session-id", &session);
    let (status, _, body) = send(spawn.header("mcp-protocol-version", "2025-11-25")).await;
    assert_eq!(status, 200, "{body}");
    has("nocrd_spawn_duration_seconds_count").await;
    let end = world.ask(Method::DELETE, "/mcp", Some(&token)).header("mcp-session-id", &session);
    assert_eq!(send(end).await.0, 200);
    has("nocrd_mcp_sessions 0").await;
    world.server.stop().await;

    let world = World::start(&[]).await;
    let nothing = world.server.client.get(format!("http://127.0.0.1:{port}/metrics")).send().await;
    assert!(nothing.is_err(), "{nothing:?}");
    world.server.stop().await;
}
