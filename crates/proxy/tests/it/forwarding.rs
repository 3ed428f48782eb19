//! Requests reach the right program, unchanged, and their answers come back.

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nocrd_proxy_core::{BasePath, Config};
use tokio::net::TcpStream;

use crate::support::{
    Gateway, api,
    client::{Answer, Wire, get, send, send_raw},
    config,
    pod::{Program, text, told},
    pod_at, send_recorded, soon,
};

#[tokio::test]
async fn t39_all_methods_are_forwarded() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"] {
        let answer = send(gateway.addr, &format!("{method} /route/w/x?q"), &[], "body").await;
        assert_eq!(answer.status, 200);
        let echo = answer.json();
        assert_eq!(
            (&echo["method"], &echo["target"], &echo["body"]),
            (&method.into(), &"/x?q".into(), &"body".into())
        );
    }
    let answer = send(gateway.addr, "TRACE /route/w/x", &[], "").await;
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").unwrap().contains("PATCH"));
}

#[tokio::test]
async fn t33_the_path_that_is_matched_is_forwarded_byte_for_byte() {
    let gateway = Gateway::with(config()).await;
    for (path, forwarded) in [
        ("/route/w/", "/"),
        ("/route/w//", "//"),
        ("/route/w//x", "//x"),
        ("/route/w/x//y/", "/x//y/"),
        ("/route/w/%7e%20%E2%82%AC;a=b/%2fx", "/%7e%20%E2%82%AC;a=b/%2fx"),
        ("/route/w/?", "/?"),
        ("/route/w/x?..%2f..%00%zz/../&a=[b]{c}|`\\", "/x?..%2f..%00%zz/../&a=[b]{c}|`\\"),
        ("/route/w/x?a=http://evil/../%252e", "/x?a=http://evil/../%252e"),
        ("http://gw.example/route/w/a//b?c", "/a//b?c"),
        ("/route/w/route/w/x", "/route/w/x"),
        ("/route/w/%C3%A9/\u{e9}", "/%C3%A9/\u{e9}"),
    ] {
        let head = send_recorded(&gateway, &format!("GET {path}")).await;
        let line = head.lines().next().unwrap();
        assert_eq!(line, format!("GET {forwarded} HTTP/1.1"), "{path}");
    }
}

#[tokio::test]
async fn t33_d14_paths_with_two_readings_reach_no_pod() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    for path in [
        "/route/w/..",
        "/route/w/../x",
        "/route/w/%2e%2e/x",
        "/route/w/%252e%252e",
        "/route/w/..%2fx",
        "/route/w/x%5cy",
        "/route/w/..;/x",
        "/route/w/%c0%ae",
        "/route/w/%00",
        "/route/w/%",
        "http://gw.example/route/w/../x",
        "/route/../w",
        "/route/%2e%2e/x",
        "/route/W/x",
        "/route/a%62/",
    ] {
        let answer = get(gateway.addr, path, &[]).await;
        assert_eq!(answer.status, 400, "{path}");
        let code = answer.json()["code"].clone();
        assert!(code == "NCR0104" || code == "NCR0101", "{path}: {code}");
    }
    // These the HTTP parser refuses.
    for path in ["/route/w/\\..\\x", "/route/w/\x01", "/route/w/\x7f"] {
        let answer = Answer::parse(
            &send_raw(gateway.addr, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
                .await,
        );
        assert_eq!(answer.status, 400, "{path:?}");
    }
    // And these are not the proxy's.
    for path in ["/", "/routes/w/", "//route/w/", "/%72oute/w/", "/x/../route/w/"] {
        assert_eq!(get(gateway.addr, path, &[]).await.status, 418, "{path}");
    }
    assert_eq!(send(gateway.addr, "OPTIONS *", &[], "").await.status, 418);
    for path in ["/route", "/route/", "/route//x"] {
        assert_eq!(get(gateway.addr, path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(pod.seen(), [""; 0]);
}

#[tokio::test]
async fn t34_a_workspace_is_found_by_its_whole_id() {
    let (a, ab) = (Program::echo().await, Program::echo().await);
    let gateway = Gateway::with(config()).await;
    gateway.directory.add("a", pod_at(a.addr));
    gateway.directory.add("ab", pod_at(ab.addr));
    assert_eq!(get(gateway.addr, "/route/ab/x", &[]).await.status, 200);
    assert_eq!((a.seen().len(), ab.seen()), (0, vec!["GET /x".to_owned()]));
    for path in ["/route/abc/x", "/route/a%62/x", "/route/a./x", "/route/a-/x"] {
        assert!(matches!(get(gateway.addr, path, &[]).await.status, 400 | 404), "{path}");
    }
    assert_eq!(get(gateway.addr, "/route/a/b", &[]).await.json()["target"], "/b");
    assert_eq!((a.seen().len(), ab.seen().len()), (1, 1));
}

#[tokio::test]
async fn t40_a_workspace_without_a_slash_is_redirected_to_a_path_whatever_host_was_named() {
    let pod = Program::echo().await;
    let gateway = Gateway::with(Config { base_path: BasePath::parse("/gw").unwrap(), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    for method in ["GET", "HEAD"] {
        let answer = send(gateway.addr, &format!("{method} /gw/route/w?a=//b&%20"), &[], "").await;
        assert_eq!((answer.status, answer.header("location")), (308, Some("/gw/route/w/?a=//b&%20")));
    }
    let named = "GET http://evil.example/gw/route/w HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n";
    let answer = Answer::parse(&send_raw(gateway.addr, named).await);
    assert_eq!((answer.status, answer.header("location")), (308, Some("/gw/route/w/")));
    let answer = send(gateway.addr, "POST /gw/route/w?a", &[], "x").await.json();
    assert_eq!((&answer["target"], &answer["body"]), (&"/?a".into(), &"x".into()));
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.status, 418);
    assert_eq!(get(gateway.addr, "/gw/route/w/x", &[]).await.json()["target"], "/x");
}

#[tokio::test]
async fn apis_and_subfolders() {
    let (main, term) = (Program::echo().await, Program::echo().await);
    let gateway = Gateway::with(Config { base_path: BasePath::parse("/gw").unwrap(), ..config() }).await;
    let mut pod = pod_at(main.addr);
    pod.apis = vec![api("t", term.addr.port(), "/term"), api("s", main.addr.port(), "/stats")];
    gateway.directory.add("w", pod.clone());
    pod.subfolder = true;
    gateway.directory.add("sub", pod);
    for (path, program, target) in [
        ("/gw/route/w/term", &term, "/"),
        ("/gw/route/w/term?q", &term, "/?q"),
        ("/gw/route/w/term/", &term, "/"),
        ("/gw/route/w/term/a//b?q", &term, "/a//b?q"),
        ("/gw/route/w/terms", &main, "/terms"),
        ("/gw/route/w/stats/x", &main, "/stats/x"),
        ("/gw/route/sub/", &main, "/route/sub/"),
        ("/gw/route/sub/x?q", &main, "/route/sub/x?q"),
        ("/gw/route/sub/stats/x", &main, "/route/sub/stats/x"),
        ("/gw/route/sub/term/x", &term, "/x"),
    ] {
        let before = program.seen().len();
        assert_eq!(get(gateway.addr, path, &[]).await.json()["target"], target, "{path}");
        assert_eq!(program.seen().len(), before + 1, "{path}");
    }
    assert_eq!(send(gateway.addr, "POST /gw/route/sub", &[], "x").await.json()["target"], "/route/sub/");
    assert_eq!(get(gateway.addr, "/gw/route/w/%74erm/x", &[]).await.status, 400);
}

#[tokio::test]
async fn t39_answers_without_a_body() {
    let pod = Program::http(|request| async move {
        let mut answer = text(if request.method() == "HEAD" { "" } else { "five." });
        let headers = answer.headers_mut();
        match request.uri().path() {
            "/204" => *answer.status_mut() = http::StatusCode::NO_CONTENT,
            "/304" => {
                headers.insert("etag", "\"1\"".parse().unwrap());
                *answer.status_mut() = http::StatusCode::NOT_MODIFIED;
            }
            _ => drop(headers.insert("content-length", "5".parse().unwrap())),
        }
        if answer.status() != 200 {
            *answer.body_mut() = Empty::new().boxed();
        }
        answer
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let head = send(gateway.addr, "HEAD /route/w/", &[], "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, Some("5"), ""));
    let none = get(gateway.addr, "/route/w/204", &[]).await;
    assert_eq!((none.status, none.header("content-length"), none.body.as_str()), (204, None, ""));
    let same = get(gateway.addr, "/route/w/304", &[]).await;
    assert_eq!((same.status, same.header("etag"), same.body.as_str()), (304, Some("\"1\""), ""));
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.body, "five.");
}

#[tokio::test]
async fn t39_expect_continue_is_answered_when_the_body_is_wanted() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("POST /route/w/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n").await;
    assert_eq!(wire.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.write("body").await;
    let answer = Answer::parse(&wire.read_to_end().await);
    assert_eq!((answer.status, &answer.json()["body"]), (200, &"body".into()));
}

#[tokio::test]
async fn t39_trailers_pass_both_ways() {
    let pod = Program::raw(|mut wire, _| async move {
        let request = wire.read_until(b"\r\n0\r\nx-sum: 1\r\n\r\n").await;
        assert!(!String::from_utf8_lossy(&request).contains("evil"), "{request:?}");
        wire.write("HTTP/1.1 200 OK\r\nTrailer: x-done, set-cookie\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-done: yes\r\nset-cookie: evil=1\r\n\r\n").await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let request = "POST /route/w/ HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: x-sum, x-user-sub\r\n\
                   Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-User-Sub: evil\r\n\r\n";
    let answer = Answer::parse(&send_raw(gateway.addr, request).await);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "2\r\nhi\r\n0\r\nx-done: yes\r\n\r\n");
}

#[tokio::test]
async fn a_body_keeps_its_framing() {
    let gateway = Gateway::with(config()).await;
    let head = send_recorded(&gateway, "GET /route/w/\u{0}Transfer-Encoding: chunked").await;
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    let pod = Program::echo().await;
    gateway.directory.add("w", pod_at(pod.addr));
    let chunked = "GET /route/w/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n";
    let answer = Answer::parse(&send_raw(gateway.addr, chunked).await).json();
    assert_eq!((&answer["method"], &answer["body"]), (&"GET".into(), &"abc".into()));
    let empty = Answer::parse(
        &send_raw(
            gateway.addr,
            "POST /route/w/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )
        .await,
    )
    .json();
    assert_eq!(told(&empty, "content-length"), ["0"]);
    assert!(told(&empty, "transfer-encoding").is_empty());
}

#[tokio::test]
async fn http_1_0_clients_are_served() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let answer = Answer::parse(&send_raw(gateway.addr, "GET /route/w/x HTTP/1.0\r\n\r\n").await);
    let echo = answer.json();
    assert_eq!((answer.status, &echo["target"]), (200, &"/x".into()));
    assert!(told(&echo, "x-forwarded-host").is_empty());
    assert_eq!(told(&echo, "host"), [pod.addr.to_string()]);
}

#[tokio::test]
async fn http_2_clients_are_served() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let stream = TokioIo::new(TcpStream::connect(gateway.addr).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://gw.example/route/w/x?q")
        .header("cookie", "a=1")
        .header("cookie", "nocr_sess=secret")
        .header("cookie", "b=2")
        .header("x_user_sub", "evil")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let echo: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(echo["target"], "/x?q");
    assert_eq!(told(&echo, "cookie"), ["a=1; b=2"]);
    assert_eq!(told(&echo, "x-forwarded-host"), ["gw.example"]);
    assert!(told(&echo, "x_user_sub").is_empty());
}

#[tokio::test]
async fn interim_and_old_answers_are_understood() {
    for (answer, body) in [
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end"),
        ("HTTP/1.1 200 Sure\r\nConnection: close\r\n\r\nuntil the end", "until the end"),
    ] {
        let pod = Program::raw(move |mut wire, _| async move {
            wire.read_head().await;
            wire.write(answer).await;
        })
        .await;
        let gateway = Gateway::to(pod.addr).await;
        // A client of HTTP/1.0 gets bodies without chunks.
        let answer = Answer::parse(&send_raw(gateway.addr, "GET /route/w/ HTTP/1.0\r\n\r\n").await);
        assert_eq!((answer.status, answer.body.as_str(), answer.header("link")), (200, body, None));
    }
}
