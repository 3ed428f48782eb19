//! Uploads that go on when there is nothing left to be said to them.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{StreamExt as _, future::join_all};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Response,
    body::Frame,
    client::conn::http2::{self, SendRequest},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use nocrd_model::Protocol;
use nocrd_proxy_core::{Config, Pod, Stay};
use tokio::{net::TcpStream, sync::watch};

use crate::support::{
    Gateway,
    client::get,
    config,
    pod::{Answer, Program, hold},
    pod_at, soon, until,
};
use crate::visitors::Names;

type Upload = BoxBody<Bytes, Infallible>;

/// What a client sends without an end.
#[derive(Debug, Clone, Copy)]
enum Sends {
    Nothing,
    /// As much as is taken.
    Much,
}

impl Sends {
    fn body(self) -> Upload {
        let chunk = || Ok(Frame::data(Bytes::from_static(&[7; 16 * 1024])));
        let count = if matches!(self, Self::Nothing) { 0 } else { usize::MAX };
        BoxBody::new(StreamBody::new(
            futures::stream::repeat_with(chunk).take(count).chain(futures::stream::pending()),
        ))
    }
}

/// A pod that answers each request at once, and reads what comes with it only when it is told to.
struct Deaf {
    program: Program,
    read: watch::Sender<bool>,
    /// How many uploads have come to an end of some kind.
    ended: Arc<AtomicUsize>,
}

impl Deaf {
    /// One that says `ok`, or that begins a stream of events that has none.
    async fn start(protocol: Protocol, whole: bool) -> Self {
        let (read, heard) = watch::channel(false);
        let ended = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ended);
        let program = Program::raw(move |mut wire, _| {
            let (heard, count) = (heard.clone(), Arc::clone(&count));
            async move {
                if protocol == Protocol::Http {
                    let mut heard = heard;
                    let answer = if whole {
                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    } else {
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                    };
                    let mut head = wire.read_head().await;
                    wire.write(answer).await;
                    while whole && !head.contains("/x ") {
                        head = wire.read_head().await;
                        wire.write(answer).await;
                    }
                    let _ = heard.wait_for(|read| *read).await;
                    hold(wire.0).await;
                    count.fetch_add(usize::from(head.contains("/x ")), SeqCst);
                    return;
                }
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (mut heard, count) = (heard.clone(), Arc::clone(&count));
                    tokio::spawn(async move {
                        let _ = heard.wait_for(|read| *read).await;
                        let uploads = usize::from(request.uri().path() == "/x");
                        let mut body = request.into_body();
                        while let Some(Ok(_)) = body.frame().await {}
                        count.fetch_add(uploads, SeqCst);
                    });
                    let mut answer: Answer = Response::new(if whole {
                        Full::new(Bytes::from_static(b"ok")).boxed()
                    } else {
                        BoxBody::new(StreamBody::new(futures::stream::pending()))
                    });
                    if !whole {
                        answer.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
                    }
                    async move { Ok::<_, Infallible>(answer) }
                });
                let server = auto::Builder::new(TokioExecutor::new()).http2_only();
                let _ = server.serve_connection(TokioIo::new(wire.0), service).await;
            }
        })
        .await;
        Self { program, read, ended }
    }

    fn pod(&self, protocol: Protocol) -> Pod {
        Pod { protocol, ..pod_at(self.program.addr) }
    }
}

async fn client(gateway: &Gateway) -> SendRequest<Upload> {
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(sends: Sends) -> http::Request<Upload> {
    http::Request::get("http://gw.example/route/w/x").body(sends.body()).unwrap()
}

async fn until_async<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn kinds() -> impl Iterator<Item = (Protocol, Sends)> {
    let both = [Protocol::Http, Protocol::H2c].into_iter();
    both.flat_map(|protocol| [(protocol, Sends::Nothing), (protocol, Sends::Much)])
}

#[tokio::test]
async fn t41_t42_an_upload_has_its_place_for_as_long_as_it_goes_on_and_that_is_not_long() {
    join_all(kinds().map(|(protocol, sends)| async move {
        let pod = Deaf::start(protocol, true).await;
        let gateway = Gateway::with(Config { max_requests_per_workspace: 2, ..config() }).await;
        gateway.directory.add("w", pod.pod(protocol));
        let mut client = client(&gateway).await;
        for _ in 0..2 {
            let answer = soon(client.send_request(request(sends))).await.unwrap();
            assert_eq!(soon(answer.into_body().collect()).await.unwrap().to_bytes(), "ok");
        }
        let third = get(gateway.addr, "/route/w/", &[]).await;
        assert_eq!(third.status, 503, "{protocol:?} {sends:?}: {third:?}");
        // One place is free again, then both are.
        let free = || async { get(gateway.addr, "/route/w/", &[]).await.status == 200 };
        soon(until_async(free)).await;
        drop(soon(client.send_request(request(sends))).await.unwrap());
        soon(until_async(free)).await;
        pod.read.send_replace(true);
        until(|| pod.ended.load(SeqCst) >= 2).await;
    }))
    .await;
}

#[tokio::test]
async fn t16_an_upload_ends_with_the_answer_that_a_sign_out_ends() {
    join_all(kinds().map(|(protocol, sends)| async move {
        let pod = Deaf::start(protocol, false).await;
        let until_when = SystemTime::now() + Duration::from_millis(500);
        let names = Names::staying(Stay { until: Some(until_when), ..Stay::default() });
        let most = Config { max_requests_per_workspace: 1, ..config() };
        let gateway = Gateway::guarded(most, Some(Arc::new(names))).await;
        gateway.directory.add("w", Pod { owner: "bob".into(), ..pod.pod(protocol) });
        let mut client = client(&gateway).await;
        let mut events = request(sends);
        events.headers_mut().insert("authorization", "Bearer bob".parse().unwrap());
        let answer = soon(client.send_request(events)).await.unwrap();
        soon(answer.into_body().collect()).await.unwrap();
        soon(until_async(|| async {
            get(gateway.addr, "/route/w/", &["Authorization: Bearer bob"]).await.status == 200
        }))
        .await;
        pod.read.send_replace(true);
        until(|| pod.ended.load(SeqCst) >= 1).await;
    }))
    .await;
}
