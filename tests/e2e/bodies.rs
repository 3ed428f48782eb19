//! Bodies of a gibibyte, both ways, at flat memory: the program as a process of its own between a client and a pod of the
//! test's, whose memory is what the system says it is.

#![cfg(target_os = "linux")]

mod pattern;
mod pod;

use std::{
    convert::Infallible,
    fs,
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use serde_json::json;
use tokio::runtime::Handle;

use self::{
    pattern::Pattern,
    pod::{Framing, read_head},
};
use crate::{program::Program, rpc::Rpc};

const GIB: u64 = 1 << 30;
/// As much of the other framing, which takes the same way, is enough.
const LESS: u64 = 256 << 20;
/// How much more memory the program may use than before.
const GROWTH: u64 = 48 << 20;

/// A server with one workspace, `w`, whose program is in this process.
struct Stage {
    program: Program,
    base: String,
    _kubeconfig: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = [("STATELESS", "true"), ("RATE_LIMIT_MAX", "1000000")];
        let program = Program::dev(&directory.path().join("kubeconfig"), &["--api-port=0"], &env);
        let base = program.base();
        let container = json!({ "name": "agent", "image": "busybox", "command": ["sleep", "1000"] });
        let rpc = Rpc::new(&base);
        rpc.call(
            "spawn_workspace",
            json!({ "id": "w", "spec": { "containers": [container] }, "wait": true }),
        )
        .await;
        let workspace = rpc.call("get_workspace", json!({ "id": "w" })).await;
        let ip = workspace["podIP"].as_str().unwrap_or_else(|| panic!("no address: {workspace}"));
        pod::listen(format!("{ip}:3000").parse().unwrap());
        Self { program, base, _kubeconfig: directory }
    }

    fn addr(&self) -> SocketAddr {
        self.base.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// A field of `/proc/<pid>/status`, in bytes.
    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Does `work`, and tells by how much the program's memory exceeded meanwhile what it was before.
    fn growth(&self, work: impl FnOnce(SocketAddr)) -> u64 {
        // The highest mark begins anew (proc(5)).
        fs::write(format!("/proc/{}/clear_refs", self.program.id()), "5").unwrap();
        let before = self.memory("VmRSS:");
        work(self.addr());
        self.memory("VmHWM:").saturating_sub(before)
    }

    fn assert_flat(&self, what: &str, work: impl FnOnce(SocketAddr)) {
        let growth = self.growth(work);
        eprintln!("{what}: {} KiB more", growth >> 10);
        assert!(growth < GROWTH, "{what}: {} MiB more", growth >> 20);
    }
}

/// Begins a request. What it says of its body is its framing.
fn begin(addr: SocketAddr, line: &str, framing: Framing) -> (TcpStream, BufReader<TcpStream>) {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut write = stream.try_clone().unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{}\r\n", framing.header());
    write.write_all(head.as_bytes()).unwrap();
    (write, BufReader::with_capacity(1 << 16, stream))
}

/// Sends a body of the pattern while reading an answer, the body of which must be the pattern too.
fn exchange(addr: SocketAddr, line: &str, up: Framing, down: u64, pause: Duration) {
    let (mut write, mut read) = begin(addr, line, up);
    let upload = thread::spawn(move || {
        up.write(&mut write);
        write
    });
    let head = read_head(&mut read).unwrap();
    assert!(head.line.starts_with("HTTP/1.1 200"), "{}", head.line);
    // Meanwhile the other side fills whatever can be filled.
    thread::sleep(pause);
    let mut seen = Pattern::default();
    head.framing.read(&mut read, |bytes| seen.verify(bytes));
    assert_eq!(seen.at(), down, "{line}");
    drop(upload.join().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn t43_a_gibibyte_passes_each_way_at_flat_memory() {
    let stage = Stage::set().await;
    let slow = Duration::from_millis(700);
    // Whatever is loaded once is loaded now.
    exchange(stage.addr(), "POST /route/w/echo", Framing::Chunked(1 << 20), 1 << 20, Duration::ZERO);
    stage.assert_flat("download with a length", |addr| {
        exchange(addr, &format!("GET /route/w/sized/{GIB}"), Framing::None, GIB, slow);
    });
    stage.assert_flat("download in chunks", |addr| {
        exchange(addr, &format!("GET /route/w/chunked/{LESS}"), Framing::None, LESS, slow);
    });
    stage.assert_flat("upload with a length", |addr| {
        count(addr, Framing::Sized(LESS));
    });
    stage.assert_flat("upload in chunks", |addr| {
        count(addr, Framing::Chunked(GIB));
    });
    stage.assert_flat("both ways at once", |addr| {
        exchange(addr, "POST /route/w/echo", Framing::Chunked(GIB), GIB, slow);
    });
    stage.assert_flat("both ways at once over HTTP/2", |addr| {
        tokio::task::block_in_place(|| Handle::current().block_on(exchange_http_2(addr, slow)));
    });
    tokio::task::spawn_blocking(|| stage.program.stop()).await.unwrap();
}

/// Sends a body and reads it as it comes back, over HTTP/2.
async fn exchange_http_2(addr: SocketAddr, pause: Duration) {
    const SIZE: u64 = LESS / 4;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let upload = futures::stream::unfold(Pattern::default(), |mut pattern| async move {
        let piece = pattern.next(SIZE - pattern.at());
        (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), pattern))
    });
    let request = client.post(format!("http://{addr}/route/w/echo")).body(reqwest::Body::wrap_stream(upload));
    let mut answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    tokio::time::sleep(pause).await;
    let mut seen = Pattern::default();
    while let Some(bytes) = answer.chunk().await.unwrap() {
        seen.verify(&bytes);
    }
    assert_eq!(seen.at(), SIZE);
}

/// Uploads a body, which the pod counts.
fn count(addr: SocketAddr, up: Framing) {
    let (mut write, mut read) = begin(addr, "POST /route/w/count", up);
    up.write(&mut write);
    let head = read_head(&mut read).unwrap();
    let mut told = String::new();
    read.read_to_string(&mut told).unwrap();
    assert_eq!((told, &head.line[..12]), (up.size().to_string(), "HTTP/1.1 200"));
}
