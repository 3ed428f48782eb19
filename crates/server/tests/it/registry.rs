//! Settings of the image registry that reach it.

use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{basic_auth, path},
};

use crate::{
    auth::send,
    operations::Logs,
    support::{Cluster, Running},
};

const SECRET: &str = "s3cret-v4lue";

async fn holding(at: &str, body: serde_json::Value, server: &MockServer) {
    Mock::given(path(at))
        .and(basic_auth("reader", SECRET))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .with_priority(1)
        .mount(server)
        .await;
}

#[tokio::test]
async fn t54_the_registry_is_shown_its_password_and_nobody_else_is() {
    let logs = Logs::listen();
    let registry = MockServer::start().await;
    holding("/v2/_catalog", json!({ "repositories": ["app", "gone"] }), &registry).await;
    holding("/v2/app/tags/list", json!({ "tags": ["1"] }), &registry).await;
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=\"r\"");
    Mock::given(path("/v2/_catalog")).respond_with(refusal).mount(&registry).await;

    let (cluster, url) = (Cluster::start().await, format!("{}/", registry.uri()));
    for (password, code) in [(SECRET, None), ("s3cret-wr0ng", Some("NCR0802"))] {
        let env = [
            ("STATELESS", "true"),
            ("REGISTRY_URL", &url),
            ("REGISTRY_USERNAME", "reader"),
            ("REGISTRY_PASSWORD", password),
        ];
        let server = Running::start(&cluster, &env).await;
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "list_registry_images", "arguments": {} },
        });
        let request = server.post_mcp(&call).header("mcp-protocol-version", "2025-11-25");
        let (status, _, body) = send(request).await;
        assert_eq!(status, 200, "{body}");
        let told = body.pointer("/result/structuredContent").unwrap();
        assert_eq!(told.pointer("/error/id").and_then(serde_json::Value::as_str), code, "{body}");
        if code.is_none() {
            let host = registry.uri().replace("http://", "");
            assert_eq!(told["images"], json!([format!("{host}/app:1")]));
            assert_eq!(told["problems"][0]["repository"], "gone");
        }
        assert!(!body.to_string().contains("s3cret"), "{body}");
        server.stop().await;
    }
    let logged = logs.text();
    assert!(logged.contains("list_registry_images") && !logged.contains("s3cret"), "{logged}");
}
