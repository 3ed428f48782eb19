//! What clients are told when there is nothing to forward to, or nothing to forward.

use std::{net::SocketAddr, time::Duration};

use nocrd_model::Subject;
use nocrd_proxy_core::{AddressPolicy, Config, Lookup};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{
    Gateway,
    client::{Answer, Wire, get, send},
    config,
    pod::{Program, hold},
    pod_at, soon,
};

/// Asserts the status and code of an answer, and that it tells nothing of the inside.
fn assert_failure(answer: &Answer, status: u16, code: &str, pod: SocketAddr) {
    let told = answer.json();
    assert_eq!((answer.status, told["code"].as_str().unwrap()), (status, code), "{answer:?}");
    assert!(told["error"].is_string() && told["message"].is_string(), "{told}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let all = format!("{answer:?}");
    assert!(!all.contains(&pod.ip().to_string()) && !all.contains("os error"), "{all}");
}

/// An address nobody listens at.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn what_the_directory_knows_decides() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    assert_failure(&get(gateway.addr, "/route/none/", &[]).await, 404, "NCR0301", pod.addr);
    gateway.directory.set("late", Lookup::NotSynced);
    let answer = get(gateway.addr, "/route/late/", &[]).await;
    assert_failure(&answer, 503, "NCR0506", pod.addr);
    assert_eq!(answer.header("retry-after"), Some("1"));
    gateway.directory.set(
        "soon",
        Lookup::NotReady {
            owner: Subject::guest(),
            apis: Vec::new(),
            auth: nocrd_model::AuthMode::default(),
            why: nocrd_proxy_core::NotReady {
                state: "Pulling".into(),
                message: "pulls <image>".into(),
                retry_after: Duration::from_secs(3),
                progress: None,
            },
        },
    );
    let answer = get(gateway.addr, "/route/soon/", &[]).await;
    assert_failure(&answer, 503, "NCR0304", pod.addr);
    assert_eq!(answer.header("retry-after"), Some("3"));
    assert_eq!(answer.json()["message"], "workspace \"soon\" is Pulling: pulls <image>");

    let page = get(gateway.addr, "/route/soon/", &["Accept: text/html,*/*;q=0.8"]).await;
    assert_eq!(
        (page.status, page.header("refresh"), page.header("retry-after")),
        (503, Some("3"), Some("3"))
    );
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.body.contains("pulls &lt;image&gt;") && page.body.contains("<title>"), "{}", page.body);
    let length = page.body.len().to_string();
    let head = send(gateway.addr, "HEAD /route/soon/", &["Accept: text/html"], "").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.as_str()),
        (503, Some(length.as_str()), "")
    );
    assert_eq!(pod.seen(), [""; 0]);
}

#[tokio::test]
async fn d63_d64_a_pod_that_refuses_or_breaks_off_is_a_bad_gateway() {
    let nobody = nobody().await;
    let gateway = Gateway::to(nobody).await;
    assert_failure(&get(gateway.addr, "/route/w/", &[]).await, 502, "NCR0602", nobody);
    let page = get(gateway.addr, "/route/w/", &["Accept: text/html"]).await;
    assert!(page.body.contains("NCR0602") && !page.body.contains("127.0.0.1"), "{}", page.body);

    let silent = Program::raw(|mut wire, _| async move { drop(wire.read_head().await) }).await;
    gateway.directory.add("w", pod_at(silent.addr));
    assert_failure(&get(gateway.addr, "/route/w/", &[]).await, 502, "NCR0602", silent.addr);
    assert_eq!(silent.connections(), 1, "a first connection that breaks is not tried again");

    let half = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\nContent-").await;
    })
    .await;
    gateway.directory.add("w", pod_at(half.addr));
    assert_failure(&get(gateway.addr, "/route/w/", &[]).await, 502, "NCR0602", half.addr);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_the_answer_off() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let answer = get(gateway.addr, "/route/w/", &[]).await;
    assert_eq!(
        (answer.status, answer.header("content-length"), answer.body.as_str()),
        (200, Some("10"), "half")
    );
}

#[tokio::test]
async fn t36_addresses_outside_the_policy_are_not_dialled() {
    let pod = Program::echo().await;
    for addresses in [AddressPolicy::default(), AddressPolicy::new(vec!["10.0.0.0/8".parse().unwrap()])] {
        let gateway = Gateway::with(Config { addresses, ..config() }).await;
        gateway.directory.add("w", pod_at(pod.addr));
        assert_failure(&get(gateway.addr, "/route/w/", &[]).await, 502, "NCR0605", pod.addr);
    }
    assert_eq!(pod.connections(), 0);
}

#[tokio::test]
async fn t41_a_pod_that_does_not_answer_is_a_timeout() {
    let pod = Program::raw(|wire, _| hold(wire.0)).await;
    let gateway =
        Gateway::with(Config { response_timeout: Some(Duration::from_millis(50)), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    assert_failure(&get(gateway.addr, "/route/w/", &[]).await, 504, "NCR0603", pod.addr);
    assert_failure(&send(gateway.addr, "POST /route/w/", &[], "body").await, 504, "NCR0603", pod.addr);
}

#[tokio::test]
async fn t41_a_client_that_stops_sending_is_told_so() {
    let pod = Program::echo().await;
    let gateway =
        Gateway::with(Config { response_timeout: Some(Duration::from_millis(50)), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("POST /route/w/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    let answer = Answer::parse(&wire.read_to_end().await);
    assert_failure(&answer, 408, "NCR0611", pod.addr);
}

#[tokio::test]
async fn t41_a_body_that_stops_is_broken_off() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::with(Config { idle_timeout: Some(Duration::from_millis(50)), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let answer = get(gateway.addr, "/route/w/", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "1\r\na\r\n"));
}

#[tokio::test]
async fn t41_a_pod_that_accepts_no_connection_is_a_timeout() {
    // A listener whose queue is full drops further connection attempts.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
        queued.push(stream.unwrap());
        assert!(queued.len() < 100, "the queue never fills");
    }
    let gateway = Gateway::with(Config { connect_timeout: Duration::from_millis(50), ..config() }).await;
    gateway.directory.add("w", pod_at(addr));
    assert_failure(&get(gateway.addr, "/route/w/", &[]).await, 504, "NCR0603", addr);
}

#[tokio::test]
async fn a_draining_server_takes_nothing_new() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    gateway.drain.start();
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("GET /route/w/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = Answer::parse(&wire.read_to_end().await);
    assert_failure(&answer, 503, "NCR0609", pod.addr);
    assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")));
    soon(gateway.drain.tunnels_closed()).await;
    assert_eq!(pod.connections(), 0);
}
