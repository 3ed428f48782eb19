//! The edge cases of RFC 6455, against an echo server directly and through the gateway: nobody can tell the difference.

use std::net::SocketAddr;

use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{
        Error,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{
    support::{
        Gateway,
        frames::{BINARY, CLOSE, CONTINUED, FIN, PING, PONG, TEXT, masked, plain, status},
        pattern::bytes,
        pod::Program,
        soon,
    },
    websocket::handshake,
};

/// What a client sends after its handshake, in one piece or in several.
struct Case {
    name: String,
    pieces: Vec<Vec<u8>>,
}

/// Sends everything back; says why it gives up.
async fn strict_echo() -> Program {
    Program::raw(|wire, _| async move {
        let mut socket = accept_async(wire.0).await.unwrap();
        loop {
            let code = match socket.next().await {
                Some(Ok(message)) if message.is_text() || message.is_binary() => {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(Error::Utf8(_))) => CloseCode::Invalid,
                Some(Err(Error::Capacity(_))) => CloseCode::Size,
                Some(Err(Error::Protocol(_))) => CloseCode::Protocol,
                Some(Err(_)) | None => return,
            };
            let _ = socket.close(Some(CloseFrame { code, reason: "".into() })).await;
            let _ = socket.flush().await;
            return;
        }
    })
    .await
}

/// Everything the server sends until it ends the connection.
async fn outcome(to: SocketAddr, path: &str, case: &Case) -> Vec<u8> {
    soon(async {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut read, mut write) = stream.into_split();
        write.write_all(handshake(path, "").as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(read.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", case.name);
        let sending = async {
            for piece in &case.pieces {
                // It may have ended the connection already.
                if write.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let mut got = Vec::new();
        // What came before the connection was reset counts.
        let ((), _) = tokio::join!(sending, read.read_to_end(&mut got));
        got
    })
    .await
}

fn case(name: impl Into<String>, frames: impl IntoIterator<Item = Vec<u8>>) -> Case {
    // Each case ends with a Close frame, after which a server that still listens ends the connection.
    let end = masked(FIN | CLOSE, status(1000, "done"));
    Case { name: name.into(), pieces: vec![frames.into_iter().chain([end]).flatten().collect()] }
}

fn in_pieces(mut case: Case, size: usize) -> Case {
    let all = case.pieces.concat();
    case.pieces = all.chunks(size).map(<[u8]>::to_vec).collect();
    case.name = format!("{} in pieces of {size}", case.name);
    case
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1 << 20] {
        cases.push(case(format!("text of {size}"), [masked(FIN | TEXT, "*".repeat(size))]));
        cases.push(case(format!("binary of {size}"), [masked(FIN | BINARY, bytes(size as u64))]));
    }
    cases.push(case("binary of 15 MiB", [masked(FIN | BINARY, bytes(15 << 20))]));
    cases.push(in_pieces(case("text of 300", [masked(FIN | TEXT, "é".repeat(150))]), 1));
    cases.push(in_pieces(case("binary of 65,536", [masked(FIN | BINARY, bytes(65_536))]), 997));
    cases.push(case("a long length for few bytes", [[&[0x82, 0xfe, 0, 1, 0, 0, 0, 0][..], b"x"].concat()]));
    cases.push(case(
        "a very long length for few bytes",
        [[&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], b"x"].concat()],
    ));
    cases.push(case(
        "a length with the highest bit",
        [vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, b'x']],
    ));
    cases.push(case("1,000 small frames at once", (0..1000).map(|n| masked(FIN | TEXT, n.to_string()))));
    cases
}

fn control_frames() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [0, 1, 125, 126] {
        cases.push(case(format!("ping of {size}"), [masked(FIN | PING, bytes(size))]));
        cases.push(case(format!("pong of {size}, unasked"), [masked(FIN | PONG, bytes(size))]));
    }
    cases.push(case("ten pings at once", (0..10).map(|n| masked(FIN | PING, n.to_string()))));
    cases.push(in_pieces(case("ping", [masked(FIN | PING, bytes(125))]), 1));
    cases.push(case("a ping in fragments", [masked(PING, "a"), masked(FIN | CONTINUED, "b")]));
    cases.push(case("ping after Close", [masked(FIN | CLOSE, status(1000, "")), masked(FIN | PING, "late")]));
    cases.push(case("text after Close", [masked(FIN | CLOSE, status(1000, "")), masked(FIN | TEXT, "late")]));
    cases
}

fn closes() -> Vec<Case> {
    let mut cases = vec![
        case("Close without a code", [masked(FIN | CLOSE, "")]),
        case("Close of one byte", [masked(FIN | CLOSE, "\x03")]),
        case("Close with the longest reason", [masked(FIN | CLOSE, status(1000, &"r".repeat(123)))]),
        case("Close that is too long", [masked(FIN | CLOSE, status(1000, &"r".repeat(124)))]),
        case("Close with a reason that is no text", [masked(FIN | CLOSE, b"\x03\xe8\xff\xfe")]),
        case("Close with a reason", [masked(FIN | CLOSE, status(4321, "été"))]),
    ];
    for code in (1000..=1016).chain([0, 999, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65_535]) {
        cases.push(case(format!("Close {code}"), [masked(FIN | CLOSE, status(code, ""))]));
    }
    cases
}

fn violations() -> Vec<Case> {
    let mut cases = Vec::new();
    let after = || masked(FIN | TEXT, "after");
    for bits in 1..8_u8 {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            let odd = masked(FIN | bits << 4 | opcode, "x!");
            cases.push(case(format!("reserved bits {bits:b}, opcode {opcode}"), [odd, after()]));
        }
    }
    for opcode in (3..8).chain(11..16) {
        cases.push(case(format!("reserved opcode {opcode}"), [masked(FIN | opcode, "x"), after()]));
    }
    cases.push(case("a frame without a mask", [plain(FIN | TEXT, "x"), after()]));
    cases
}

fn fragments() -> Vec<Case> {
    let mut cases = vec![
        case("two fragments", [masked(TEXT, "a"), masked(FIN | CONTINUED, "b")]),
        case("empty fragments", [masked(TEXT, ""), masked(CONTINUED, ""), masked(FIN | CONTINUED, "")]),
        case(
            "pings and a pong between fragments",
            [
                masked(TEXT, "a"),
                masked(FIN | PING, "1"),
                masked(CONTINUED, "b"),
                masked(FIN | PING, "2"),
                masked(FIN | PONG, "3"),
                masked(FIN | CONTINUED, "c"),
            ],
        ),
        case("Close between fragments", [masked(TEXT, "a"), masked(FIN | CLOSE, status(1000, ""))]),
        case("a fragment of nothing", [masked(FIN | CONTINUED, "x"), masked(FIN | TEXT, "y")]),
        case("a fragment of nothing that goes on", [masked(CONTINUED, "x"), masked(FIN | CONTINUED, "y")]),
        case("a message within another", [masked(TEXT, "a"), masked(FIN | TEXT, "b")]),
        case("text continued as binary", [masked(TEXT, "a"), masked(FIN | BINARY, "b")]),
    ];
    let body = bytes(1 << 20);
    let last = body.len() / 4096 - 1;
    let many = body.chunks(4096).enumerate().map(|(n, piece)| {
        let first = if n == 0 { BINARY } else { CONTINUED };
        masked(if n == last { FIN | first } else { first }, piece)
    });
    cases.push(case("1 MiB in 256 fragments", many));
    cases
}

fn texts() -> Vec<Case> {
    let text = "κόσμε, 日本語, 🦀";
    let mut cases = Vec::new();
    for at in 1..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        cases.push(case(format!("text cut at {at}"), [masked(TEXT, a), masked(FIN | CONTINUED, b)]));
    }
    let bytes: Vec<_> = text.as_bytes().iter().map(|byte| masked(CONTINUED, [*byte])).collect();
    cases.push(case("text byte by byte", [vec![masked(TEXT, "")], bytes, vec![masked(FIN, "")]].concat()));
    for (name, wrong) in [
        ("a lone continuation byte", &b"\x80"[..]),
        ("an overlong slash", b"\xc0\xaf"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond the last code point", b"\xf4\x90\x80\x80"),
        ("a text cut off", b"\xce"),
        ("\u{ff} and more", b"fine \xff fine"),
    ] {
        cases.push(case(
            format!("no UTF-8: {name}"),
            [masked(FIN | TEXT, wrong), masked(FIN | TEXT, "after")],
        ));
        let split = [masked(TEXT, wrong), masked(FIN | CONTINUED, "after")];
        cases.push(case(format!("no UTF-8 in a fragment: {name}"), split));
    }
    cases.push(case(
        "the whole range",
        [masked(FIN | TEXT, "\0\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10ffff}")],
    ));
    cases
}

#[tokio::test]
async fn edge_cases_end_the_same_through_the_gateway() {
    let echo = strict_echo().await;
    let gateway = Gateway::to(echo.addr).await;
    let groups = [sizes(), control_frames(), closes(), violations(), fragments(), texts()];
    let all: Vec<Case> = groups.into_iter().flatten().collect();
    let mut ended_well = 0;
    for case in &all {
        let direct = outcome(echo.addr, "/ws", case).await;
        let through = outcome(gateway.addr, "/route/w/ws", case).await;
        assert!(
            direct == through,
            "{}: {} bytes directly, {} through the gateway: {:?}, {:?}",
            case.name,
            direct.len(),
            through.len(),
            direct.get(..60).unwrap_or(&direct),
            through.get(..60).unwrap_or(&through),
        );
        ended_well += usize::from(direct.ends_with(&plain(FIN | CLOSE, status(1000, "done"))));
    }
    // The echo is one, and a strict one.
    assert!(ended_well > 50 && ended_well < all.len() - 50, "{ended_well} of {}", all.len());
    crate::support::until(|| gateway.drain.open_tunnels() == 0).await;
}
