//! The least that a proxy on the same library can do: hyper on both sides, one thread for each processor, connections kept,
//! three headers added. It knows one pod and asks nobody anything. What it falls short of nginx is not ours to gain.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, thread};

use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderName, HeaderValue},
    http::uri::PathAndQuery,
    server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime,
    sync::watch,
    task::{LocalSet, spawn_local},
};

use crate::Result;

/// The path below which it forwards.
pub(super) const BELOW: &str = "/route/bench";
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// The running proxy. Dropping it ends its threads.
pub(super) struct Bare {
    pub(super) port: u16,
    _end: watch::Sender<()>,
}

/// The connections to the pod that rest, of one thread.
type Resting = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

impl Bare {
    pub(super) fn start(port: u16, pod: u16) -> Result<Self> {
        let (end, ended) = watch::channel(());
        for _ in 0..thread::available_parallelism()?.get() {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let mut ended = ended.clone();
            thread::spawn(move || {
                let serving = LocalSet::new();
                serving.spawn_local(async move {
                    if let Err(error) = serve(port, pod).await {
                        println!("the bare proxy does not serve: {error}");
                    }
                });
                runtime.block_on(serving.run_until(async { ended.changed().await }))
            });
        }
        Ok(Self { port, _end: end })
    }
}

async fn serve(port: u16, pod: u16) -> Result {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let (listener, resting) = (socket.listen(BACKLOG)?, Resting::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let resting = Rc::clone(&resting);
        let service = service_fn(move |request| forward(request, pod, Rc::clone(&resting)));
        spawn_local(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn forward(mut request: Request<Incoming>, pod: u16, resting: Resting) -> Result<Response<Incoming>> {
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    *request.uri_mut() = target.strip_prefix(BELOW).ok_or("another path")?.parse::<Uri>()?;
    let host = HeaderValue::from_str(&format!("127.0.0.1:{pod}"))?;
    let asked = request.headers_mut().insert(HOST, host);
    for (name, value) in [
        ("x-forwarded-for", HeaderValue::from_static("127.0.0.1")),
        ("x-forwarded-proto", HeaderValue::from_static("http")),
        ("x-forwarded-host", asked.ok_or("no Host")?),
    ] {
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let rested = resting.borrow_mut().pop();
    let mut sender = match rested {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(("127.0.0.1", pod)).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            spawn_local(connection);
            sender
        }
    };
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    // It is ready again when the answer has been passed on.
    resting.borrow_mut().push(sender);
    Ok(answer)
}
