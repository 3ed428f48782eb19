//! Latency at a constant rate. Requests are due at fixed times, whether those before have been answered or not, and their
//! time counts from when they were due: a server that stops for a while is charged for all who would have come meanwhile.

use std::{sync::Arc, thread, time::Duration};

use futures::future::try_join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Uri,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::HOST,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::Instant,
};

use super::super::statistics::milliseconds;
use crate::Result;

/// Connections over which they are sent; when all wait for answers, the next one waits, and that counts.
const CONNECTIONS: usize = 32;

/// A constant rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Requests in a second.
    pub(super) rate: u32,
    pub(super) seconds: u32,
}

/// Requests `url` at that pace; the times until each answer was whole, in milliseconds.
pub(super) async fn latencies(url: &str, headers: &[(&str, &str)], pace: Pace) -> Result<Vec<f64>> {
    let uri: Uri = url.parse()?;
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(connect(&uri).await?);
    }
    let (clock, due) = mpsc::unbounded_channel();
    let due = Arc::new(Mutex::new(due));
    // A thread of its own: the timers of a runtime are no more precise than what is measured.
    let ticking = thread::spawn(move || tick(pace, &clock));
    let work = senders.into_iter().map(|sender| work(sender, &uri, headers, Arc::clone(&due)));
    let times = try_join_all(work).await;
    // When they failed, nobody listens to it any more, and it ends.
    drop(due);
    ticking.join().map_err(|_| "the clock of the load broke")?;
    Ok(times?.into_iter().flatten().collect())
}

fn tick(pace: Pace, clock: &mpsc::UnboundedSender<Instant>) {
    let start = Instant::now();
    for number in 0..pace.rate * pace.seconds {
        let due = start + Duration::from_secs(number.into()) / pace.rate;
        if let Some(left) = due.checked_duration_since(Instant::now()) {
            thread::sleep(left);
        }
        if clock.send(due).is_err() {
            return;
        }
    }
}

async fn connect(uri: &Uri) -> Result<SendRequest<Empty<Bytes>>> {
    let authority = uri.authority().ok_or("the URL has no host")?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its end shows at the sender.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// Answers one tick after the other over one connection.
async fn work(
    mut sender: SendRequest<Empty<Bytes>>,
    uri: &Uri,
    headers: &[(&str, &str)],
    ticks: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    loop {
        sender.ready().await?;
        // Not held while the answer is waited for.
        let next = ticks.lock().await.recv().await;
        let Some(due) = next else { return Ok(times) };
        let request = Request::get(target).header(HOST, authority);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = sender.send_request(request.body(Empty::new())?).await?;
        if !answer.status().is_success() {
            return Err(format!("{uri} answers {}", answer.status()).into());
        }
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        times.push(milliseconds(due.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A server that answers each request of a connection after `pause`, with that status.
    async fn server(status: &'static str, pause: Duration) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                        tokio::time::sleep(pause).await;
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        url
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_request_that_is_due_is_sent_and_timed() {
        let url = server("200 OK", Duration::ZERO).await;
        let times = latencies(&url, &[("x-a", "b")], Pace { rate: 500, seconds: 1 }).await.unwrap();
        assert_eq!(times.len(), 500);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn waiting_for_a_connection_counts() {
        // 32 connections answer 160 of 1000 requests a second: the last ones wait for seconds.
        let url = server("200 OK", Duration::from_millis(200)).await;
        let times = latencies(&url, &[], Pace { rate: 500, seconds: 1 }).await.unwrap();
        assert!(times.iter().any(|time| *time > 1000.0), "{times:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bad_answer_is_a_failure() {
        let url = server("404 Not Found", Duration::ZERO).await;
        let error = latencies(&url, &[], Pace { rate: 100, seconds: 1 }).await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}
