//! Bodies flow as they come, at the pace of the slower side.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc};

use crate::support::{
    Gateway,
    client::{Answer, Wire},
    pod::{Program, hold, text},
    soon, until,
};

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (events, source) = mpsc::unbounded_channel::<&'static str>();
    let source = Arc::new(tokio::sync::Mutex::new(source));
    let pod = Program::http(move |_| {
        let source = Arc::clone(&source);
        async move {
            let events = futures::stream::unfold(source, |source| async move {
                let event = source.lock().await.recv().await?;
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(event.as_bytes()))), source))
            });
            let mut answer = Response::new(BoxBody::new(StreamBody::new(Box::pin(events))));
            answer.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            answer
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("GET /route/w/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(wire.read_head().await.contains("text/event-stream"));
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        // Sent only now that everything before has arrived.
        events.send(event).unwrap();
        assert_eq!(wire.read_until(b"\n\n\r\n").await, format!("9\r\n{event}\r\n").as_bytes());
    }
    drop(events);
    assert_eq!(wire.read(5).await, b"0\r\n\r\n");
}

type BoxBody = http_body_util::combinators::BoxBody<Bytes, Infallible>;

#[tokio::test]
async fn request_and_response_flow_at_the_same_time() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for _ in 0..3 {
            let chunk = wire.read_until(b"\r\n").await;
            let data = wire.read_until(b"\r\n").await;
            wire.write([chunk, data].concat()).await;
        }
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("POST /route/w/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    wire.read_head().await;
    for _ in 0..3 {
        wire.write("4\r\nping\r\n").await;
        assert_eq!(wire.read(9).await, b"4\r\nping\r\n");
    }
}

#[tokio::test]
async fn an_early_answer_is_passed_on_while_the_body_is_still_coming() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        hold(wire.0).await;
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("POST /route/w/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome").await;
    assert!(wire.read_head().await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_request_to_the_pod() {
    let (gone, mut heard) = mpsc::unbounded_channel();
    let pod = Program::raw(move |mut wire, _| {
        let gone = gone.clone();
        async move {
            let head = wire.read_head().await;
            if head.starts_with("GET /body") {
                wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
            }
            hold(wire.0).await;
            gone.send(()).unwrap();
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    for (path, expected) in [("/route/w/head", ""), ("/route/w/body", "half")] {
        let mut wire = Wire::connect(gateway.addr).await;
        wire.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        if expected.is_empty() {
            until(|| pod.connections() == 1).await;
        } else {
            wire.read_until(expected.as_bytes()).await;
        }
        drop(wire);
        soon(heard.recv()).await.unwrap();
    }
}

/// A body of zeros, which counts what was taken.
struct Zeros {
    left: u64,
    taken: Arc<AtomicU64>,
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let size = self.left.min(CHUNK.len() as u64);
        self.left -= size;
        self.taken.fetch_add(size, SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK[..size as usize])))))
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

async fn count(mut body: Incoming, most: &AtomicU64) -> u64 {
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        total += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
        most.fetch_max(resident(), SeqCst);
    }
    total
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t43_memory_stays_flat_while_much_passes_both_ways() {
    const SIZE: u64 = 256 << 20;
    let most = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&most);
    let pod = Program::http(move |request| {
        let most = Arc::clone(&seen);
        async move {
            if request.method() == "GET" {
                return Response::new(Zeros { left: SIZE, taken: Arc::default() }.boxed());
            }
            text(count(request.into_body(), &most).await.to_string())
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let stream = TokioIo::new(TcpStream::connect(gateway.addr).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let before = resident();
    let body = Zeros { left: SIZE, taken: Arc::default() };
    let post = Request::post("/route/w/").header("host", "a").body(body).unwrap();
    let answer = soon(sender.send_request(post)).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), SIZE.to_string());
    soon(sender.ready()).await.unwrap();
    let none = Zeros { left: 0, taken: Arc::default() };
    let get = Request::get("/route/w/").header("host", "a").body(none).unwrap();
    let answer = soon(sender.send_request(get)).await.unwrap();
    assert_eq!(soon(count(answer.into_body(), &most)).await, SIZE);
    let grown = most.load(SeqCst).saturating_sub(before);
    assert!(grown < 32 << 20, "{} MiB more while {} MiB passed twice", grown >> 20, SIZE >> 20);
}

#[tokio::test]
async fn t43_a_client_that_does_not_read_stops_the_pod() {
    const SIZE: u64 = 1 << 30;
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    let pod = Program::http(move |_| {
        let taken = Arc::clone(&count);
        async move { Response::new(Zeros { left: SIZE, taken }.boxed()) }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write("GET /route/w/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    wire.read_head().await;
    // One thread runs everything: as soon as this task gets many turns in a row without progress, all others wait.
    let (mut last, mut still) = (0, 0);
    soon(async {
        while still < 500 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            let now = taken.load(SeqCst);
            still = if now == last { still + 1 } else { 0 };
            last = now;
        }
    })
    .await;
    assert!(last < 64 << 20, "the pod could send {} MiB", last >> 20);
}

#[tokio::test]
async fn a_client_body_that_breaks_off_is_no_answer() {
    let pod = Program::echo().await;
    let gateway = Gateway::to(pod.addr).await;
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(
        "POST /route/w/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n",
    )
    .await;
    let answer = wire.read_to_end().await;
    if !answer.is_empty() {
        let answer = Answer::parse(&answer);
        assert_eq!((answer.status, &answer.json()["code"]), (400, &"NCR0610".into()));
    }
}
