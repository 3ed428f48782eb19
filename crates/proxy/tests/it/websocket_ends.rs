//! What is agreed on when a WebSocket opens, and how each side learns that it has ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use tokio::{io::AsyncWriteExt as _, sync::mpsc};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{
    support::{
        Gateway,
        client::{Answer, Wire},
        frames::{BINARY, FIN, TEXT, masked, plain},
        pod::{Program, hold},
        soon, until,
    },
    websocket::{ACCEPT, handshake, next, open},
};

/// A pod that agrees to a WebSocket with these headers too, and then does as `then` says.
async fn agreeing<F, Fut>(headers: &'static str, then: F) -> (Program, mpsc::UnboundedReceiver<String>)
where
    F: Fn(Wire) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (ask, asked) = mpsc::unbounded_channel();
    let pod = Program::raw(move |mut wire, _| {
        let (ask, then) = (ask.clone(), then.clone());
        async move {
            let _ = ask.send(wire.read_head().await);
            let agreement = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {ACCEPT}\r\n{headers}\r\n"
            );
            wire.write(agreement).await;
            then(wire).await;
        }
    })
    .await;
    (pod, asked)
}

async fn shake_hands(gateway: &Gateway, headers: &str) -> (Wire, Answer) {
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", headers)).await;
    let answer = Answer::parse(wire.read_head().await.as_bytes());
    assert_eq!(answer.status, 101);
    (wire, answer)
}

#[tokio::test]
async fn subprotocols_are_for_the_two_ends_to_agree_on() {
    for (offered, chosen) in [
        ("Sec-WebSocket-Protocol: one, two\r\n", "Sec-WebSocket-Protocol: two\r\n"),
        ("Sec-WebSocket-Protocol: one, two\r\n", ""),
        ("Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: two\r\n", "Sec-WebSocket-Protocol: one\r\n"),
        // It is for the client to refuse what it did not offer (RFC 6455, 4.1).
        ("Sec-WebSocket-Protocol: one\r\n", "Sec-WebSocket-Protocol: three\r\n"),
        ("", ""),
    ] {
        let (pod, mut asked) = agreeing(chosen, |wire| hold(wire.0)).await;
        let gateway = Gateway::to(pod.addr).await;
        let (_wire, answer) = shake_hands(&gateway, offered).await;
        let expected = chosen.trim().split_once(": ").map(|(_, value)| value);
        assert_eq!(answer.header("sec-websocket-protocol"), expected);
        let asked = soon(asked.recv()).await.unwrap();
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().map(str::to_ascii_lowercase);
            lines.filter(|line| line.starts_with("sec-websocket-protocol")).collect()
        };
        assert_eq!(lines(&asked), lines(offered));
    }
}

#[tokio::test]
async fn t25_t28_d22_an_agreement_speaks_for_its_workspace_only() {
    let said = "Set-Cookie: nocr_sess=stolen; Path=/\r\nSet-Cookie: app=1; Domain=example.com; Path=/\r\n\
                Clear-Site-Data: \"*\"\r\nStrict-Transport-Security: max-age=1\r\nAlt-Svc: h3=\":443\"\r\nX-Kept: good\r\n";
    let (pod, _asked) = agreeing(said, |wire| hold(wire.0)).await;
    let gateway = Gateway::to(pod.addr).await;
    let (_wire, answer) = shake_hands(&gateway, "").await;
    assert_eq!(answer.header("set-cookie"), Some("app=1; Path=/route/w/"));
    assert_eq!(answer.header("x-kept"), Some("good"));
    for name in ["clear-site-data", "strict-transport-security", "alt-svc"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn t46_compression_is_for_the_two_ends_to_agree_on() {
    const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    // RSV1 marks a compressed message; these bytes are none that could be unpacked on the way.
    let sent = masked(FIN | 0x40 | TEXT, b"\xff\xff\xff\xff");
    let back = plain(FIN | 0x40 | TEXT, b"\xfe\xfe\xfe");
    let (expected, reply) = (sent.clone(), back.clone());
    let (pod, mut asked) =
        agreeing("Sec-WebSocket-Extensions: permessage-deflate\r\n", move |mut wire: Wire| {
            let (expected, reply) = (expected.clone(), reply.clone());
            async move {
                assert_eq!(wire.read(expected.len()).await, expected);
                wire.write(reply).await;
                hold(wire.0).await;
            }
        })
        .await;
    let gateway = Gateway::to(pod.addr).await;
    let (mut wire, answer) = shake_hands(&gateway, DEFLATE).await;
    assert_eq!(answer.header("sec-websocket-extensions"), Some("permessage-deflate"));
    let asked = soon(asked.recv()).await.unwrap();
    assert!(
        asked.contains("sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n"),
        "{asked}"
    );
    wire.write(&sent).await;
    assert_eq!(wire.read(back.len()).await, back);
}

#[tokio::test]
async fn a_pod_closes_with_its_own_words() {
    let (say, said) = mpsc::unbounded_channel::<Option<CloseFrame>>();
    let said = Arc::new(tokio::sync::Mutex::new(said));
    let (heard, mut echoed) = mpsc::unbounded_channel();
    let pod = Program::raw(move |wire, _| {
        let (said, heard) = (Arc::clone(&said), heard.clone());
        async move {
            let mut socket = accept_async(wire.0).await.unwrap();
            let frame = said.lock().await.recv().await.unwrap();
            socket.close(frame).await.unwrap();
            // The client's Close comes back.
            while let Some(Ok(message)) = socket.next().await {
                heard.send(message).unwrap();
            }
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    for code in [None, Some(1000), Some(1001), Some(1011), Some(3000), Some(4999)] {
        let frame =
            code.map(|code: u16| CloseFrame { code: code.into(), reason: format!("because {code}").into() });
        let mut socket = open(gateway.addr, "/route/w/", &[]).await;
        say.send(frame.clone()).unwrap();
        assert_eq!(next(&mut socket).await, Message::Close(frame.clone()));
        assert!(soon(socket.next()).await.is_none(), "the connection ends");
        let Message::Close(back) = soon(echoed.recv()).await.unwrap() else { panic!("no Close came back") };
        assert_eq!(back.map(|frame| frame.code), frame.map(|frame| frame.code));
    }
    until(|| gateway.drain.open_tunnels() == 0).await;
}

#[tokio::test]
async fn a_pod_that_vanishes_ends_the_clients_connection() {
    for reset in [false, true] {
        let (pod, _asked) = agreeing("", move |mut wire: Wire| async move {
            wire.write(plain(FIN | TEXT, "last")).await;
            wire.read(1).await;
            if reset {
                wire.0.set_zero_linger().unwrap();
            }
        })
        .await;
        let gateway = Gateway::to(pod.addr).await;
        let (mut wire, _) = shake_hands(&gateway, "").await;
        assert_eq!(wire.read(6).await, plain(FIN | TEXT, "last"));
        wire.write(masked(FIN | TEXT, "x")).await;
        // The connection ends without a Close frame: what browsers call 1006.
        assert_eq!(wire.read_to_end().await, b"", "reset: {reset}");
        drop(wire);
        until(|| gateway.drain.open_tunnels() == 0).await;
    }
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_pods_connection() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let pod = Program::raw(move |wire, _| {
        let tell = tell.clone();
        async move {
            let mut socket = accept_async(wire.0).await.unwrap();
            for _ in 0..2 {
                tell.send(socket.next().await.and_then(Result::ok)).unwrap();
            }
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    for reset in [false, true] {
        let mut socket = open(gateway.addr, "/route/w/", &[]).await;
        socket.send(Message::text("first")).await.unwrap();
        assert_eq!(soon(told.recv()).await.unwrap(), Some(Message::text("first")));
        if reset {
            socket.get_ref().set_zero_linger().unwrap();
        }
        drop(socket);
        assert_eq!(soon(told.recv()).await.unwrap(), None, "reset: {reset}");
        until(|| gateway.drain.open_tunnels() == 0).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_faster_than_the_pod_reads_is_slowed_down() {
    let (pod, _asked) = agreeing("", |wire| async move {
        std::future::pending::<()>().await;
        drop(wire);
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let (mut wire, _) = shake_hands(&gateway, "").await;
    let frame = masked(FIN | BINARY, vec![7; 64 << 10]);
    let mut taken = 0;
    // It stands still once nothing was taken for a while.
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), wire.0.write(&frame)).await {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "{} MiB were taken", taken >> 20);
    }
    assert!(taken > 0);
}

#[tokio::test]
async fn large_messages_cross_both_ways_at_once() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let pod = Program::raw(move |wire, _| {
        let sent = Arc::clone(&count);
        async move {
            let (mut send, mut receive) = accept_async(wire.0).await.unwrap().split();
            let sending = async {
                for _ in 0..3 {
                    send.send(Message::binary(vec![1; 15 << 20])).await.unwrap();
                }
            };
            let receiving = async {
                while let Some(Ok(Message::Binary(data))) = receive.next().await {
                    assert!(data.iter().all(|byte| *byte == 2));
                    sent.fetch_add(data.len(), SeqCst);
                }
            };
            tokio::join!(sending, receiving);
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let (mut send, mut receive) = open(gateway.addr, "/route/w/", &[]).await.split();
    let sending = async {
        for _ in 0..3 {
            send.send(Message::binary(vec![2; 15 << 20])).await.unwrap();
        }
    };
    let receiving = async {
        for _ in 0..3 {
            let data = receive.next().await.unwrap().unwrap().into_data();
            assert!(data.len() == 15 << 20 && data.iter().all(|byte| *byte == 1));
        }
    };
    soon(async { tokio::join!(sending, receiving) }).await;
    until(|| sent.load(SeqCst) == 45 << 20).await;
    let away = CloseFrame { code: CloseCode::Away, reason: "".into() };
    drop(soon(send.send(Message::Close(Some(away)))).await);
}
