//! The images of a registry.

use std::time::Duration;

use nocrd_mcp_surface::Options;
use nocrd_registry::{Config, Registry};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::{
    api::Api,
    world::{Client, World},
};

async fn client(url: Option<&str>) -> Client {
    let registry = url.map(|url| Registry::new(Config::new(url.parse().unwrap())).unwrap());
    let options = Options { registry, ..Options::default() };
    World::with(Api::default(), options).await.synced().await.client().await
}

async fn answers(server: &MockServer, at: &str, body: Value) {
    Mock::given(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(body)).mount(server).await;
}

/// A registry of three images, and with it what its references begin with.
async fn registry() -> (MockServer, String) {
    let server = MockServer::start().await;
    let names = ["base", "team/app", "broken", "Bad\u{1b}[2J\u{202e}name"];
    answers(&server, "/v2/_catalog", json!({ "repositories": names })).await;
    answers(&server, "/v2/base/tags/list", json!({ "tags": ["latest"] })).await;
    answers(&server, "/v2/team/app/tags/list", json!({ "tags": ["2", "1"] })).await;
    let host = server.uri().replace("http://", "");
    (server, host)
}

#[tokio::test]
async fn k44_images_are_listed_with_what_went_wrong() {
    let (server, host) = registry().await;
    let client = client(Some(&format!("{}/", server.uri()))).await;
    let reply = client.call("list_registry_images", json!({})).await;
    let images = ["base:latest", "team/app:1", "team/app:2"].map(|image| format!("{host}/{image}"));
    let problems = json!([
        {"repository": "Badname", "reason": "1 of its names can't be used in the name of an image"},
        {"repository": "broken", "reason": "the answer's status is 404"},
    ]);
    assert_eq!(reply.structured, json!({"images": images, "registry": host, "problems": problems}));
    let lines: Vec<&str> = reply.text.lines().collect();
    assert_eq!(lines[..3], images);
    assert_eq!(lines[4], "⚠ broken: the answer's status is 404");

    let reply = client.call("list_registry_images", json!({"repository": "team/"})).await;
    assert_eq!(reply.structured, json!({"images": images[1..], "registry": host}));
    assert_eq!(reply.text, images[1..].join("\n"));
    let reply = client.call("list_registry_images", json!({"repository": "none"})).await;
    assert_eq!(reply.text, format!("(no images found in {host})"));
}

#[tokio::test]
async fn images_come_in_pages() {
    let (server, _) = registry().await;
    let client = client(Some(&server.uri())).await;
    let (mut images, mut problems, mut cursor) = (Vec::new(), 0, Value::Null);
    loop {
        let reply = client.call("list_registry_images", json!({"limit": 1, "cursor": cursor})).await;
        let page = reply.structured["images"].as_array().unwrap().clone();
        assert_eq!(page.len(), 1, "{reply:?}");
        images.extend(page);
        problems += reply.structured["problems"].as_array().map_or(0, Vec::len);
        cursor = reply.structured["nextCursor"].clone();
        assert_eq!(reply.text.contains("for the next pass cursor"), !cursor.is_null(), "{}", reply.text);
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((images.len(), problems), (3, 2), "{images:?}");
    for bad in [json!({"cursor": "bm9uZQ"}), json!({"limit": 0})] {
        assert_eq!(client.call("list_registry_images", bad).await.error_id(), "NCR0102");
    }
}

/// However long the names are, a page stays one that a client takes, and none is left out.
#[tokio::test]
async fn long_names_make_short_pages() {
    let server = MockServer::start().await;
    let name = "n".repeat(200);
    let tags: Vec<String> = (0..250).map(|n| format!("{n:0>128}")).collect();
    answers(&server, "/v2/_catalog", json!({ "repositories": [name, "z"] })).await;
    answers(&server, &format!("/v2/{name}/tags/list"), json!({ "tags": tags })).await;
    let client = client(Some(&server.uri())).await;
    let (mut seen, mut problems, mut cursor) = (0, 0, Value::Null);
    loop {
        let reply = client.call("list_registry_images", json!({"limit": 200, "cursor": cursor})).await;
        assert!(reply.text.len() + reply.structured.to_string().len() <= 64 * 1024);
        seen += reply.structured["images"].as_array().unwrap().len();
        problems += reply.structured["problems"].as_array().map_or(0, Vec::len);
        cursor = reply.structured["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!((seen, problems), (tags.len(), 1));
}

#[tokio::test]
async fn without_a_registry_the_list_is_empty_and_says_how_to_have_one() {
    let reply = client(None).await.call("list_registry_images", json!({"repository": "a", "limit": 3})).await;
    assert!(!reply.failed);
    assert_eq!(reply.structured, json!({"images": [], "registry": ""}));
    assert!(reply.text.contains("REGISTRY_URL=https://"), "{}", reply.text);
}

#[tokio::test]
async fn k44_failures_of_the_registry_are_none_of_kubernetes() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let reply = client(Some(&format!("http://{nobody}"))).await.call("list_registry_images", json!({})).await;
    assert_eq!((reply.error_id().as_str(), &reply.structured["error"]["code"]), ("NCR0801", &json!(503)));
    assert!(!reply.text.contains("Kubernetes") && reply.text.contains(&nobody.to_string()), "{}", reply.text);

    let server = MockServer::start().await;
    let reply = client(Some(&server.uri())).await.call("list_registry_images", json!({})).await;
    assert_eq!((reply.error_id().as_str(), &reply.structured["error"]["code"]), ("NCR0802", &json!(502)));
    assert!(reply.text.contains("status is 404") && !reply.text.contains("Kubernetes"), "{}", reply.text);
}

#[tokio::test]
async fn t62_a_cancelled_list_asks_no_more_of_the_registry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = client(Some(&url)).await;
    let handle = client.begin("list_registry_images", Value::Null).await;
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut asked = [0; 4];
    connection.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"GET ");
    handle.cancel(Some("changed my mind".to_owned())).await.unwrap();
    // The registry sees the end of the request long before its time would be up.
    let ended = tokio::time::timeout(Duration::from_secs(4), connection.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the request goes on");
    assert!(!client.call("current_namespace", json!({})).await.failed);
}
