//! Pods that break, lie or babble: the client is told or cut off in time, is told nothing of the inside, and the next
//! request is answered as if nothing had been.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use nocrd_proxy_core::Config;

use crate::support::{
    Gateway,
    client::{Answer, Wire, send_raw},
    config,
    pod::{Program, hold},
    pod_at, soon,
    versions::Client,
};

/// What a pod does once it has written.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It ends the connection.
    Close,
    /// It ends its direction, and goes on listening.
    HalfClose,
    /// It ends the connection, and throws away what it has not read.
    Reset,
    /// It does nothing more.
    Hold,
    /// It goes on serving.
    Serve,
    /// It writes this again and again.
    Repeat(&'static str),
}

/// What becomes of the client's answer.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// An error of the gateway.
    Error(u16, &'static str),
    /// The status, and as much of the body as there is; then the connection ends before the body does.
    Cut(u16, &'static str),
    /// A whole answer.
    Whole(u16, &'static str),
}

use Then::{Close, HalfClose, Hold, Repeat, Reset, Serve};
use Told::{Cut, Error, Whole};

const REFUSED: Told = Error(502, "NCR0602");
const INVALID: Told = Error(502, "NCR0604");
const TIMEOUT: Told = Error(504, "NCR0603");

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// The faults: what is written after a request was read, what is done then, and what the client gets.
fn faults() -> Vec<(String, Then, Told)> {
    let chunked = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let with = |headers: &str, body: &str| format!("{OK}{headers}\r\n\r\n{body}");
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let mut all = vec![
        // Nothing, or not all of a head.
        (String::new(), Close, REFUSED),
        (String::new(), HalfClose, REFUSED),
        (String::new(), Reset, REFUSED),
        (String::new(), Hold, TIMEOUT),
        ("HTTP/1.1 200 OK\r\nContent-".into(), Close, REFUSED),
        ("HTTP/1.1 200 OK\r\nContent-".into(), HalfClose, REFUSED),
        ("HTTP/1.1 200 OK\r\nContent-".into(), Reset, REFUSED),
        ("HTTP/1.1 200 OK\r\nContent-".into(), Hold, TIMEOUT),
        ("H".into(), Hold, TIMEOUT),
        // Something else than a head.
        ("\0\x01\x02\u{7f}garbage\r\n\r\n".into(), Hold, INVALID),
        ("<html>hello</html>\r\n\r\n".into(), Hold, INVALID),
        ("ICY 200 OK\r\n\r\n".into(), Hold, INVALID),
        ("\x15\x03\x01\0\x02\x02\x50 not TLS here\r\n\r\n".into(), Hold, INVALID),
        ("\0\0\x12\x04\0\0\0\0\0 frames of HTTP/2\r\n\r\n".into(), Hold, INVALID),
        ("HTTP/1.1 2 OK\r\n\r\n".into(), Hold, INVALID),
        ("HTTP/1.1 1000 OK\r\n\r\n".into(), Hold, INVALID),
        ("HTTP/1.1 099 OK\r\n\r\n".into(), Hold, INVALID),
        // Too much of it.
        (with(&many, ""), Hold, INVALID),
        (with(&format!("x: {}", "y".repeat(2 << 20)), ""), Hold, INVALID),
        (with(&format!("x: {}", "y".repeat(192 << 10)), ""), Hold, INVALID),
        (OK.into(), Repeat("x-more: and more\r\n"), INVALID),
        (format!("{OK}x: "), Repeat("on and on and on and on "), INVALID),
        (String::new(), Repeat("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), TIMEOUT),
        // Lengths that contradict each other or the body.
        (with("Content-Length: 2\r\nContent-Length: 3", "abc"), Hold, INVALID),
        (with("Content-Length: 2, 3", "abc"), Hold, INVALID),
        (with("Content-Length: two", "abc"), Hold, INVALID),
        (with("Content-Length: -2", "abc"), Hold, INVALID),
        (with("Content-Length: 99999999999999999999", "abc"), Hold, INVALID),
        (with("Content-Length: 10", "half"), Close, Cut(200, "half")),
        (with("Content-Length: 10", "half"), Reset, Cut(200, "half")),
        (with("Content-Length: 10", "half"), HalfClose, Cut(200, "half")),
        (with("Content-Length: 10", "half"), Hold, Cut(200, "half")),
        (with("Content-Length: 5", "whole and more"), Hold, Whole(200, "whole")),
        (with("Content-Length: 5", "wholeHTTP/1.1 200 OK\r\n\r\n"), Hold, Whole(200, "whole")),
        (with("Content-Length: 0", "not nothing"), Hold, Whole(200, "")),
        (with("Content-Length: 3\r\nTransfer-Encoding: chunked", "5\r\nwhole\r\n0\r\n\r\n"), Hold, INVALID),
        (with("Transfer-Encoding: chunked\r\nContent-Length: 5", "5\r\nwhole\r\n0\r\n\r\n"), Hold, INVALID),
        // Answers that have no body, and yet one.
        ("HTTP/1.1 204 No Content\r\n\r\nsurprise".into(), Hold, Whole(204, "")),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\nsurprise".into(), Hold, Whole(304, "")),
    ];
    for (body, arrived) in [
        ("zz\r\nabc\r\n", ""),
        ("1\r\na\r\nzz\r\n", "1\r\na\r\n"),
        ("1\r\naXX1\r\nb\r\n", "1\r\na\r\n"),
        ("1\r\na\r\n-1\r\nb\r\n", "1\r\na\r\n"),
        ("1\r\na\r\n\r\n0\r\n\r\n", "1\r\na\r\n"),
        ("1\r\na\r\nfffffffffffffffff\r\nb", "1\r\na\r\n"),
        ("1\r\na\r\n1;x\ny\r\nb\r\n", "1\r\na\r\n"),
        ("1\r\na\r\n0\r\nno trailer\r\n\r\n", "1\r\na\r\n"),
    ] {
        all.push((format!("{chunked}{body}"), Hold, Cut(200, arrived)));
    }
    for then in [Close, Reset, HalfClose, Hold] {
        all.push((format!("{chunked}1\r\na\r\n"), then, Cut(200, "1\r\na\r\n")));
        all.push((chunked.clone(), then, Cut(200, "")));
    }
    all.push((format!("{chunked}1;"), Repeat("an extension without end;"), Cut(200, "")));
    all.push((format!("{chunked}0\r\n"), Repeat("x-trailer: without end\r\n"), Cut(200, "")));
    all
}

/// A pod that answers `/good` well and `/bad` with a fault.
async fn faulty(written: String, then: Then) -> Program {
    Program::raw(move |mut wire, _| {
        let written = written.clone();
        async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = wire.0.read_u8().await else { return };
                    head.push(byte);
                }
                if head.starts_with(b"GET /good ") {
                    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
                    continue;
                }
                // The gateway need not take it all.
                let _ = wire.0.write_all(written.as_bytes()).await;
                match then {
                    Close => {}
                    HalfClose => {
                        let _ = wire.0.shutdown().await;
                        hold(wire.0).await;
                    }
                    Reset => drop(wire.0.set_zero_linger()),
                    Hold => hold(wire.0).await,
                    Serve => continue,
                    Repeat(more) => while wire.0.write_all(more.repeat(100).as_bytes()).await.is_ok() {},
                }
                return;
            }
        }
    })
    .await
}

fn ask(path: &str) -> String {
    format!("GET /route/w{path} HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\n\r\n")
}

async fn good(gateway: &Gateway, why: &str) {
    let answer = Answer::parse(&send_raw(gateway.addr, ask("/good")).await);
    assert_eq!((answer.status, answer.body.as_str()), (200, "good"), "{why}: {answer:?}");
}

/// Limits that only a pod at rest exceeds.
fn impatient() -> Config {
    let limit = Some(Duration::from_secs(2));
    Config { response_timeout: limit, idle_timeout: limit, ..config() }
}

/// Whether a body in chunks, or with this length, is not at its end.
fn is_cut(answer: &Answer) -> bool {
    match answer.header("content-length") {
        Some(length) => answer.body.len() < length.parse().unwrap(),
        None => !answer.body.ends_with("0\r\n\r\n"),
    }
}

#[tokio::test]
async fn t38_t41_d63_faults_of_a_pod_stay_its_own() {
    let cases = faults().into_iter().map(|(written, then, told)| async move {
        // Over a new connection, and over one that has served others.
        for reused in [false, true] {
            let shown = format!("{:?} {then:?}, reused: {reused}", written.get(..120).unwrap_or(&written));
            let pod = faulty(written.clone(), then).await;
            let gateway = Gateway::with(impatient()).await;
            gateway.directory.add("w", pod_at(pod.addr));
            if reused {
                good(&gateway, &shown).await;
            }
            let answer = send_raw(gateway.addr, ask("/bad")).await;
            assert!(!answer.is_empty(), "{shown}: no answer");
            let answer = Answer::parse(&answer);
            check(&answer, told, pod.addr, &shown);
            good(&gateway, &shown).await;
            good(&gateway, &shown).await;
        }
    });
    futures::future::join_all(cases).await;
}

fn check(answer: &Answer, told: Told, pod: SocketAddr, shown: &str) {
    match told {
        Error(status, code) => {
            assert_eq!((answer.status, &answer.json()["code"]), (status, &code.into()), "{shown}");
            let all = format!("{answer:?}");
            let secrets = [pod.ip().to_string(), pod.port().to_string(), "os error".into()];
            assert!(!secrets.iter().any(|secret| all.contains(secret)), "{shown}: {all}");
        }
        Cut(status, body) => {
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{shown}");
            assert!(is_cut(answer), "{shown}: {answer:?}");
        }
        Whole(status, body) => {
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{shown}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_an_http_2_stream_off_and_no_other() {
    for (written, then) in [
        ("Content-Length: 10\r\n\r\nhalf", Close),
        ("Content-Length: 10\r\n\r\nhalf", Reset),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", Close),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", Hold),
    ] {
        let pod = faulty(format!("{OK}{written}"), then).await;
        let gateway = Gateway::to(pod.addr).await;
        let mut client = Client::http2(gateway.addr).await;
        let answer = client.send("GET", "/route/w/bad", Empty::new()).await;
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "half");
        assert!(soon(body.frame()).await.unwrap().is_err(), "{written:?} {then:?}: a clean end");
        let answer = client.send("GET", "/route/w/good", Empty::new()).await;
        assert_eq!(soon(answer.into_body().collect()).await.unwrap().to_bytes(), "good");
    }
}

#[tokio::test]
async fn odd_answers_that_are_right_pass() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok"),
        ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.1 200 \r\nContent-Length:2\r\n\r\nok", "ok"),
        ("HTTP/1.1 200 OK\r\ncONTENT-lENGTH: \t 2 \r\n\r\nok", "ok"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n002;a=\"b\";c\r\nok\r\n0;d\r\n\r\n",
            "2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n0\r\n\r\n",
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
        ),
        (
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
        ),
        ("HTTP/1.1 599 Whatever\r\nContent-Length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "ok"),
    ] {
        let pod = faulty(answer.to_owned(), Serve).await;
        let gateway = Gateway::to(pod.addr).await;
        let got = Answer::parse(&send_raw(gateway.addr, ask("/bad")).await);
        assert_eq!(got.body, body, "{answer:?}: {got:?}");
        assert_eq!(got.header("link"), None);
        good(&gateway, answer).await;
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    for (version, connection) in [("1.0", ""), ("1.1", "Connection: close\r\n"), ("1.1", "")] {
        let pod = faulty(format!("HTTP/{version} 200 OK\r\n{connection}\r\nto the end"), Close).await;
        let gateway = Gateway::to(pod.addr).await;
        let answer = Answer::parse(&send_raw(gateway.addr, ask("/bad")).await);
        // A client of HTTP/1.1 is told by chunks that this was all.
        assert_eq!((answer.status, answer.body.as_str()), (200, "A\r\nto the end\r\n0\r\n\r\n"));
        good(&gateway, version).await;
        assert_eq!(pod.connections(), 2);
    }
}

#[tokio::test]
async fn a_pod_that_ends_its_direction_has_answered() {
    // It shuts down its write side while the upload still comes, and reads that to its end.
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nearly").await;
        tokio::io::AsyncWriteExt::shutdown(&mut wire.0).await.unwrap();
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("POST /route/w/ HTTP/1.0\r\nContent-Length: 1000000\r\n\r\nsome").await;
    let answer = Answer::parse(&wire.read_to_end().await);
    assert_eq!((answer.status, answer.body.as_str()), (200, "early"));
}
