//! What the tests share.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use nocrd_model::{Api, AuthMode, Subject, Visibility, WorkspaceId};
use nocrd_proxy_core::{
    AddressPolicy, Body, Config, Drain, Guard, Lookup, Peer, Pod, Proxy, Target, WorkspaceDirectory,
};
use tokio::{net::TcpListener, task::JoinSet};

pub(crate) mod client;
pub(crate) mod frames;
pub(crate) mod pattern;
pub(crate) mod pod;
pub(crate) mod versions;

/// Fails instead of hanging.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("hangs")
}

/// Waits until a condition holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The workspaces of a test: what each look finds, of which the last counts for all that follow.
#[derive(Default)]
pub(crate) struct Directory(Mutex<HashMap<String, VecDeque<Lookup>>>);

impl WorkspaceDirectory for Directory {
    fn lookup(&self, id: &WorkspaceId) -> Lookup {
        let mut all = self.0.lock().unwrap();
        let Some(looks) = all.get_mut(id.as_str()) else { return Lookup::NotFound };
        if looks.len() > 1 { looks.pop_front().unwrap() } else { looks[0].clone() }
    }
}

impl Directory {
    pub(crate) fn set(&self, id: &str, lookup: Lookup) {
        self.set_in_turn(id, [lookup]);
    }

    /// Lets each look find the next of these.
    pub(crate) fn set_in_turn(&self, id: &str, looks: impl IntoIterator<Item = Lookup>) {
        self.0.lock().unwrap().insert(id.to_owned(), looks.into_iter().collect());
    }

    pub(crate) fn add(&self, id: &str, pod: Pod) {
        self.set(id, Lookup::Found(Arc::new(Target::new(pod))));
    }
}

/// A pod as the directory knows it.
pub(crate) fn pod_at(addr: SocketAddr) -> Pod {
    Pod {
        uid: "uid-1".into(),
        ip: addr.ip(),
        port: NonZeroU16::new(addr.port()).unwrap(),
        protocol: nocrd_model::Protocol::Http,
        apis: Vec::new(),
        owner: Subject::guest(),
        subfolder: false,
        auth: AuthMode::default(),
    }
}

pub(crate) fn api(name: &str, port: u16, path: &str) -> Api {
    Api {
        name: name.into(),
        port: NonZeroU16::new(port).unwrap(),
        path: path.into(),
        desc: None,
        methods: Vec::new(),
        refresh: None,
        visibility: Visibility::Private,
        protocol: nocrd_model::Protocol::Http,
    }
}

/// Settings under which pods on loopback are reached.
pub(crate) fn config() -> Config {
    Config { addresses: AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]), ..Config::default() }
}

/// The proxy in a server.
pub(crate) struct Gateway {
    pub(crate) addr: SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) directory: Arc<Directory>,
    proxy: Proxy,
    _accepting: JoinSet<()>,
}

impl Gateway {
    pub(crate) async fn with(config: Config) -> Self {
        Self::guarded(config, None).await
    }

    pub(crate) async fn guarded(config: Config, guard: Option<Arc<dyn Guard>>) -> Self {
        let directory = Arc::new(Directory::default());
        let drain = Drain::new();
        let proxy = Proxy::new(Arc::<Directory>::clone(&directory), config, drain.clone());
        let proxy = match guard {
            Some(guard) => proxy.with_guard(guard),
            None => proxy,
        };
        Self::serving(proxy, drain, directory).await
    }

    /// The same proxy at another address, with connections of its own.
    pub(crate) async fn beside(&self) -> Self {
        let (drain, directory) = (self.drain.clone(), Arc::clone(&self.directory));
        Self::serving(self.proxy.with_own_connections(), drain, directory).await
    }

    async fn serving(proxy: Proxy, drain: Drain, directory: Arc<Directory>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, proxy.clone()));
        Self { addr, drain, directory, proxy, _accepting: accepting }
    }

    /// A gateway with one workspace, `w`, at `pod`.
    pub(crate) async fn to(pod: SocketAddr) -> Self {
        let gateway = Self::with(config()).await;
        gateway.directory.add("w", pod_at(pod));
        gateway
    }
}

async fn accept(listener: TcpListener, proxy: Proxy) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, addr) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (proxy, peer) = (proxy.clone(), Peer::new(addr, false));
        connections.spawn(async move {
            let service = service_fn(move |request| answer(proxy.clone(), request, peer.clone()));
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    proxy: Proxy,
    request: Request<Incoming>,
    peer: Peer,
) -> Result<Response<Body>, hyper::Error> {
    if proxy.matches(request.uri().path()) {
        return Ok(proxy.handle(request, &peer).await);
    }
    let mut response = Response::new(Body::from(bytes::Bytes::from_static(b"not the proxy's")));
    *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
    Ok(response)
}

/// A loopback address of a pod's own.
pub(crate) fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 9, 9, last).into()
}

/// The head of the request that a pod gets for a request of this line. After a NUL, one more header may follow, with an
/// empty body in chunks.
pub(crate) async fn send_recorded(gateway: &Gateway, request: &str) -> String {
    let (record, mut recorded) = tokio::sync::mpsc::unbounded_channel();
    let program = pod::Program::raw(move |mut wire, _| {
        let record = record.clone();
        async move {
            record.send(wire.read_head().await).unwrap();
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            pod::hold(wire.0).await;
        }
    })
    .await;
    gateway.directory.add("w", pod_at(program.addr));
    let (line, header) = request.split_once('\0').unwrap_or((request, ""));
    let (header, body) =
        if header.is_empty() { (String::new(), "") } else { (format!("{header}\r\n"), "0\r\n\r\n") };
    let text = format!("{line} HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\n{header}\r\n{body}");
    let answer = client::Answer::parse(&client::send_raw(gateway.addr, text).await);
    assert_eq!(answer.status, 200, "{request}: {answer:?}");
    soon(recorded.recv()).await.unwrap()
}
