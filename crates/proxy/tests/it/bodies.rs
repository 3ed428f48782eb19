//! Bodies of all sizes arrive whole, whichever way and however they are framed.

use http_body_util::{BodyExt as _, Empty};
use hyper::Response;

use crate::support::{
    Gateway,
    client::{Answer, send_raw},
    pattern::{Pattern, verify},
    pod::{Program, text},
    soon,
    versions::Client,
};

const SIZES: [u64; 7] = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 1 << 20, (5 << 20) + 7];

/// A pod that sends as many bytes as the query says, counts what it is sent, or sends it back as it comes.
async fn pod() -> Program {
    Program::http(|request| async move {
        let size = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or_default();
        match request.uri().path() {
            "/sized" => Response::new(Pattern::new(size, true).boxed()),
            "/chunked" => Response::new(Pattern::new(size, false).boxed()),
            "/count" => {
                let framing = request.headers().contains_key("content-length");
                text(format!("{} {framing}", soon(verify(request.into_body())).await))
            }
            // An upload that breaks off breaks the answer off.
            _ => Response::new(request.into_body().map_err(|error| panic!("{error}")).boxed()),
        }
    })
    .await
}

#[tokio::test]
async fn downloads_of_all_sizes() {
    let pod = pod().await;
    let gateway = Gateway::to(pod.addr).await;
    for mut client in Client::both(gateway.addr).await {
        for size in SIZES {
            for (path, length) in [("sized", Some(size)), ("chunked", None)] {
                let answer = client.send("GET", &format!("/route/w/{path}?{size}"), Empty::new()).await;
                let told = answer.headers().get("content-length").map(|length| length.to_str().unwrap());
                assert_eq!(told, length.map(|size| size.to_string()).as_deref(), "{}", client.name());
                assert_eq!(soon(verify(answer.into_body())).await, size, "{} {path}", client.name());
            }
        }
    }
    assert_eq!(pod.connections(), 1, "all were read to their end");
}

#[tokio::test]
async fn uploads_of_all_sizes() {
    let pod = pod().await;
    let gateway = Gateway::to(pod.addr).await;
    for mut client in Client::both(gateway.addr).await {
        for size in SIZES {
            for sized in [true, false] {
                let answer = client.send("POST", "/route/w/count", Pattern::new(size, sized)).await;
                let told = answer.into_body().collect().await.unwrap().to_bytes();
                let told = String::from_utf8_lossy(&told).into_owned();
                assert_eq!(told, format!("{size} {sized}"), "{}", client.name());
            }
        }
    }
}

#[tokio::test]
async fn both_ways_at_once() {
    let pod = pod().await;
    let gateway = Gateway::to(pod.addr).await;
    for mut client in Client::both(gateway.addr).await {
        for size in SIZES {
            for sized in [true, false] {
                let answer = client.send("POST", "/route/w/echo", Pattern::new(size, sized)).await;
                assert_eq!(soon(verify(answer.into_body())).await, size, "{} {sized}", client.name());
            }
        }
    }
}

#[tokio::test]
async fn many_streams_of_one_connection_are_not_mixed_up() {
    let pod = pod().await;
    let gateway = Gateway::to(pod.addr).await;
    let Client::Http2(sender) = Client::http2(gateway.addr).await else { unreachable!() };
    let all = (0..40).map(|n| {
        let mut client = Client::Http2(sender.clone());
        async move {
            let size = n * 10_007;
            let answer = client.send("POST", "/route/w/echo", Pattern::new(size, n % 2 == 0)).await;
            assert_eq!(soon(verify(answer.into_body())).await, size);
        }
    });
    futures::future::join_all(all).await;
}

#[tokio::test]
async fn d62_a_text_is_a_body_like_any_other() {
    let pod = Program::http(|request| async move {
        let kind = request.headers()["content-type"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text(format!("{kind}, {} bytes, unchanged: {}", body.len(), body.iter().all(|byte| *byte == 0xff)))
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let (size, kind) = ((1 << 20) + 1, "text/plain; charset=iso-8859-1");
    let mut request = format!(
        "POST /route/w/ HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + size, 0xff);
    let answer = Answer::parse(&send_raw(gateway.addr, request).await);
    assert_eq!((answer.status, answer.body), (200, format!("{kind}, {size} bytes, unchanged: true")));
}
