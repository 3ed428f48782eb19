//! What a workspace is told, and what it may tell.

use std::io::Write as _;

use nocrd_proxy_core::{BasePath, Config};

use crate::{
    support::{
        Gateway, api,
        client::{Wire, get, send},
        config,
        pod::{Program, text, told},
        pod_at, soon,
    },
    websocket::handshake,
};

#[tokio::test]
async fn t29_t30_t31_t40_the_proxy_alone_says_who_and_where() {
    let pod = Program::echo().await;
    let gateway = Gateway::with(Config { base_path: BasePath::parse("/gw").unwrap(), ..config() }).await;
    gateway.directory.add("w", pod_at(pod.addr));
    let echo = get(
        gateway.addr,
        "/gw/route/w/",
        &[
            "X-User-Sub: evil",
            "x_user_sub: evil",
            "X-USER-ROLES: evil",
            "X-Workspace-Jwt: evil",
            "X_Forwarded_User: evil",
            "X-Forwarded-For: evil",
            "X-Forwarded-Host: evil",
            "X-Forwarded-Proto: evil",
            "X-Forwarded-Prefix: evil",
            "Forwarded: for=evil",
            "X-Real-IP: evil",
            "X-Original-URL: /evil",
            "X-Rewrite-URL: /evil",
            "Connection: X-Forwarded-For, X-Forwarded-Prefix, Host, X-Secret",
            "X-Secret: evil",
            "X-Kept: good",
        ],
    )
    .await
    .json();
    assert!(!echo.to_string().contains("evil"), "{echo}");
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "gw.example"),
        ("x-forwarded-prefix", "/gw/route/w"),
        ("host", &pod.addr.to_string()),
        ("x-kept", "good"),
    ] {
        assert_eq!(told(&echo, name), [value], "{name}");
    }
}

/// Every way of writing a name that a program behind a CGI-like interface reads as the same.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for part in name.split_inclusive('-') {
        let (word, joints): (_, &[&str]) = match part.strip_suffix('-') {
            Some(word) => (word, &["-", "_", "."]),
            None => (part, &[""]),
        };
        all = all
            .iter()
            .flat_map(|front| joints.iter().map(move |joint| format!("{front}{word}{joint}")))
            .collect();
    }
    let mut cased = Vec::new();
    for spelling in &all {
        let capital = spelling.char_indices().map(|(at, c)| {
            let first = at == 0 || !spelling.as_bytes()[at - 1].is_ascii_alphanumeric();
            if first { c.to_ascii_uppercase() } else { c }
        });
        cased.extend([spelling.clone(), spelling.to_ascii_uppercase(), capital.collect()]);
    }
    cased
}

#[tokio::test]
async fn t29_no_spelling_of_an_identity_gets_through_over_http_or_websockets() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let (sockets, mut asked) = crate::websocket::echo().await;
    gateway.directory.add("ws", pod_at(sockets.addr));
    let names: Vec<String> = [
        "x-user-sub",
        "x-user-roles",
        "x-user-email",
        "x-workspace-jwt",
        "x-forwarded-user",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-original-url",
        "x-rewrite-url",
        "x-real-ip",
        "true-client-ip",
    ]
    .into_iter()
    .flat_map(spellings)
    .collect();
    assert!(names.len() > 300 && names.contains(&"X_Forwarded.User".to_owned()));
    for some in names.chunks(40) {
        let lines: Vec<String> = some.iter().map(|name| format!("{name}: evil")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let echo = get(gateway.addr, "/route/w/", &lines).await.json();
        assert!(!echo.to_string().contains("evil"), "{echo}");
        let mut wire = Wire::connect(gateway.addr).await;
        wire.write(handshake("/route/ws/", &format!("{}\r\n", lines.join("\r\n")))).await;
        assert!(wire.read_head().await.starts_with("HTTP/1.1 101"));
        let (_, headers) = soon(asked.recv()).await.unwrap();
        assert!(!format!("{headers:?}").contains("evil"), "{headers:?}");
    }
}

#[tokio::test]
async fn t32_d07_gateway_cookies_stay_at_the_gateway() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let echo = get(
        gateway.addr,
        "/route/w/",
        &["Cookie: a=1; nocr_sess=secret; b=2", "Cookie: nocr_refresh=secret"],
    )
    .await
    .json();
    assert_eq!(told(&echo, "cookie"), ["a=1; b=2"]);
    let echo = get(gateway.addr, "/route/w/", &["Cookie: nocr_token=secret"]).await.json();
    assert!(told(&echo, "cookie").is_empty());
    let echo = get(gateway.addr, "/route/w/", &["Cookie: a=1;b=\"2\""]).await.json();
    assert_eq!(told(&echo, "cookie"), ["a=1;b=\"2\""]);
}

#[tokio::test]
async fn t25_t28_t40_d41_a_workspace_speaks_for_itself_only() {
    let pod = Program::http(|request| async move {
        let mut answer = text("");
        for (name, value) in [
            ("location", request.uri().query().unwrap_or("/login")),
            ("set-cookie", "nocr_sess=stolen; Path=/"),
            ("set-cookie", "app=1; Domain=example.com; Path=/"),
            ("clear-site-data", "\"*\""),
            ("service-worker-allowed", "/"),
            ("strict-transport-security", "max-age=1"),
            ("alt-svc", "h3=\":443\""),
            ("x-frame-options", "DENY"),
            ("content-security-policy", "frame-ancestors *; img-src *"),
            ("keep-alive", "timeout=5"),
            ("x-kept", "good"),
        ] {
            answer.headers_mut().append(name, value.parse().unwrap());
        }
        *answer.status_mut() = http::StatusCode::FOUND;
        answer
    })
    .await;
    let gateway = Gateway::with(config()).await;
    let mut described = pod_at(pod.addr);
    described.port = 1.try_into().unwrap();
    described.apis = vec![api("t", pod.addr.port(), "/term")];
    gateway.directory.add("api", described);
    gateway.directory.add("w", pod_at(pod.addr));

    let answer = get(gateway.addr, "/route/w/", &[]).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("/route/w/login"));
    assert_eq!(answer.header("set-cookie"), Some("app=1; Path=/route/w/"));
    assert_eq!(answer.header("content-security-policy"), Some("frame-ancestors 'self'; img-src *"));
    assert_eq!(answer.header("x-kept"), Some("good"));
    for name in [
        "clear-site-data",
        "service-worker-allowed",
        "strict-transport-security",
        "alt-svc",
        "x-frame-options",
        "keep-alive",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let answer = get(gateway.addr, "/route/api/term/", &[]).await;
    assert_eq!(answer.header("location"), Some("/route/api/term/login"));
    assert_eq!(answer.header("set-cookie"), Some("app=1; Path=/route/api/term/"));
    for (query, location) in [
        (format!("http://{}/x", pod.addr), "/route/w/x"),
        ("https://example.com/".to_owned(), "https://example.com/"),
        ("next".to_owned(), "next"),
    ] {
        let answer = get(gateway.addr, &format!("/route/w/?{query}"), &[]).await;
        assert_eq!(answer.header("location"), Some(location));
    }
    // Nobody follows redirects on the way.
    assert_eq!(pod.seen().len(), 5);
}

#[tokio::test]
async fn t46_compressed_answers_pass_as_they_are() {
    let pod = Program::http(|request| async move {
        let accepted = request.headers()["accept-encoding"].clone();
        // No valid gzip: whoever unpacks it fails.
        let mut answer = text(&b"\x1f\x8b\x08\x00not really"[..]);
        answer.headers_mut().insert("content-encoding", accepted);
        answer
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let answer = get(gateway.addr, "/route/w/", &["Accept-Encoding: gzip"]).await;
    assert_eq!(
        (answer.header("content-encoding"), answer.header("content-length")),
        (Some("gzip"), Some("14"))
    );
    assert!(answer.body.ends_with("not really"));
}

#[tokio::test]
async fn t40_odd_hosts_are_refused() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    for extra in ["Host: gw.example", "Host: other.example"] {
        assert_eq!(get(gateway.addr, "/route/w/", &[extra]).await.status, 400, "{extra}");
    }
    let mut text = Vec::new();
    for host in ["", "a b", "u@a", "a/b", "a\"b"] {
        text.clear();
        write!(text, "GET /route/w/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let answer = crate::support::client::Answer::parse(
            &crate::support::client::send_raw(gateway.addr, &text).await,
        );
        assert_eq!((answer.status, &answer.json()["code"]), (400, &"NCR0610".into()), "{host:?}");
    }
    assert_eq!(send(gateway.addr, "GET http://other.example/route/w/", &[], "").await.json()["target"], "/");
    assert_eq!(pod.seen().len(), 1);
}
