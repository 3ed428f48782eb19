//! Readers that stop reading.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{Cluster, PATIENCE, Running};

/// How many there are, over each version of HTTP.
const READERS: u64 = 60;
/// The most that the gateway may hold for one of them.
const MOST: u64 = 256 * 1024;

/// A pod whose answers have no end, and how much of them it has got rid of.
async fn fountain() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sent = Arc::clone(&count);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
                stream.write_all(head).await.unwrap();
                while let Ok(written) = stream.write(&[7; 64 * 1024]).await {
                    sent.fetch_add(written as u64, SeqCst);
                }
            });
        }
    });
    (port, sent)
}

/// The bytes in the system's buffers of all connections from or to one of these ports.
fn in_buffers(ports: [u16; 2]) -> u64 {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let bytes = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, ..] = fields[..] else { return 0 };
        let port = |address: &str| hex(address.split_once(':').unwrap().1);
        let ours = |address: &str| ports.iter().any(|ours| port(address) == u64::from(*ours));
        let (sending, receiving) = queues.split_once(':').unwrap();
        if ours(local) || ours(remote) { hex(sending) + hex(receiving) } else { 0 }
    };
    table.lines().skip(1).map(bytes).sum()
}

#[tokio::test]
async fn t43_a_reader_that_stops_costs_little() {
    let cluster = Cluster::start().await;
    let server = Running::start(&cluster, &[]).await;
    let gateway: std::net::SocketAddr = server.base.strip_prefix("http://").unwrap().parse().unwrap();
    for version in ["HTTP/1.1", "HTTP/2"] {
        let (port, sent) = fountain().await;
        let id = if version == "HTTP/2" { "two" } else { "one" };
        cluster.add_pod(id, port);
        cluster.make_ready(id);
        let path = format!("/route/{id}/");
        // What a client of HTTP/2 takes of an answer before its reader does, counts among what is held.
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
        let client = client.http2_initial_stream_window_size(16 * 1024);
        let client = client.http2_initial_connection_window_size(64 * 1024).build().unwrap();
        server.until("/route/none/", |status, _| status == 404).await;
        let mut stopped: Vec<Box<dyn std::any::Any>> = Vec::new();
        let waiting = async {
            while stopped.len() < READERS as usize {
                if version == "HTTP/2" {
                    let answer = client.get(format!("{}{path}", server.base)).send().await.unwrap();
                    if answer.status() == 200 {
                        stopped.push(Box::new(answer));
                    }
                } else {
                    let mut stream = TcpStream::connect(gateway).await.unwrap();
                    let request = format!("GET {path} HTTP/1.1\r\nHost: {gateway}\r\n\r\n");
                    stream.write_all(request.as_bytes()).await.unwrap();
                    let mut status = [0; 12];
                    stream.read_exact(&mut status).await.unwrap();
                    if status.ends_with(b"200") {
                        stopped.push(Box::new(stream));
                    }
                }
            }
            // All that is to flow has flowed.
            let state = || (sent.load(SeqCst), in_buffers([port, gateway.port()]));
            let (mut last, mut since) = (state(), 0);
            while since < 10 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let now = state();
                since = if now == last { since + 1 } else { 0 };
                last = now;
            }
            last
        };
        let (sent, buffered) = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        let held = sent.saturating_sub(buffered) / READERS;
        assert!(held > 0 && held < MOST, "{version}: {held} bytes for each reader");
    }
    server.stop().await;
}
