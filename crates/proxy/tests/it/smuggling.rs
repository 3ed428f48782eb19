//! Bytes that two programs might take apart differently (T35, T38).

use crate::support::{
    Gateway,
    client::{Answer, Wire, send_raw},
    pod::{Program, text},
    soon,
};

/// Sends bytes that hide a request for `/admin`, and tells the answers and what the pod saw.
async fn smuggle(bytes: impl AsRef<[u8]>) -> (String, Vec<String>) {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let answers = send_raw(gateway.addr, bytes).await;
    (String::from_utf8_lossy(&answers).into_owned(), pod.seen())
}

const HIDDEN: &str = "GET /route/w/admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn t35_ambiguous_framing_is_refused() {
    for headers in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -1",
        "Content-Length: 5 5",
        "Content-Length : 5",
        "Content-Length: 5\r\n ,6",
        "Content-Length: 99999999999999999999999",
        "Bad Name: x",
        "Bad\x00Name: x",
        "X: a\x00b",
        "X: a\rTransfer-Encoding: chunked",
        ": x",
    ] {
        let (answers, seen) =
            smuggle(format!("POST /route/w/ HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n0\r\n\r\n{HIDDEN}"))
                .await;
        assert!(answers.starts_with("HTTP/1.1 400 "), "{headers:?}: {answers:?}");
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{headers:?}");
        assert_eq!(seen, [""; 0], "{headers:?}");
    }
}

#[tokio::test]
async fn t35_of_two_framings_the_chunks_count_and_the_connection_ends() {
    for framing in
        ["Content-Length: 6\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 6"]
    {
        let (answers, seen) =
            smuggle(format!("POST /route/w/ HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n0\r\n\r\n{HIDDEN}"))
                .await;
        assert_eq!(seen, ["POST /"], "{framing}");
        let answer = Answer::parse(answers.as_bytes());
        assert_eq!((answer.status, answer.body.matches("HTTP/1.1").count()), (200, 0), "{answers}");
        let told = answer.json();
        assert!(crate::support::pod::told(&told, "content-length").is_empty(), "{told}");
    }
}

#[tokio::test]
async fn t35_malformed_chunks_end_the_request() {
    for chunks in [
        "x\r\n",
        "5;\nabcde\r\n0\r\n\r\n",
        "5\nabcde\r\n0\r\n\r\n",
        "-5\r\nabcde\r\n",
        "5\r\nabcdeXX0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "5 5\r\nabcde\r\n0\r\n\r\n",
        "\r\n",
    ] {
        let (answers, seen) = smuggle(format!(
            "POST /route/w/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{HIDDEN}"
        ))
        .await;
        assert!(answers.is_empty() || answers.starts_with("HTTP/1.1 400 "), "{chunks:?}: {answers:?}");
        assert!(!seen.iter().any(|request| request.contains("admin")), "{chunks:?}: {seen:?}");
    }
}

#[tokio::test]
async fn t35_a_body_is_no_request() {
    // Whatever a body looks like, and whether or not the pod reads it, it is never taken for a request.
    let body = HIDDEN.repeat(3);
    let request = format!(
        "POST /route/w/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (_, seen) = smuggle(&request).await;
    assert_eq!(seen, ["POST /"]);

    let lazy = Program::http(|_| async { text("unread") }).await;
    let gateway = Gateway::to(lazy.addr).await;
    send_raw(gateway.addr, &request).await;
    assert!(!lazy.seen().iter().any(|request| request.contains("admin")), "{:?}", lazy.seen());
}

#[tokio::test]
async fn t35_bare_line_feeds_mean_the_same_to_everybody() {
    let (answers, seen) = smuggle("GET /route/w/x HTTP/1.1\nHost: a\nX-Y: z\nConnection: close\n\n").await;
    // Accepted as RFC 9112 (2.2) allows, and written anew for the pod.
    assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
    assert_eq!(seen, ["GET /x"]);
}

/// An HPACK literal without indexing (RFC 7541, 6.2.2), short strings only.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0, name.len() as u8];
    out.extend(name.as_bytes());
    out.push(value.len() as u8);
    out.extend(value.as_bytes());
    out
}

/// Sends a request's fields over HTTP/2, and tells whether it got an answer once the gateway is done with it. A ping would
/// not tell: it is answered before the request is looked at.
async fn answered_over_http_2(gateway: &Gateway, fields: &[(&str, &str)]) -> bool {
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
    let mut frame = vec![0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]; // HEADERS, END_STREAM | END_HEADERS, stream 1
    frame.extend(block);
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    wire.write(&frame).await;
    soon(is_answered(&mut wire)).await
}

/// Reads HTTP/2 frames until the answer to our stream, its reset, or the end of the connection.
async fn is_answered(wire: &mut Wire) -> bool {
    use tokio::io::AsyncReadExt as _;
    loop {
        let mut head = [0; 9];
        if wire.0.read_exact(&mut head).await.is_err() {
            return false;
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if wire.0.read_exact(&mut payload).await.is_err() {
            return false;
        }
        match head[3] {
            1 => return true,      // HEADERS
            3 | 7 => return false, // RST_STREAM, GOAWAY
            _ => {}
        }
    }
}

#[tokio::test]
async fn t35_http_2_headers_cannot_inject_http_1_lines() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let usual = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/route/w/h2")];
    assert!(answered_over_http_2(&gateway, &usual).await);
    assert_eq!(pod.seen(), ["GET /h2"], "these bytes are a request");
    for (name, value) in [
        ("x-a", "b\r\nX-User-Sub: evil"),
        ("x-a", "b\r\n\r\nGET /admin HTTP/1.1"),
        ("x-a", "b\0"),
        ("x-a: b\r\nx-user-sub", "evil"),
        ("x a", "b"),
        ("transfer-encoding", "chunked"),
        ("connection", "x-forwarded-for"),
        ("content-length", "5"),
        ("upgrade", "websocket"),
        ("te", "chunked"),
        ("X-Upper", "b"),
        (":path", "/route/w/ HTTP/1.1\r\nX-User-Sub: evil"),
        (":path", "/route/w/a b"),
        (":path", "*"),
        (":method", "GET /route/w/ HTTP/1.1\r\nX-User-Sub: evil"),
        (":authority", "a\r\nX-User-Sub: evil"),
        (":authority", "a/../b"),
        (":status", "200"),
    ] {
        let fields: Vec<_> =
            usual.iter().copied().filter(|(usual, _)| *usual != name).chain([(name, value)]).collect();
        answered_over_http_2(&gateway, &fields).await;
        assert_eq!(pod.seen().len(), 1, "{name:?} {value:?}: {:?}", pod.seen());
    }
}

#[tokio::test]
async fn t38_malformed_and_oversized_answers_are_not_passed_on() {
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(2 << 20));
    for head in [
        "nonsense\r\n\r\n".to_owned(),
        "HTTP/1.1 abc OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nx y: z\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nx: a\rset-cookie: nocr_sess=1\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nx: a\0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na".to_owned(),
        "HTTP/2.0 200 OK\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{long}\r\n"),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw".to_owned(),
    ] {
        let shown = head.get(..60).unwrap_or(&head).to_owned();
        let pod = Program::raw(move |mut wire, _| {
            let head = head.clone();
            async move {
                wire.read_head().await;
                use tokio::io::AsyncWriteExt as _;
                let _ = wire.0.write_all(head.as_bytes()).await;
                crate::support::pod::hold(wire.0).await;
            }
        })
        .await;
        let gateway = Gateway::to(pod.addr).await;
        let answer = crate::support::client::get(gateway.addr, "/route/w/", &[]).await;
        assert_eq!((answer.status, &answer.json()["code"]), (502, &"NCR0604".into()), "{shown:?}");
    }
}
