//! Connections to pods serve more than one request, but never another pod's.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use nocrd_proxy_core::Config;

use crate::{
    support::{
        Gateway,
        client::{Answer, Wire, get, send, send_raw},
        config,
        pod::{Program, hold, text, told},
        pod_at, until,
    },
    websocket::{echo, handshake, open},
};

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    for method in ["GET", "POST", "HEAD", "DELETE"] {
        let answer =
            send(gateway.addr, &format!("{method} /route/w/"), &[], if method == "HEAD" { "" } else { "b" })
                .await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!((pod.seen().len(), pod.connections()), (4, 1));
}

#[tokio::test]
async fn of_two_that_serve_alone_each_has_its_own_and_limits_are_shared() {
    let (pod, _) = echo().await;
    let one = Gateway::with(Config { max_tunnels: 1, ..config() }).await;
    one.directory.add("w", pod_at(pod.addr));
    let other = one.beside().await;
    let tunnel = open(one.addr, "/route/w/", &[]).await;
    let request = handshake("/route/w/", "").replace("Connection: Upgrade", "Connection: Upgrade, close");
    let refused = Answer::parse(&send_raw(other.addr, request).await);
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"NCR0612".into()));
    drop(tunnel);
    one.drain.start();
    assert_eq!(get(other.addr, "/route/w/", &[]).await.status, 503);

    let pod = Program::echo().await;
    let one = Gateway::to(pod.addr).await;
    let other = one.beside().await;
    for gateway in [&one, &other, &one, &other] {
        assert_eq!(get(gateway.addr, "/route/w/", &[]).await.status, 200);
    }
    assert_eq!((pod.seen().len(), pod.connections()), (4, 2));
}

#[tokio::test]
async fn without_keep_alive_each_request_has_its_own() {
    let pod = Program::echo().await;
    let gateway = Gateway::with(Config { keep_alive: false, ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    for _ in 0..3 {
        let echo = get(gateway.addr, "/route/w/", &[]).await.json();
        assert_eq!(told(&echo, "connection"), ["close"]);
    }
    assert_eq!(pod.connections(), 3);
}

#[tokio::test]
async fn t36_a_recycled_address_does_not_inherit_connections() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    get(gateway.addr, "/route/w/", &[]).await;
    get(gateway.addr, "/route/w/", &[]).await;
    assert_eq!(pod.connections(), 1);
    let mut other = pod_at(pod.addr);
    other.uid = "uid-2".into();
    gateway.directory.add("other", other);
    get(gateway.addr, "/route/other/", &[]).await;
    assert_eq!(pod.connections(), 2);
    get(gateway.addr, "/route/other/", &[]).await;
    assert_eq!(pod.connections(), 2);
    // Nor does the first pod get the second one's.
    get(gateway.addr, "/route/w/", &[]).await;
    assert_eq!(pod.connections(), 3);
}

#[tokio::test]
async fn an_answer_that_was_not_read_to_its_end_takes_its_connection_along() {
    let pod = Program::http(|_| async { text(vec![b'x'; 8 << 20]) }).await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("GET /route/w/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.read(1000).await;
    drop(wire);
    let answer = get(gateway.addr, "/route/w/", &[]).await;
    assert_eq!(answer.body.len(), 8 << 20);
    assert_eq!(pod.connections(), 2);
}

/// A pod that answers the first request of each connection and breaks off at the second, and counts the requests.
async fn breaks_at_the_second() -> (Program, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let pod = Program::raw(move |mut wire, _| {
        let count = Arc::clone(&count);
        async move {
            wire.read_head().await;
            count.fetch_add(1, SeqCst);
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            wire.read_head().await;
            count.fetch_add(1, SeqCst);
        }
    })
    .await;
    (pod, requests)
}

#[tokio::test]
async fn a_request_that_may_be_repeated_is_tried_once_more() {
    let (pod, requests) = breaks_at_the_second().await;
    let gateway = Gateway::to(pod.addr).await;
    for method in ["GET", "OPTIONS", "DELETE", "PUT"] {
        let answer = send(gateway.addr, &format!("{method} /route/w/"), &[], "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{method}");
    }
    // The first fails nowhere; each later one fails once.
    assert_eq!((requests.load(SeqCst), pod.connections()), (7, 4));
}

#[tokio::test]
async fn a_request_that_may_not_be_repeated_is_not() {
    let (pod, requests) = breaks_at_the_second().await;
    let gateway = Gateway::to(pod.addr).await;
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.status, 200);
    assert_eq!(send(gateway.addr, "POST /route/w/", &[], "").await.status, 502);
    assert_eq!((requests.load(SeqCst), pod.connections()), (2, 1));
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.status, 200);
    assert_eq!(send(gateway.addr, "PUT /route/w/", &[], "body").await.status, 502);
    assert_eq!(requests.load(SeqCst), 4);
}

#[tokio::test]
async fn d48_a_503_of_a_pod_is_its_answer_and_asked_for_once() {
    let pod = Program::http(|_| async {
        let mut answer = text("later");
        *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        answer.headers_mut().insert("retry-after", "120".parse().unwrap());
        answer
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    for count in 1..=2 {
        let answer = get(gateway.addr, "/route/w/", &[]).await;
        let told = (answer.status, answer.header("retry-after"), answer.body.as_str());
        assert_eq!((told, pod.seen().len()), ((503, Some("120"), "later"), count));
    }
}

#[tokio::test]
async fn a_connection_that_the_pod_closed_is_not_used() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let pod = Program::raw(move |mut wire, _| {
        let count = Arc::clone(&count);
        async move {
            wire.read_head().await;
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            drop(wire);
            count.fetch_add(1, SeqCst);
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    assert_eq!(send(gateway.addr, "POST /route/w/", &[], "").await.status, 200);
    until(|| closed.load(SeqCst) == 1).await;
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.status, 200);
    assert_eq!(pod.connections(), 2);
}

#[tokio::test]
async fn t35_bytes_after_an_answer_are_no_answer_to_the_next_request() {
    let pod = Program::raw(|mut wire, n| async move {
        wire.read_head().await;
        if n == 0 {
            // Two answers to one request.
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged").await;
        } else {
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo").await;
        }
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.body, "one");
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.body, "two");
}
