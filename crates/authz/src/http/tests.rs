use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{basic_auth, body_string, header, method, path},
};

use super::*;

fn client() -> Http {
    Http::new(&HttpOptions { max_bytes: 1000, ..HttpOptions::default() }).unwrap()
}

fn url(server: &MockServer, path: &str) -> Url {
    format!("{}{path}", server.uri()).parse().unwrap()
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    server
}

async fn get(server: &MockServer) -> Result<Value, FetchError> {
    client().get_json(&url(server, "/x")).await
}

#[tokio::test]
async fn documents_are_read() {
    let server = answering(ResponseTemplate::new(200).set_body_json(json!({ "a": 1 }))).await;
    assert_eq!(get(&server).await, Ok(json!({ "a": 1 })));
}

#[tokio::test]
async fn t04_redirects_are_not_followed() {
    let elsewhere = answering(ResponseTemplate::new(200).set_body_json(json!({}))).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = ResponseTemplate::new(status).insert_header("location", elsewhere.uri());
        assert_eq!(get(&answering(answer).await).await, Err(FetchError::Redirect), "{status}");
    }
    assert_eq!(elsewhere.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn t04_large_answers_are_not_read() {
    let server = answering(ResponseTemplate::new(200).set_body_string("x".repeat(1001))).await;
    assert_eq!(get(&server).await, Err(FetchError::TooLarge));
    let server =
        answering(ResponseTemplate::new(200).set_body_string(format!("\"{}\"", "x".repeat(998)))).await;
    assert!(get(&server).await.is_ok());
}

#[tokio::test]
async fn t04_answers_without_an_end_are_not_read() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        // Until the client has had enough.
        while stream.write_all(b"10\r\n0123456789abcdef\r\n").is_ok() {}
    });
    let got = client().get_json::<Value>(&format!("http://{address}/").parse().unwrap()).await;
    assert_eq!(got, Err(FetchError::TooLarge));
    server.await.unwrap();
}

#[tokio::test]
async fn t04_slow_answers_are_given_up() {
    let delay = Duration::from_secs(3600);
    let server = answering(ResponseTemplate::new(200).set_body_json(json!({})).set_delay(delay)).await;
    let client =
        Http::new(&HttpOptions { timeout: Duration::from_millis(50), ..HttpOptions::default() }).unwrap();
    assert_eq!(client.get_json::<Value>(&url(&server, "/")).await, Err(FetchError::Timeout));
}

#[tokio::test]
async fn other_failures_are_told_apart() {
    assert_eq!(get(&answering(ResponseTemplate::new(500)).await).await, Err(FetchError::Status(500)));
    assert_eq!(get(&answering(ResponseTemplate::new(204)).await).await, Err(FetchError::Status(204)));
    let garbage = answering(ResponseTemplate::new(200).set_body_string("<html>")).await;
    assert!(matches!(get(&garbage).await, Err(FetchError::Malformed(_))));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let got = client().get_json::<Value>(&format!("http://{nobody}/").parse().unwrap()).await;
    assert!(matches!(&got, Err(FetchError::Connection(cause)) if cause.contains("refused")), "{got:?}");
    let nowhere = client().get_json::<Value>(&"http://nowhere.invalid/".parse().unwrap()).await;
    assert!(
        matches!(&nowhere, Err(FetchError::Connection(cause)) if cause.contains("lookup")),
        "{nowhere:?}"
    );
}

#[tokio::test]
async fn forms_are_sent_and_every_answer_is_one() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/form"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string("a=1%262&b=%C3%A4+x"))
        .and(basic_auth("id", "secret"))
        .respond_with(ResponseTemplate::new(400).set_body_string("no"))
        .mount(&server)
        .await;
    let answer = client()
        .post_form(&url(&server, "/form"), &[("a", "1&2"), ("b", "ä x")], Some(("id", "secret")))
        .await;
    assert_eq!(answer, Ok((StatusCode::BAD_REQUEST, Bytes::from_static(b"no"))));
}

#[test]
fn only_http_addresses_are_read() {
    assert!(parse_url("https://h/x", "x").is_ok());
    for text in ["file:///etc/passwd", "ftp://h", "h", "", "http://", "javascript:1", "data:,x"] {
        assert_eq!(parse_url(text, "the key set"), Err(Error::InvalidUrl { what: "the key set" }), "{text}");
    }
}

#[test]
fn additional_certificates_must_be_some() {
    let options = HttpOptions {
        extra_ca: Some(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----".to_vec()),
        ..HttpOptions::default()
    };
    assert!(Http::new(&options).is_err());
}
