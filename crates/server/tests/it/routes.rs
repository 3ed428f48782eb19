use nocrd_server::Components;
use serde_json::json;

use crate::support::{Cluster, Running, initialize, status_and_json};

#[tokio::test]
async fn mcp_is_served_under_its_three_paths() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    for path in ["/mcp", "/mcp/", "/mcp/mcp"] {
        let request = server.client.post(format!("{}{path}", server.base)).json(&initialize());
        let answer = request.header("accept", "application/json, text/event-stream").send().await.unwrap();
        let session = answer.headers()["mcp-session-id"].clone();
        let (status, body) = status_and_json(answer).await;
        assert_eq!(
            (status, body["result"]["serverInfo"]["version"].as_str()),
            (200, Some(env!("CARGO_PKG_VERSION")))
        );
        // Sessions can be ended.
        let end = server.client.delete(format!("{}{path}", server.base)).header("mcp-session-id", session);
        assert!(end.send().await.unwrap().status().is_success(), "{path}");
    }
    let answer = server.client.put(format!("{}/mcp", server.base)).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()),
        (405, "GET,HEAD,POST,DELETE")
    );
    assert_eq!(status_and_json(answer).await.1["code"], "NCR0607");
    server.stop().await;
}

#[tokio::test]
async fn unknown_paths_are_not_found_in_the_form_that_is_wanted() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    for path in ["/nope", "/mcp/nope", "/healthz/", "//", "/mcp//", "/.well-known/nope"] {
        let answer = server.get(path).send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"].len(), 36);
        assert_eq!(status_and_json(answer).await.1["code"], "NCR0601", "{path}");
    }
    let page = server.get("/nope").header("accept", "text/html").send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()),
        (404, "text/html; charset=utf-8")
    );
    // An id that a client sends is not taken over.
    let answer = server.get("/livez").header("x-request-id", "mine").send().await.unwrap();
    assert_ne!(answer.headers()["x-request-id"], "mine");
    server.stop().await;
}

#[tokio::test]
async fn everything_lives_below_the_prefix() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("BASE_URL", "gw")]).await;
    let root = server.base.strip_suffix("/gw").unwrap().to_owned();
    let status = async |url: String| server.client.get(url).send().await.unwrap().status().as_u16();
    for path in ["/gw", "/gw/", "/gw/healthz", "/gw/mcp/healthz", "/gw/livez", "/gw/readyz"] {
        assert_eq!(status(format!("{root}{path}")).await, 200, "{path}");
    }
    for path in ["/", "/healthz", "/readyz", "/mcp", "/gwx", "/gw/gw/healthz"] {
        assert_eq!(status(format!("{root}{path}")).await, 404, "{path}");
    }
    assert_eq!(server.initialize().await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn the_landing_page_names_the_endpoint_and_can_be_turned_off() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("PUBLIC_URL", "https://no-crd.example/gw/")]).await;
    let answer = server.get("/").send().await.unwrap();
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("https://no-crd.example/gw/mcp"), "{page}");
    server.stop().await;
    let server = Running::start(&cluster, &[("UI_ENABLED", "false")]).await;
    assert_eq!(server.get("/").send().await.unwrap().status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn each_program_serves_its_part() {
    let cluster = Cluster::start().await;
    for (components, mcp, route) in [(Components::MCP, 200, 404), (Components::PROXY, 404, 404)] {
        let server = Running::begin(&cluster, &[], components).await;
        server.ready().await;
        assert_eq!(server.initialize().await.status(), mcp);
        let (status, body) = status_and_json(server.get("/route/w1/").send().await.unwrap()).await;
        let code = if components.proxy { "NCR0301" } else { "NCR0601" };
        assert_eq!((status, body["code"].as_str()), (route, Some(code)), "{components:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn t22_d13_foreign_hosts_and_origins_get_no_answer_from_mcp() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[("ALLOWED_HOSTS", "app.example")]).await;
    let ask = async |headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(server.post_mcp(&initialize()), |request, (name, value)| request.header(*name, *value));
        status_and_json(request.send().await.unwrap()).await
    };
    for headers in [
        &[][..],
        &[("host", "app.example")],
        &[("origin", "https://app.example")],
        &[("origin", "http://localhost:6274")],
    ] {
        assert_eq!(ask(headers).await.0, 200, "{headers:?}");
    }
    for headers in [
        &[("host", "evil.example")][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        let (status, body) = ask(headers).await;
        assert_eq!((status, body["code"].as_str()), (403, Some("NCR0405")), "{headers:?}");
    }
    assert_eq!(server.get("/").header("host", "evil.example").send().await.unwrap().status(), 403);
    server.stop().await;
}

#[tokio::test]
async fn t24_cors_headers_are_sent_only_when_that_is_set() {
    let cluster = Cluster::start().await;
    let preflight = async |server: &Running, path: &str, origin: &str| {
        let request = server.client.request(reqwest::Method::OPTIONS, format!("{}{path}", server.base));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let answer = request.send().await.unwrap();
        let told = ["origin", "methods", "headers"].map(|what| format!("allow-{what}"));
        let told = told.iter().map(String::as_str).chain(["max-age", "expose-headers"]);
        let told = told.map(|what| answer.headers().get(format!("access-control-{what}")));
        let told: Vec<_> = told.map(|value| value.map(|value| value.to_str().unwrap().to_owned())).collect();
        (answer.status().as_u16(), told)
    };
    let nothing = vec![None; 5];
    let server = Running::start(&cluster, &[]).await;
    assert_eq!(preflight(&server, "/healthz", "https://app.example").await, (405, nothing.clone()));
    server.stop().await;

    let env = [
        ("CORS_ORIGIN", "https://app.example"),
        ("CORS_CREDENTIALS", "true"),
        ("CORS_MAX_AGE", "60"),
        ("CORS_ALLOWED_METHODS", "GET,POST"),
        ("CORS_ALLOWED_HEADERS", "Authorization, X-Own"),
    ];
    let server = Running::start(&cluster, &env).await;
    for path in ["/mcp", "/healthz"] {
        let allowed = ["https://app.example", "GET, POST", "Authorization, X-Own", "60"];
        let allowed = allowed.map(|value| Some(value.to_owned())).into_iter().chain([None]).collect();
        assert_eq!(preflight(&server, path, "https://app.example").await, (204, allowed));
        assert_eq!(preflight(&server, path, "https://evil.example").await, (204, nothing.clone()));
    }
    assert_eq!(preflight(&server, "/route/w1/", "https://app.example").await.1, nothing);
    let answer = server.post_mcp(&initialize()).header("origin", "https://app.example").send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(header("access-control-allow-origin"), "https://app.example");
    assert_eq!(header("access-control-allow-credentials"), "true");
    assert_eq!(header("access-control-expose-headers"), "mcp-session-id, x-refreshed-token");
    assert!(answer.headers().get_all("vary").iter().any(|value| value == "origin"));
    // A refusal can't be read by the page it is for, but it is one.
    let answer =
        server.post_mcp(&initialize()).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("access-control-allow-origin")), (403, None));
    server.stop().await;

    let env = [("CORS_ORIGIN", "*"), ("CORS_CREDENTIALS", "true"), ("CORS_EXPOSED_HEADERS", "x-own")];
    let server = Running::start(&cluster, &env).await;
    let answer = server.post_mcp(&initialize()).header("origin", "https://any.example").send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["access-control-expose-headers"], "x-own");
    assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    server.stop().await;
}

#[tokio::test]
async fn t45_large_and_deep_messages_are_refused() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    let large = json!({ "jsonrpc": "2.0", "id": 1, "method": "x".repeat(5 * 1024 * 1024) });
    assert_eq!(server.post_mcp(&large).send().await.unwrap().status(), 413);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let request =
        server.client.post(format!("{}/mcp", server.base)).header("content-type", "application/json");
    let answer =
        request.header("accept", "application/json, text/event-stream").body(deep).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    server.stop().await;
}

#[tokio::test]
async fn d09_asking_for_files_of_pages_ends_nothing() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    for path in ["/ui", "/ui/", "/ui/index.html", "/ui/error.html", "/docs", "/docs/", "/docs/index.html"] {
        for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
            let url = format!("{}{path}", server.base);
            let status = server.client.request(method, url).send().await.unwrap().status().as_u16();
            assert!(matches!(status, 200 | 302 | 404), "{path}: {status}");
        }
    }
    assert_eq!(server.get("/livez").send().await.unwrap().status(), 200);
    server.stop().await;
}
