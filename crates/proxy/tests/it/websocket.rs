//! WebSockets, seen from both ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::{SinkExt as _, StreamExt as _};
use nocrd_proxy_core::{Config, OriginPolicy};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        handshake::server::{Request, Response},
        http::HeaderMap,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::support::{
    Gateway, api,
    client::{Answer, Wire, get, send_raw},
    config,
    pod::{Program, hold},
    pod_at, soon, until,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) fn handshake(path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: gw.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{extra}\r\n"
    )
}

fn agreement() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
}

/// What an echo pod was asked: target and headers of the handshake.
pub(crate) type Asked = mpsc::UnboundedReceiver<(String, HeaderMap)>;

/// A pod that sends every message back, and the handshakes it gets.
pub(crate) async fn echo() -> (Program, Asked) {
    let (ask, asked) = mpsc::unbounded_channel();
    let pod = Program::raw(move |wire, _| {
        let ask = ask.clone();
        async move {
            let callback = |request: &Request, mut response: Response| {
                let _ = ask.send((request.uri().to_string(), request.headers().clone()));
                if let Some(protocols) = request.headers().get("sec-websocket-protocol") {
                    let first = protocols.to_str().unwrap().split(',').next().unwrap();
                    response.headers_mut().insert("sec-websocket-protocol", first.parse().unwrap());
                }
                Ok(response)
            };
            let Ok(mut socket) = accept_hdr_async(wire.0, callback).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    let _ = socket.send(message).await;
                }
            }
        }
    })
    .await;
    (pod, asked)
}

pub(crate) async fn open(
    gateway: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://gw.example{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (socket, _) = soon(client_async(request, stream)).await.unwrap();
    socket
}

pub(crate) async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    soon(socket.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn messages_of_all_kinds_and_sizes_come_back() {
    let (pod, _) = echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let mut socket = open(gateway.addr, "/route/w/ws", &[]).await;
    let big: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    for message in [
        Message::text("hello"),
        Message::text(""),
        Message::binary(vec![0xff, 0xfe, 0x00, 0x81]),
        Message::binary(big),
        Message::text("x".repeat(1 << 20)),
    ] {
        soon(socket.send(message.clone())).await.unwrap();
        assert!(next(&mut socket).await == message, "{} bytes", message.len());
    }
    soon(socket.send(Message::Ping("p".into()))).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("p".into()));
    let close = CloseFrame { code: CloseCode::Library(4321), reason: "done".into() };
    soon(socket.close(Some(close.clone()))).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Close(Some(close)));
    until(|| gateway.drain.open_tunnels() == 0).await;
}

#[tokio::test]
async fn many_messages_under_way_at_once_keep_their_order() {
    let (pod, _) = echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let (mut send, mut receive) = open(gateway.addr, "/route/w/", &[]).await.split();
    let count = 2000;
    tokio::spawn(async move {
        for n in 0..count {
            send.send(Message::binary(vec![n as u8; n % 5000])).await.unwrap();
        }
        send
    });
    for n in 0..count {
        let message = soon(receive.next()).await.unwrap().unwrap();
        assert!(message.into_data() == vec![n as u8; n % 5000], "{n}");
    }
}

#[tokio::test]
async fn t32_t29_the_handshake_is_cleaned_like_any_request() {
    let (pod, mut asked) = echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let socket = open(
        gateway.addr,
        "/route/w/a//b?q=%20",
        &[
            ("cookie", "nocr_sess=evil; a=1"),
            ("x-user-sub", "evil"),
            ("x_user_sub", "evil"),
            ("x-forwarded-for", "evil"),
            ("origin", "http://gw.example"),
            ("sec-websocket-protocol", "one, two"),
        ],
    )
    .await;
    let (target, headers) = soon(asked.recv()).await.unwrap();
    assert_eq!(target, "/a//b?q=%20");
    assert!(!format!("{headers:?}").contains("evil"), "{headers:?}");
    for (name, value) in [
        ("cookie", "a=1"),
        ("host", "gw.example"),
        ("origin", "http://gw.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-prefix", "/route/w"),
        ("sec-websocket-protocol", "one, two"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
    ] {
        assert_eq!(headers[name], value);
    }
    drop(socket);
}

#[tokio::test]
async fn apis_and_subfolders_work_the_same_as_for_requests() {
    let ((main, mut asked_main), (term, mut asked_term)) = (echo().await, echo().await);
    let gateway = Gateway::with(config()).await;
    let mut pod = pod_at(main.addr);
    pod.apis = vec![api("t", term.addr.port(), "/term")];
    pod.subfolder = true;
    gateway.directory.add("w", pod);
    drop(open(gateway.addr, "/route/w/ws?x", &[]).await);
    assert_eq!(soon(asked_main.recv()).await.unwrap().0, "/route/w/ws?x");
    drop(open(gateway.addr, "/route/w", &[]).await);
    assert_eq!(soon(asked_main.recv()).await.unwrap().0, "/route/w/");
    drop(open(gateway.addr, "/route/w/term/ws", &[]).await);
    assert_eq!(soon(asked_term.recv()).await.unwrap().0, "/ws");
}

#[tokio::test]
async fn d44_bytes_that_come_with_the_handshake_are_not_lost() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        // A frame in the same packet as the agreement, with bytes that are no text.
        wire.write([agreement().as_bytes(), b"\x82\x02\xff\xfe"].concat()).await;
        let early = wire.read(7).await;
        assert_eq!(early, b"\x81\x81\0\0\0\0e");
        wire.write(b"\x81\x01E").await;
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write([handshake("/route/w/", "").as_bytes(), b"\x81\x81\0\0\0\0e"].concat()).await;
    let answer = Answer::parse(wire.read_head().await.as_bytes());
    assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some(ACCEPT)));
    assert_eq!((answer.header("connection"), answer.header("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!(wire.read(7).await, b"\x82\x02\xff\xfe\x81\x01E");
}

#[tokio::test]
async fn t37_d88_a_refusal_is_an_ordinary_answer_and_opens_no_tunnel() {
    let requests = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let pod = Program::raw(move |mut wire, _| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let head = wire.read_head().await;
                seen.lock().unwrap().push(head);
                wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nSet-Cookie: nocr_sess=x\r\nx-why: no\r\n\r\nno").await;
            }
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let smuggled =
        "GET /route/w/second HTTP/1.1\r\nHost: gw.example\r\nX-User-Sub: evil\r\nConnection: close\r\n\r\n";
    let answers = send_raw(gateway.addr, [handshake("/route/w/first", "").as_str(), smuggled].concat()).await;
    let text = String::from_utf8_lossy(&answers);
    assert_eq!(text.matches("HTTP/1.1 403").count(), 2, "{text}");
    assert!(text.contains("x-why: no") && !text.contains("nocr_sess"), "{text}");
    // The second was a request of its own, with everything that belongs to one.
    let requests = requests.lock().unwrap();
    assert!(requests[1].starts_with("GET /second HTTP/1.1") && !requests[1].contains("evil"), "{requests:?}");
    assert_eq!(gateway.drain.open_tunnels(), 0);
}

#[tokio::test]
async fn t37_a_false_agreement_is_a_bad_gateway() {
    for (answer, status, code) in [
        (agreement().replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), 502, "NCR0604"),
        (agreement().replace("Upgrade: websocket", "Upgrade: h2c"), 502, "NCR0604"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(), 502, "NCR0604"),
        ("garbage\r\n\r\n".to_owned(), 502, "NCR0604"),
        (String::new(), 502, "NCR0602"),
    ] {
        let shown = answer.clone();
        let pod = Program::raw(move |mut wire, _| {
            let answer = answer.clone();
            async move {
                wire.read_head().await;
                wire.write(&answer).await;
                if !answer.is_empty() {
                    hold(wire.0).await;
                }
            }
        })
        .await;
        let gateway = Gateway::to(pod.addr).await;
        let request = handshake("/route/w/", "").replace("Connection: Upgrade", "Connection: Upgrade, close");
        let answer = Answer::parse(&send_raw(gateway.addr, request).await);
        assert_eq!((answer.status, answer.json()["code"].as_str().unwrap()), (status, code), "{shown:?}");
        assert_eq!(gateway.drain.open_tunnels(), 0);
    }
}

#[tokio::test]
async fn d64_a_pod_that_does_not_answer_a_handshake_is_a_timeout() {
    let pod = Program::raw(|wire, _| hold(wire.0)).await;
    let gateway =
        Gateway::with(Config { response_timeout: Some(Duration::from_millis(50)), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", "")).await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 504"));
    let free = pod_at(std::net::SocketAddr::new(crate::support::loopback(1), 1));
    gateway.directory.add("refuses", free);
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/refuses/", "")).await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 502"));
}

#[tokio::test]
async fn t37_other_upgrades_are_not_passed_on() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    for upgrade in ["h2c", "TLS/1.0", "foo"] {
        let headers = [
            &format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}"),
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ];
        let echo = get(gateway.addr, "/route/w/x", &headers).await.json();
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(crate::support::pod::told(&echo, name).is_empty(), "{upgrade}: {echo}");
        }
    }
    let malformed = [
        handshake("/route/w/", "").replacen("GET", "POST", 1),
        handshake("/route/w/", "").replace("Version: 13", "Version: 8"),
        handshake("/route/w/", "").replace(KEY, "short"),
        handshake("/route/w/", "Content-Length: 1\r\n") + "x",
    ];
    for request in malformed {
        let request = request.replace("Connection: Upgrade", "Connection: Upgrade, close");
        let answer = Answer::parse(&send_raw(gateway.addr, &request).await);
        assert_eq!((answer.status, &answer.json()["code"]), (400, &"NCR0608".into()), "{request}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    }
    assert_eq!(pod.seen().len(), 3);
}

#[tokio::test]
async fn t21_pages_of_other_sites_open_nothing() {
    let (pod, _) = echo().await;
    let gateway = Gateway::to(pod.addr).await;
    for origin in ["http://evil.example", "null", "http://gw.example:81", "http://gw.example.evil.example"] {
        let request = handshake("/route/w/", &format!("Origin: {origin}\r\n"))
            .replace("Connection: Upgrade", "Connection: Upgrade, close");
        let answer = Answer::parse(&send_raw(gateway.addr, request).await);
        assert_eq!((answer.status, &answer.json()["code"]), (403, &"NCR0405".into()), "{origin}");
    }
    assert_eq!(pod.connections(), 0);
    drop(open(gateway.addr, "/route/w/", &[("origin", "https://gw.example")]).await);

    let strict = OriginPolicy { allow_missing: false, ..OriginPolicy::default() };
    let gateway = Gateway::with(Config { origins: strict, ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let request = handshake("/route/w/", "").replace("Connection: Upgrade", "Connection: Upgrade, close");
    assert_eq!(Answer::parse(&send_raw(gateway.addr, request).await).status, 403);
}

#[tokio::test]
async fn t42_no_more_tunnels_than_allowed() {
    let (pod, _) = echo().await;
    let gateway = Gateway::with(Config { max_tunnels: 1, ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let first = open(gateway.addr, "/route/w/", &[]).await;
    let request = handshake("/route/w/", "").replace("Connection: Upgrade", "Connection: Upgrade, close");
    let answer = Answer::parse(&send_raw(gateway.addr, request).await);
    assert_eq!((answer.status, &answer.json()["code"]), (503, &"NCR0612".into()));
    drop(first);
    until(|| gateway.drain.open_tunnels() == 0).await;
    drop(open(gateway.addr, "/route/w/", &[]).await);
}

#[tokio::test]
async fn t42_a_tunnel_without_traffic_ends() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write(agreement()).await;
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::with(Config { idle_timeout: Some(Duration::from_millis(50)), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", "")).await;
    wire.read_head().await;
    assert_eq!(wire.read_to_end().await, b"");
    until(|| gateway.drain.open_tunnels() == 0).await;
}

#[tokio::test]
async fn one_side_may_end_before_the_other() {
    // The pod sends its last message and ends; what the client sends until it ends too is thrown away.
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write([agreement().as_bytes(), b"\x81\x04last"].concat()).await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", "")).await;
    wire.read_head().await;
    assert_eq!(wire.read_to_end().await, b"\x81\x04last");
    drop(wire);
    until(|| gateway.drain.open_tunnels() == 0).await;

    // The client ends; the pod still answers what it got.
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write(agreement()).await;
        let all = wire.read_to_end().await;
        wire.write(all).await;
    })
    .await;
    gateway.directory.add("w", pod_at(pod.addr));
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", "")).await;
    wire.read_head().await;
    wire.write("frames").await;
    tokio::io::AsyncWriteExt::shutdown(&mut wire.0).await.unwrap();
    assert_eq!(wire.read_to_end().await, b"frames");
    until(|| gateway.drain.open_tunnels() == 0).await;
}

#[tokio::test]
async fn draining_says_going_away_to_both_sides() {
    let (heard, mut closes) = mpsc::unbounded_channel();
    let pod = Program::raw(move |wire, _| {
        let heard = heard.clone();
        async move {
            let mut socket = tokio_tungstenite::accept_async(wire.0).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                heard.send(message).unwrap();
            }
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut socket = open(gateway.addr, "/route/w/", &[]).await;
    soon(socket.send(Message::text("hello"))).await.unwrap();
    assert_eq!(soon(closes.recv()).await.unwrap(), Message::text("hello"));
    gateway.drain.start();
    let away = |message: Message| match message {
        Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Away),
        other => panic!("{other:?}"),
    };
    away(next(&mut socket).await);
    away(soon(closes.recv()).await.unwrap());
    assert!(soon(socket.next()).await.is_none());
    soon(gateway.drain.tunnels_closed()).await;
}

#[tokio::test]
async fn draining_lets_a_frame_in_flight_through_first() {
    let (more, go) = tokio::sync::oneshot::channel::<()>();
    let go = Arc::new(tokio::sync::Mutex::new(Some(go)));
    let pod = Program::raw(move |mut wire, _| {
        let go = Arc::clone(&go);
        async move {
            wire.read_head().await;
            wire.write([agreement().as_bytes(), b"\x81\x0ahalf "].concat()).await;
            go.lock().await.take().unwrap().await.unwrap();
            // The rest, and a frame that comes too late.
            wire.write(b"whole\x81\x04late").await;
            hold(wire.0).await;
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let mut wire = Wire(stream);
    wire.write(handshake("/route/w/", "")).await;
    wire.read_head().await;
    assert_eq!(wire.read(7).await, b"\x81\x0ahalf ");
    gateway.drain.start();
    more.send(()).unwrap();
    assert_eq!(wire.read_to_end().await, b"whole\x88\x02\x03\xe9");
    drop(wire);
    soon(gateway.drain.tunnels_closed()).await;
}

#[tokio::test]
async fn draining_does_not_wait_for_those_who_never_answer() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write([agreement().as_bytes(), b"\x81\x0ahalf "].concat()).await;
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::with(Config { close_timeout: Duration::from_millis(50), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", "")).await;
    wire.read_head().await;
    wire.read(7).await;
    gateway.drain.start();
    // The frame is never completed: no farewell is put into it.
    assert_eq!(wire.read_to_end().await, b"");
    soon(gateway.drain.tunnels_closed()).await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_sender_down() {
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let pod = Program::raw(move |mut wire, _| {
        let sent = Arc::clone(&count);
        async move {
            wire.read_head().await;
            wire.write(agreement()).await;
            let frame = [&b"\x82\x7e\x40\x00"[..], &[7; 0x4000]].concat();
            while tokio::io::AsyncWriteExt::write_all(&mut wire.0, &frame).await.is_ok() {
                sent.fetch_add(frame.len(), std::sync::atomic::Ordering::SeqCst);
            }
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", "")).await;
    wire.read_head().await;
    let now = || sent.load(std::sync::atomic::Ordering::SeqCst);
    let (mut last, mut still) = (0, 0);
    soon(async {
        while still < 500 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            still = if now() == last { still + 1 } else { 0 };
            last = now();
        }
    })
    .await;
    assert!(last < 64 << 20, "{} MiB were taken", last >> 20);
    // It goes on as soon as it is read.
    let first = wire.read(1 << 20).await;
    assert_eq!(&first[..5], b"\x82\x7e\x40\x00\x07");
    drop(wire);
    until(|| gateway.drain.open_tunnels() == 0).await;
}

#[tokio::test]
async fn http_2_websockets_are_refused_clearly() {
    use http_body_util::{BodyExt as _, Empty};
    let (pod, _) = echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(gateway.addr).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = hyper::Request::new(Empty::<bytes::Bytes>::new());
    *request.method_mut() = hyper::Method::CONNECT;
    *request.uri_mut() = "http://gw.example/route/w/".parse().unwrap();
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    // The server does not announce RFC 8441, so the protocol itself may end the attempt; if it reaches us, we say why.
    if let Ok(answer) = soon(sender.send_request(request)).await {
        assert_eq!(answer.status(), 400);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("NCR0608"), "{body:?}");
    }
    assert_eq!(pod.connections(), 0);
}

#[test]
fn the_test_client_takes_messages_of_a_mebibyte() {
    // Otherwise the echo test would not show what it is meant to.
    assert!(WebSocketConfig::default().max_message_size.is_none_or(|size| size > 1 << 20));
}
