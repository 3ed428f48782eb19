//! Clients that end their side of a connection, and clients that go away.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::support::{Cluster, PATIENCE, Running};

/// What a pod does with a connection once it has read a request's head.
type Said = mpsc::UnboundedReceiver<String>;

/// A pod that answers when it is told what with, and tells when a connection to it has ended. What it reads after the head
/// of a request it tells with that.
async fn pod(answer: mpsc::UnboundedReceiver<Vec<u8>>) -> (u16, Said) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut answer = answer;
        while let Ok((stream, _)) = listener.accept().await {
            let (mut read, mut write) = stream.into_split();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = read.read_u8().await else { break };
                head.push(byte);
            }
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            if line.starts_with("GET /ready ") {
                write
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await
                    .unwrap();
                continue;
            }
            tell.send(line).unwrap();
            let sending = async {
                while let Some(bytes) = answer.recv().await {
                    if bytes.is_empty() || write.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            };
            let mut body = Vec::new();
            tokio::select! {
                () = sending => {}
                _ = read.read_to_end(&mut body) => {}
            }
            tell.send(format!("ended after {}", body.len())).unwrap();
        }
    });
    (port, told)
}

struct Stage {
    server: Running,
    answer: mpsc::UnboundedSender<Vec<u8>>,
    said: Said,
    addr: SocketAddr,
    _cluster: Cluster,
}

impl Stage {
    async fn set() -> Self {
        let cluster = Cluster::start().await;
        let server = Running::start(&cluster, &[]).await;
        let (answer, answers) = mpsc::unbounded_channel();
        let (port, said) = pod(answers).await;
        cluster.add_pod("w1", port);
        cluster.make_ready("w1");
        server.until("/route/w1/ready", |status, _| status == 200).await;
        let addr = server.base.strip_prefix("http://").unwrap().parse().unwrap();
        Self { server, answer, said, addr, _cluster: cluster }
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn hears(&mut self) -> String {
        timeout(PATIENCE, self.said.recv()).await.unwrap().unwrap()
    }
}

const ASKED: &str = "GET /route/w1/slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

async fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn a_client_that_ends_its_side_gets_its_answer() {
    let mut stage = Stage::set().await;
    for request in [
        ASKED,
        "POST /route/w1/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\nbody",
        "POST /route/w1/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ] {
        let mut client = stage.send(request).await;
        client.shutdown().await.unwrap();
        let heard = stage.hears().await;
        assert!(heard.contains(" /slow "), "{request}: {heard}");
        // Long enough for the end of the client's side to be seen.
        sleep(Duration::from_millis(300)).await;
        let body = "x".repeat(3 << 20);
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        stage.answer.send(head.into()).unwrap();
        sleep(Duration::from_millis(300)).await;
        stage.answer.send(body.clone().into()).unwrap();
        // It reads slowly at first: what was answered is not cut off because it has ended its side.
        sleep(Duration::from_millis(300)).await;
        let answer = rest(client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{}", &answer[..100.min(answer.len())]);
        assert!(answer.ends_with(&body), "{} bytes", answer.len());
        assert!(stage.hears().await.starts_with("ended"));
    }
    stage.server.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_not_waited_for_long() {
    let mut stage = Stage::set().await;
    // Before the answer has begun, only time tells it from one that waits.
    drop(stage.send(ASKED).await);
    assert!(stage.hears().await.contains(" /slow "));
    assert_eq!(stage.hears().await, "ended after 0");
    // In the midst of its request, that it has ended tells.
    let half =
        stage.send("POST /route/w1/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert!(stage.hears().await.contains(" /slow "));
    drop(half);
    let ended = timeout(Duration::from_secs(5), stage.said.recv()).await.unwrap().unwrap();
    assert_eq!(ended, "ended after 4");
    // In the midst of an answer, the next bytes of that tell.
    let client = stage.send(ASKED).await;
    assert!(stage.hears().await.contains(" /slow "));
    drop(client);
    stage.answer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec()).unwrap();
    let telling = async {
        loop {
            tokio::select! {
                biased;
                said = stage.said.recv() => return said.unwrap(),
                () = sleep(Duration::from_millis(20)) => stage.answer.send(b"more".to_vec()).unwrap(),
            }
        }
    };
    assert!(timeout(Duration::from_secs(5), telling).await.unwrap().starts_with("ended"));
    stage.server.stop().await;
}

#[tokio::test]
async fn an_answer_that_ends_an_upload_reaches_the_client() {
    let mut stage = Stage::set().await;
    let mut client =
        stage.send("POST /route/w1/up HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000\r\n\r\n").await;
    assert!(stage.hears().await.contains(" /up "));
    let refusal = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfull";
    stage.answer.send(refusal.into()).unwrap();
    // The pod closes the connection.
    stage.answer.send(Vec::new()).unwrap();
    assert!(stage.hears().await.starts_with("ended"));
    // The client, which reads only when it has written, is neither stopped nor reset while it writes.
    let piece = vec![0; 1 << 20];
    for _ in 0..40 {
        timeout(PATIENCE, client.write_all(&piece)).await.unwrap().unwrap();
    }
    let mut answer = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("full"), "{answer}");
    stage.server.stop().await;
}
