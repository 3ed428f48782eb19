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
async fn d65_a_workspace_is_served_from_ready_until_it_is_gone() {
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

#[tokio::test]
async fn t24_d42_what_a_workspace_tells_other_sites_is_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let says =
        [("access-control-allow-origin", "https://its.example"), ("access-control-allow-methods", "PUT")];
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(async move || says))).await });
    let cluster = Cluster::start().await;
    let env = [("CORS_ORIGIN", "https://app.example"), ("CORS_CREDENTIALS", "true")];
    let server = Running::start(&cluster, &env).await;
    cluster.add_pod("w1", port);
    cluster.make_ready("w1");
    server.until("/route/w1/", |status, _| status == 200).await;
    for method in [reqwest::Method::OPTIONS, reqwest::Method::GET] {
        let request = server.client.request(method, format!("{}/route/w1/x", server.base));
        let request = request.header("origin", "https://app.example");
        let answer = request.header("access-control-request-method", "PUT").send().await.unwrap();
        let told: Vec<_> = answer.headers().get_all(says[0].0).iter().collect();
        assert_eq!(told, [says[0].1]);
        assert_eq!(answer.headers()[says[1].0], says[1].1);
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }
    server.stop().await;
}

#[tokio::test]
async fn t33_d14_d46_websockets_open_where_requests_lead_and_nowhere_else() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("BASE_URL", "/gw")]).await;
    cluster.add_pod("w1", crate::drain::echo().await);
    cluster.make_ready("w1");
    server.until("/route/w1/", |status, body| status != 503 && !body.contains("NCR0301")).await;
    let address = server.base.strip_prefix("http://").unwrap().strip_suffix("/gw").unwrap();
    for (path, status) in [
        ("/gw/route/w1/", "101"),
        ("/route/w1/", "404"),
        ("/gw/route/w.1/", "400"),
        ("/gw/route/w1%2f/", "400"),
        ("/gw/route/w1/../w1/", "400"),
        ("/gw/route/w1/%2e%2e/w1/", "400"),
        ("/gw/route/w1/x%5cy", "400"),
    ] {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        socket.read_exact(&mut head).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&head), format!("HTTP/1.1 {status}"), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn d61_what_is_set_for_the_proxy_has_its_effect() {
    let tell = any(async |request: axum::extract::Request| format!("{:?}", request.headers()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(tell)).await });
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silence = silent.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let cluster = Cluster::start().await;
    for (id, port) in [("w1", port), ("silent", silence)] {
        cluster.add_pod(id, port);
        cluster.make_ready(id);
    }
    for (value, closes) in [("true", false), ("false", true)] {
        let env = [("PROXY_KEEP_ALIVE", value), ("PROXY_TIMEOUT", "100")];
        let server = Running::start(&cluster, &env).await;
        let seen = server.until("/route/w1/", |status, _| status == 200).await;
        assert_eq!(seen.contains("\"connection\": \"close\""), closes, "{seen}");
        server.until("/route/silent/", |status, _| status == 504).await;
        server.stop().await;
    }
}
