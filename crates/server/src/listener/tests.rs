//! The listener over real sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use super::{Listener, Workers, bind};
use crate::{http::App, limits::Limits, tls::Tls};

/// Long enough that no test ends because of it.
const LONG: Duration = Duration::from_secs(600);

struct Running {
    listener: Listener,
    address: SocketAddr,
    _dir: Option<tempfile::TempDir>,
    /// PEM of the certificate.
    certificate: String,
}

fn lenient() -> Limits {
    Limits { handshake: LONG, first_request: LONG, idle: LONG, ..Limits::default() }
}

fn routes() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/echo", post(async |body: Bytes| body))
        .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
}

async fn start(router: Router, limits: Limits, tls: bool) -> Running {
    start_with(router, limits, tls.then_some(None)).await
}

/// With TLS when there is a `tls`, and client certificates of the authority in it when there is one.
async fn start_with(router: Router, limits: Limits, tls: Option<Option<&str>>) -> Running {
    let socket = bind("127.0.0.1", 0).await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut running_dir = None;
    let mut certificate = String::new();
    let tls = tls.map(|authority| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        certificate = made.cert.pem();
        std::fs::write(&cert, &certificate).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let ca = authority.map(|pem| {
            let ca = dir.path().join("ca.crt");
            std::fs::write(&ca, pem).unwrap();
            ca
        });
        running_dir = Some(dir);
        Tls::load(cert, key, ca).unwrap()
    });
    let listener =
        Listener::start(socket, &App::new(None, router, site()), tls, limits, Workers::start().unwrap());
    Running { listener, address, _dir: running_dir, certificate }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes the connection.
    async fn exchange(&self, sent: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(sent).await.unwrap();
        read_to_end(&mut stream).await
    }

    fn client(&self) -> reqwest::ClientBuilder {
        // Other tests of this process may not have installed a provider; a second installation is refused.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let builder = reqwest::Client::builder().no_proxy().resolve("localhost", self.address);
        if self.certificate.is_empty() {
            return builder;
        }
        let certificate = reqwest::Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        builder.tls_certs_only([certificate])
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }
}

/// Everything up to the end of the connection. A reset counts as an end.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    drop(stream.read_to_end(&mut read).await);
    String::from_utf8_lossy(&read).into_owned()
}

/// One answer without a body, as far as its head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn http_1_and_http_2_without_tls() {
    let server = start(routes(), lenient(), false).await;
    for (client, version) in [
        (server.client(), reqwest::Version::HTTP_11),
        (server.client().http2_prior_knowledge(), reqwest::Version::HTTP_2),
    ] {
        let answer = client.build().unwrap().get(server.url("http", "/")).send().await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (version, 200));
        assert_eq!(answer.headers()["x-request-id"].len(), 36);
        assert_eq!(answer.text().await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn http_1_and_http_2_with_tls() {
    let server = start(routes(), lenient(), true).await;
    for (client, version) in [
        (server.client(), reqwest::Version::HTTP_2),
        (server.client().http1_only(), reqwest::Version::HTTP_11),
    ] {
        let answer = client.build().unwrap().get(server.url("https", "/")).send().await.unwrap();
        assert_eq!((answer.version(), answer.text().await.unwrap().as_str()), (version, "hello"));
    }
}

/// A certificate and its key, issued by `issuer`.
fn issued(name: &str, issuer: &rcgen::Issuer<'_, rcgen::KeyPair>) -> (rcgen::Certificate, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// An authority, and its certificate as PEM.
fn authority() -> (rcgen::Issuer<'static, rcgen::KeyPair>, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().pem();
    (rcgen::Issuer::new(params, key), certificate)
}

#[tokio::test]
async fn with_an_authority_only_its_clients_connect() {
    let ((ours, ours_pem), (theirs, _)) = (authority(), authority());
    let server = start_with(routes(), lenient(), Some(Some(&ours_pem))).await;
    let ask = async |identity: Option<(rcgen::Certificate, rcgen::KeyPair)>| {
        let mut client = server.client();
        if let Some((certificate, key)) = identity {
            let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
            client = client.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        client
            .build()
            .unwrap()
            .get(server.url("https", "/"))
            .send()
            .await
            .map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask(Some(issued("client", &ours))).await.unwrap(), 200);
    assert!(ask(Some(issued("client", &theirs))).await.is_err());
    assert!(ask(None).await.is_err());
}

#[tokio::test]
async fn plain_text_on_the_tls_port_is_told_what_to_do() {
    let server = start(routes(), lenient(), true).await;
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_connection_goes_on() {
    let server = start(routes(), lenient(), false).await;
    let requests = b"GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = server.exchange(requests).await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("NCR0901"), "{answer}");
    assert!(!answer.contains("on purpose") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn t35_smuggled_and_malformed_requests_are_refused() {
    let server = start(routes(), lenient(), false).await;
    let refused = |text: &'static str| {
        let server = &server;
        async move {
            let answer = server.exchange(text.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{text:?}: {answer:?}");
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{text:?}: {answer}");
        }
    };
    for text in [
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X-Folded: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Nul: a\0b\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
    ] {
        refused(text).await;
    }
    // Both framings: the chunks count, and nothing after them does.
    let both = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n\
        1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = server.exchange(both.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nx"), "{answer}");
}

#[tokio::test]
async fn t38_the_number_and_size_of_headers_are_limited() {
    let server = start(routes(), lenient(), false).await;
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "b".repeat(100_000));
    for text in [many, long] {
        let answer = server.exchange(text.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn t38_the_size_of_headers_is_limited_over_http_2_too() {
    let server = start(routes(), lenient(), false).await;
    let client = server.client().http2_prior_knowledge().build().unwrap();
    let ask = async |fields: usize| {
        let request = client.get(server.url("http", "/"));
        let value = "b".repeat(3_000);
        (0..fields).fold(request, |request, n| request.header(format!("x-{n}"), &value)).send().await
    };
    assert_eq!(ask(2).await.unwrap().status(), 200);
    // It is told so, or the connection ends.
    if let Ok(answer) = ask(30).await {
        assert_eq!(answer.status(), 431);
    }
    assert_eq!(ask(2).await.unwrap().status(), 200);
}

#[tokio::test]
async fn t41_connections_without_a_request_are_closed() {
    let limits = Limits { first_request: Duration::from_millis(50), ..lenient() };
    let server = start(routes(), limits, false).await;
    // Nothing, half a head, and what could become HTTP/2.
    for beginning in ["", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", "PRI * HTTP/2.0\r\n"] {
        assert_eq!(server.exchange(beginning.as_bytes()).await, "", "{beginning:?}");
    }
    let limits = Limits { handshake: Duration::from_millis(50), ..lenient() };
    let server = start(routes(), limits, true).await;
    for beginning in [&b""[..], b"\x16\x03\x01"] {
        assert_eq!(server.exchange(beginning).await, "", "{beginning:?}");
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn t41_t43_a_client_that_does_not_read_is_cut_off() {
    let endless = get(async || {
        Body::from_stream(futures::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1 << 14]))
        }))
    });
    let limits = Limits { unread: Duration::from_secs(1), ..lenient() };
    let server = start(routes().route("/endless", endless), limits, false).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_head(&mut stream).await;
    // It ends although nobody has read or closed anything.
    while server.listener.open() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn t41_one_client_can_t_have_all_connections() {
    let server = start(routes(), Limits { connections_of_each: 1, ..lenient() }, false).await;
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(read_head(&mut first).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(read_to_end(&mut server.connect().await).await, "");
    drop(first);
    while server.listener.open() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn t41_connections_are_not_kept_for_ever() {
    let limits = Limits { idle: Duration::from_millis(50), ..lenient() };
    let server = start(routes(), limits, false).await;
    // The server, not the client, ends this, after the answer.
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn t41_a_head_that_drips_is_not_waited_for() {
    let short = Duration::from_millis(200);
    let server = start(routes(), Limits { first_request: short, idle: short, ..lenient() }, false).await;
    for before in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(format!("{before}GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").as_bytes()).await.unwrap();
        // One byte after the other, for as long as anybody takes them.
        let dripping = async {
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), dripping).await.expect("it drips for ever");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = start(routes(), Limits { connections: 1, ..lenient() }, false).await;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    second.write_all(request).await.unwrap();
    first.write_all(request).await.unwrap();
    assert!(read_head(&mut first).await.starts_with("HTTP/1.1 200 "));
    let mut byte = [0];
    assert_eq!(second.try_read(&mut byte).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert!(read_head(&mut second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn at_the_end_requests_under_way_finish_and_the_rest_is_closed() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, gate) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = get(async move || {
        inside.notify_one();
        gate.notified().await;
        "finished"
    });
    let server = start(routes().route("/slow", slow), lenient(), false).await;
    let mut unused = server.connect().await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_head(&mut idle).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    begun.notified().await;

    server.listener.finish();
    assert_eq!(read_to_end(&mut unused).await, "");
    assert_eq!(read_to_end(&mut idle).await, "hello");
    // Those who serve them come to their end a moment later.
    while server.listener.open() != 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    go_on.notify_one();
    let answer = read_to_end(&mut busy).await;
    assert!(
        answer.to_ascii_lowercase().contains("connection: close") && answer.ends_with("finished"),
        "{answer}"
    );
    server.listener.finished().await;
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn at_the_end_requests_on_their_way_are_answered_and_clients_told_to_go_elsewhere() {
    let server = start(routes(), Limits { linger: LONG, ..lenient() }, false).await;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut kept = server.connect().await;
    kept.write_all(request).await.unwrap();
    assert!(!read_head(&mut kept).await.contains("connection: close"));
    // The system has let it in, and the server has not had a look at it: nothing else runs meanwhile.
    let waiting = std::net::TcpStream::connect(server.address).unwrap();
    std::io::Write::write_all(&mut &waiting, request).unwrap();
    waiting.set_nonblocking(true).unwrap();
    server.listener.finish();
    let mut waiting = TcpStream::from_std(waiting).unwrap();
    kept.write_all(request).await.unwrap();
    // Read to the end: each is closed by its last answer.
    for (connection, before) in [(&mut kept, "hello"), (&mut waiting, "")] {
        let answer = read_to_end(connection).await;
        let answer = answer.strip_prefix(before).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close\r\n"),
            "{answer:?}"
        );
    }
    server.listener.finished().await;
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let endless =
        get(async || Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()));
    let server = start(routes().route("/endless", endless), lenient(), false).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_head(&mut stream).await;
    server.listener.finish();
    assert_eq!(server.listener.open(), 1);
    server.listener.cut();
    read_to_end(&mut stream).await;
    server.listener.finished().await;
}

fn site() -> Arc<crate::site::Site> {
    let settings =
        nocrd_config::Settings::from_env(&std::collections::BTreeMap::<String, String>::new()).unwrap();
    Arc::new(crate::site::Site::new(&settings))
}
