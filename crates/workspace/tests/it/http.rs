use reqwest::{Client, Method, StatusCode, header};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Running, patiently};

#[tokio::test]
async fn the_page_tells_where_one_is() {
    let workspace = Running::start().await;
    let answer = reqwest::get(workspace.url("/")).await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("script-src 'sha256-"), "{policy}");
    assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let page = answer.text().await.unwrap();
    assert!(page.contains("<h1>w1</h1>") && page.contains("ws-w1") && page.contains("hello there"), "{page}");
}

#[tokio::test]
async fn echo_describes_the_request() {
    let workspace = Running::start().await;
    let answer: Value = Client::new()
        .request(Method::from_bytes(b"PROPFIND").unwrap(), workspace.url("/echo/a%2Fb//c?x=1&y=%20"))
        .header("x-test", "1")
        .header("x-test", "2")
        .body("grüß")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((&answer["method"], &answer["path"]), (&"PROPFIND".into(), &"/echo/a%2Fb//c".into()));
    assert_eq!((&answer["query"], &answer["version"]), (&"x=1&y=%20".into(), &"HTTP/1.1".into()));
    assert_eq!((&answer["headers"]["x-test"], &answer["body"]["text"]), (&"1, 2".into(), &"grüß".into()));
    assert_eq!(answer["body"]["bytes"], 6);
}

#[tokio::test]
async fn a_large_body_is_counted_and_not_sent_back() {
    let workspace = Running::start().await;
    let body = vec![b'a'; 5 * 1024 * 1024];
    let answer = Client::new().post(workspace.url("/echo")).body(body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(
        (&answer["body"]["bytes"], &answer["body"]["text"]),
        (&(5 * 1024 * 1024).into(), &Value::Null)
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let workspace = Running::start().await;
    let mut stream = tokio::net::TcpStream::connect(workspace.addr).await.unwrap();
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let chunk = [b"100000\r\n".as_slice(), &vec![b'a'; 0x10_0000], b"\r\n"].concat();
    // The server stops to read at some time: then writing fails or blocks, and the answer is there.
    let send = async { while writing.write_all(&chunk).await.is_ok() {} };
    let receive = async {
        let mut part = [0; 1024];
        while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
            match reading.read(&mut part).await {
                Ok(length @ 1..) => answer.extend_from_slice(&part[..length]),
                _ => break,
            }
        }
    };
    patiently(async { tokio::select! { () = receive => {}, () = async { send.await; std::future::pending::<()>().await } => {} } }).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.to_ascii_lowercase().contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn stats_have_the_form_the_dashboard_reads() {
    let workspace = Running::start().await;
    let answer: Value = reqwest::get(workspace.url("/stats")).await.unwrap().json().await.unwrap();
    let stats = answer["stats"].as_object().unwrap();
    assert!(stats.contains_key("Uptime") && stats.values().all(Value::is_string), "{answer}");
    assert!(answer["uptimeSeconds"].is_u64(), "{answer}");
}

#[tokio::test]
async fn last_activity_is_a_time_in_seconds() {
    let workspace = Running::start().await;
    let answer: Value = reqwest::get(workspace.url("/last_activity")).await.unwrap().json().await.unwrap();
    let seconds = answer["last_activity"].as_i64().unwrap();
    assert!((1_700_000_000..9_999_999_999).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let workspace = Running::start().await;
    let client = Client::new();
    let status = async |method: Method, path: &str| {
        let answer = client.request(method, workspace.url(path)).send().await.unwrap();
        (answer.status(), answer.headers().contains_key(header::CONTENT_SECURITY_POLICY))
    };
    assert_eq!(status(Method::GET, "/healthz").await, (StatusCode::OK, true));
    assert_eq!(status(Method::HEAD, "/").await, (StatusCode::OK, true));
    assert_eq!(status(Method::GET, "/nothing").await, (StatusCode::NOT_FOUND, true));
    assert_eq!(status(Method::POST, "/stats").await, (StatusCode::METHOD_NOT_ALLOWED, true));
    assert_eq!(status(Method::POST, "/").await, (StatusCode::METHOD_NOT_ALLOWED, true));
}
