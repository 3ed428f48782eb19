//! The finer points of an exchange: early answers, waiting for permission, pipelining, and clients that go away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::support::{
    Gateway,
    client::{Answer, Wire, get},
    pattern::{Pattern, bytes},
    pod::{Program, hold, text},
    soon, until,
    versions::Client,
};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let pod = Program::http(|request| async move {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text([path.as_bytes(), b":", &body, b"\n"].concat())
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    let (mut requests, mut expected) = (String::new(), String::new());
    for n in 0..30 {
        let body = "x".repeat(n);
        let framed = match n % 3 {
            0 => "\r\n".to_owned(),
            1 => format!("Content-Length: {n}\r\n\r\n{body}"),
            _ => format!("Transfer-Encoding: chunked\r\n\r\n{n:x}\r\n{body}\r\n0\r\n\r\n"),
        };
        requests.push_str(&format!("POST /route/w/{n} HTTP/1.1\r\nHost: a\r\n{framed}"));
        expected.push_str(&format!("/{n}:{}\n", if n % 3 == 0 { "" } else { &body }));
    }
    wire.write(&requests).await;
    let mut got = String::new();
    while got.len() < expected.len() {
        let head = Answer::parse(wire.read_head().await.as_bytes());
        assert_eq!(head.status, 200);
        let length = head.header("content-length").unwrap().parse().unwrap();
        got.push_str(&String::from_utf8(wire.read(length).await).unwrap());
    }
    assert_eq!(got, expected);
}

/// A pod that answers 413 once it has the head, and ends the connection with the body unread in it.
async fn full() -> Program {
    Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull")
            .await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_is_not_lost_when_the_pod_closes_on_the_upload() {
    let pod = full().await;
    let gateway = Gateway::to(pod.addr).await;
    let body = bytes(4 << 20);
    for n in 0..60 {
        let stream = tokio::net::TcpStream::connect(gateway.addr).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let body = body.clone();
        let upload = tokio::spawn(async move {
            let head =
                format!("POST /route/w/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
            // Nobody has to take it all.
            let _ = write.write_all(head.as_bytes()).await;
            let _ = write.write_all(&body).await;
            write
        });
        let mut answer = Vec::new();
        soon(async {
            while !answer.ends_with(b"full") {
                match read.read_u8().await {
                    Ok(byte) => answer.push(byte),
                    Err(error) => panic!("{n}: {error} after {:?}", String::from_utf8_lossy(&answer)),
                }
            }
        })
        .await;
        assert!(answer.starts_with(b"HTTP/1.1 413 "), "{n}: {}", String::from_utf8_lossy(&answer));
        upload.abort();
    }
}

#[tokio::test]
async fn an_early_answer_ends_only_its_own_stream_of_http_2() {
    let pod = full().await;
    let gateway = Gateway::to(pod.addr).await;
    let mut client = Client::http2(gateway.addr).await;
    for _ in 0..10 {
        let answer = client.send("POST", "/route/w/", Pattern::new(4 << 20, true)).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(soon(answer.into_body().collect()).await.unwrap().to_bytes(), "full");
    }
}

const EXPECTING: &str =
    "POST /route/w/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

#[tokio::test]
async fn t39_a_pod_gives_permission_to_send_the_body() {
    let (permit, permitted) = tokio::sync::oneshot::channel::<()>();
    let permitted = Arc::new(tokio::sync::Mutex::new(Some(permitted)));
    let pod = Program::raw(move |mut wire, _| {
        let permitted = Arc::clone(&permitted);
        async move {
            let head = wire.read_head().await;
            assert!(head.contains("expect: 100-continue\r\n"), "{head}");
            permitted.lock().await.take().unwrap().await.unwrap();
            wire.write("HTTP/1.1 100 Continue\r\n\r\n").await;
            assert_eq!(wire.read(4).await, b"body");
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            hold(wire.0).await;
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(EXPECTING).await;
    until(|| pod.connections() == 1).await;
    permit.send(()).unwrap();
    assert_eq!(wire.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.write("body").await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(wire.read(2).await, b"ok");
}

#[tokio::test]
async fn t39_a_pod_refuses_a_body_before_it_is_sent() {
    let bodies = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bodies);
    let pod = Program::raw(move |mut wire, _| {
        let bodies = Arc::clone(&counted);
        async move {
            let head = wire.read_head().await;
            if head.starts_with("GET") {
                wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext").await;
                return hold(wire.0).await;
            }
            wire.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno").await;
            let mut rest = Vec::new();
            let _ = wire.0.read_to_end(&mut rest).await;
            bodies.fetch_add(1 + rest.len(), SeqCst);
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(EXPECTING).await;
    let head = wire.read_head().await;
    assert!(head.starts_with("HTTP/1.1 417 "), "no permission was given: {head}");
    assert_eq!(wire.read(2).await, b"no");
    // The client never sends the body, and nobody goes on waiting for it: neither on this connection, nor on the pod's.
    assert_eq!(wire.read_to_end().await, b"");
    until(|| bodies.load(SeqCst) == 1).await;
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.body, "next");
}

#[tokio::test]
async fn t39_a_pod_that_knows_no_permissions_gets_the_body_soon() {
    let pod = Program::raw(|mut wire, _| async move {
        loop {
            wire.read_head().await;
            assert_eq!(wire.read(4).await, b"body");
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(EXPECTING).await;
    assert_eq!(wire.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.write("body").await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(wire.read(2).await, b"ok");

    // One that does not wait to be permitted is not made to wait either.
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(format!("{EXPECTING}body")).await;
    let answer = wire.read_until(b"ok").await;
    assert!(String::from_utf8_lossy(&answer).contains("HTTP/1.1 200 "));
}

/// A pod that reads what comes, tells how much, and tells when its connection has ended.
async fn listener(first: &'static str) -> (Program, Arc<AtomicU64>, mpsc::UnboundedReceiver<()>) {
    let (gone, heard) = mpsc::unbounded_channel();
    let read = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&read);
    let pod = Program::raw(move |mut wire, _| {
        let (gone, read) = (gone.clone(), Arc::clone(&count));
        async move {
            wire.read_head().await;
            wire.write(first).await;
            let mut sink = vec![0; 10_000];
            while let Ok(more @ 1..) = wire.0.read(&mut sink).await {
                read.fetch_add(more as u64, SeqCst);
            }
            gone.send(()).unwrap();
        }
    })
    .await;
    (pod, read, heard)
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_uploads_ends_the_request_to_the_pod() {
    for framing in ["Content-Length: 100\r\n\r\nsome", "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"] {
        let (pod, read, mut gone) = listener("").await;
        let gateway = Gateway::to(pod.addr).await;
        for reset in [false, true] {
            let before = read.load(SeqCst);
            let mut wire = Wire::connect(gateway.addr).await;
            wire.write(format!("POST /route/w/ HTTP/1.1\r\nHost: a\r\n{framing}")).await;
            until(|| read.load(SeqCst) >= before + 4).await;
            if reset {
                wire.0.set_zero_linger().unwrap();
            }
            drop(wire);
            soon(gone.recv()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_stream_of_http_2_that_is_reset_ends_the_request_to_the_pod() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let (pod, read, mut gone) = listener(half).await;
    let gateway = Gateway::to(pod.addr).await;
    let Client::Http2(sender) = Client::http2(gateway.addr).await else { unreachable!() };

    // In the midst of the answer.
    let mut client = Client::Http2(sender.clone());
    let mut answer = client.send("GET", "/route/w/", Empty::<Bytes>::new()).await.into_body();
    assert_eq!(soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), "half");
    drop(answer);
    soon(gone.recv()).await.unwrap();

    // In the midst of the request.
    let (send, body) = mpsc::unbounded_channel::<Result<Frame<Bytes>, &'static str>>();
    let body = futures::stream::unfold(body, |mut body| async move { Some((body.recv().await?, body)) });
    let mut client = Client::Http2(sender.clone());
    let request =
        tokio::spawn(async move { client.send("POST", "/route/w/", StreamBody::new(Box::pin(body))).await });
    send.send(Ok(Frame::data("some".into()))).unwrap();
    until(|| read.load(SeqCst) >= 4).await;
    send.send(Err("enough")).unwrap();
    soon(gone.recv()).await.unwrap();
    request.abort();

    // The connection is still good.
    let mut client = Client::Http2(sender);
    assert_eq!(client.send("GET", "/route/w/", Empty::<Bytes>::new()).await.status(), 200);
}

#[tokio::test]
async fn t43_a_pod_that_does_not_read_stops_the_client() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        // Holds the connection, and reads nothing of the body.
        std::future::pending::<()>().await;
        drop(wire);
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("POST /route/w/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n").await;
    let piece = vec![0; 64 << 10];
    let mut taken = 0;
    // It stands still once nothing was taken for a while.
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), wire.0.write(&piece)).await {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "{} MiB were taken", taken >> 20);
    }
    assert!(taken > 0);
}

#[tokio::test]
async fn t39_trailers_pass_both_ways_over_http_2_too() {
    let pod = Program::raw(|mut wire, _| async move {
        let request = wire.read_until(b"\r\nx-sum: 1\r\n\r\n").await;
        let request = String::from_utf8_lossy(&request).into_owned();
        assert!(request.contains("\r\nte: trailers\r\n") && !request.contains("evil"), "{request}");
        wire.write(
            "HTTP/1.1 200 OK\r\nTrailer: grpc-status\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\
             grpc-status: 0\r\nset-cookie: nocr_sess=evil\r\nclear-site-data: \"*\"\r\n\r\n",
        )
        .await;
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut client = Client::http2(gateway.addr).await;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-user-sub", "evil".parse().unwrap());
    trailers.insert("x-sum", "1".parse().unwrap());
    let frames =
        [Ok::<_, std::convert::Infallible>(Frame::data("abc".into())), Ok(Frame::trailers(trailers))];
    let answer = client.send("POST", "/route/w/", StreamBody::new(futures::stream::iter(frames))).await;
    assert_eq!(answer.status(), 200);
    let answer = soon(answer.into_body().collect()).await.unwrap();
    let trailers = answer.trailers().unwrap().clone();
    assert_eq!((trailers.len(), &trailers["grpc-status"]), (1, &"0".parse().unwrap()));
    assert_eq!(answer.to_bytes(), "hi");
}
