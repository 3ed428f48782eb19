//! Programs in pods.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::client::Wire;

pub(crate) type Answer = Response<BoxBody<Bytes, std::convert::Infallible>>;

/// A listening program. Dropped, it is gone with all its connections.
pub(crate) struct Program {
    pub(crate) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// Request targets in order of arrival, where the program notes them.
    seen: Arc<Mutex<Vec<String>>>,
    _accepting: JoinSet<()>,
}

impl Program {
    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// `METHOD target` of each request so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Runs `program` for each connection.
    pub(crate) async fn raw<F, Fut>(program: F) -> Self
    where
        F: Fn(Wire, usize) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::raw_at(Ipv4Addr::LOCALHOST.into(), program).await
    }

    pub(crate) async fn raw_at<F, Fut>(ip: IpAddr, program: F) -> Self
    where
        F: Fn(Wire, usize) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                running.spawn(program(Wire(stream), count.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Self { addr, connections, seen: Arc::default(), _accepting: accepting }
    }

    /// Answers each request with `answer`.
    pub(crate) async fn http<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&seen);
        let mut program = Self::raw(move |wire, _| {
            let (answer, log) = (answer.clone(), Arc::clone(&log));
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    log.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
                    let answer = answer(request);
                    async move { Ok::<_, std::convert::Infallible>(answer.await) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(wire.0), service).await;
            }
        })
        .await;
        program.seen = seen;
        program
    }

    /// Tells what it was asked, as JSON: method, target, headers, body and trailers.
    pub(crate) async fn echo() -> Self {
        Self::http(echo).await
    }
}

pub(crate) fn text(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()).boxed())
}

/// Tells what it was asked, as JSON.
pub(crate) async fn echo(request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let headers: Vec<[String; 2]> = pairs(&parts.headers);
    let body = body.collect().await;
    let (body, trailers) = match body {
        Ok(body) => {
            let trailers = body.trailers().map(pairs).unwrap_or_default();
            (String::from_utf8_lossy(&body.to_bytes()).into_owned(), trailers)
        }
        Err(error) => (format!("error: {error}"), Vec::new()),
    };
    let told = serde_json::json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": body,
        "trailers": trailers,
    });
    text(told.to_string())
}

fn pairs(headers: &http::HeaderMap) -> Vec<[String; 2]> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| [name.as_str().to_owned(), text(value)]).collect()
}

/// The values an echo tells for a header.
pub(crate) fn told<'a>(echo: &'a serde_json::Value, name: &str) -> Vec<&'a str> {
    let headers = echo["headers"].as_array().unwrap();
    headers.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

/// Keeps a connection open for as long as the other side does.
pub(crate) async fn hold(mut stream: TcpStream) {
    use tokio::io::AsyncReadExt as _;
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
}
