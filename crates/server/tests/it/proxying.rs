use axum::{Router, extract::OriginalUri, routing::any};
use nocrd_model::keys;
use tokio::net::TcpListener;

use crate::support::{Cluster, Running, status_and_json};

/// What runs in a pod: it tells which path it was asked for.
pub(crate) async fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().fallback(any(async |uri: OriginalUri| format!("upstream saw {}", uri.0)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test]
async fn a_workspace_is_served_from_ready_until_it_is_gone() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    let (status, body) = status_and_json(server.get("/route/w1/").send().await.unwrap()).await;
    assert_eq!((status, body["code"].as_str()), (404, Some("NCR0301")));

    cluster.add_pod("w1", upstream().await);
    let body = server.until("/route/w1/", |status, _| status == 503).await;
    assert!(body.contains("NCR0304"), "{body}");
    let answer = server.get("/route/w1/").send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "2");

    cluster.make_ready("w1");
    let body = server.until("/route/w1/a%20b?c=d", |status, _| status == 200).await;
    assert_eq!(body, "upstream saw /a%20b?c=d");
    // The path is not the router's to normalise: what is ambiguous is refused, the rest passes byte for byte.
    let body = server.get("/route/w1//x//y").send().await.unwrap().text().await.unwrap();
    assert_eq!(body, "upstream saw //x//y");

    cluster.remove_pod("w1");
    server.until("/route/w1/", |status, _| status == 404).await;
    server.stop().await;
}

#[tokio::test]
async fn t36_a_pod_address_outside_the_ranges_is_not_dialled() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("POD_CIDRS", "10.0.0.0/8")]).await;
    cluster.add_pod("w1", upstream().await);
    cluster.make_ready("w1");
    let body = server.until("/route/w1/", |status, _| status == 502).await;
    assert!(body.contains("NCR0605"), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn a_prefix_stands_before_routes_too() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("BASE_URL", "/gw/x")]).await;
    cluster.add_pod("w1", upstream().await);
    cluster.make_ready("w1");
    // `base` ends with the prefix.
    assert!(server.base.ends_with("/gw/x"), "{}", server.base);
    let body = server.until("/route/w1/a", |status, _| status == 200).await;
    assert_eq!(body, "upstream saw /a");
    let without = server.base.strip_suffix("/gw/x").unwrap();
    assert_eq!(server.client.get(format!("{without}/route/w1/a")).send().await.unwrap().status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn t22_workspaces_are_not_reached_under_foreign_names_nor_by_foreign_pages() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("ALLOWED_HOSTS", "app.example")]).await;
    cluster.add_pod("w1", upstream().await);
    cluster.make_ready("w1");
    server.until("/route/w1/", |status, _| status == 200).await;
    let status = async |method: reqwest::Method, headers: &[(&str, &str)]| {
        let url = format!("{}/route/w1/", server.base);
        let request = reqwest::Client::builder().no_proxy().build().unwrap().request(method, url);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap().status().as_u16()
    };
    let (get, post) = (reqwest::Method::GET, reqwest::Method::POST);
    assert_eq!(status(get.clone(), &[("host", "app.example")]).await, 200);
    assert_eq!(status(get.clone(), &[("sec-fetch-site", "cross-site")]).await, 200, "a link leads here");
    assert_eq!(status(get, &[("host", "evil.example")]).await, 403);
    assert_eq!(status(post.clone(), &[]).await, 200, "a program");
    assert_eq!(
        status(post.clone(), &[("origin", "https://app.example"), ("host", "app.example")]).await,
        200
    );
    assert_eq!(status(post.clone(), &[("origin", "https://evil.example")]).await, 403);
    assert_eq!(status(post, &[("sec-fetch-site", "cross-site")]).await, 403);
    server.stop().await;
}

#[tokio::test]
async fn d11_d12_t36_a_port_that_is_none_leads_nowhere_and_ends_nothing() {
    let cluster = Cluster::start().await;
    let fallback = upstream().await;
    let server = Running::start(&cluster, &[("DEFAULT_WORKSPACE_PORT", &fallback.to_string())]).await;
    for (id, port) in [("host", "80@169.254.169.254"), ("word", "http"), ("large", "70000"), ("zero", "0")] {
        let annotations = [
            (keys::WORKSPACE_PORT.to_owned(), port.to_owned()),
            (format!("{}t.port", keys::API_PREFIX), port.to_owned()),
            (format!("{}t.path", keys::API_PREFIX), "/t".to_owned()),
        ];
        cluster.add_pod_of(id, fallback, "guest", &annotations);
        cluster.make_ready(id);
        // What can't be meant is as if it were not said.
        for path in ["x", "t/x"] {
            let body = server.until(&format!("/route/{id}/{path}"), |status, _| status == 200).await;
            assert_eq!(body, format!("upstream saw /{path}"));
            let upgrade = server
                .get(&format!("/route/{id}/{path}"))
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            assert_eq!(upgrade.send().await.unwrap().status(), 200, "{id}");
        }
    }
    server.stop().await;
}
