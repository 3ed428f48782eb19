//! Clients that never stop asking, and remember everything.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{SinkExt, StreamExt};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle, time::sleep};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message},
};

use super::wire::{Answer, Client, connect};
use crate::dev::PATIENCE;

/// Between two requests of a client, which keeps the load such that a busy machine bears it.
const PAUSE: Duration = Duration::from_millis(4);

/// What became of a request.
pub(super) struct Seen {
    /// When it was sent.
    pub(super) at: Instant,
    pub(super) answer: io::Result<Answer>,
}

/// What became of a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    /// A message came back with this in front.
    Echoed(String),
    /// The handshake got this answer.
    Refused(u16),
    /// It was closed, with this code.
    Closed(u16),
    /// It ended without a word.
    Broken(String),
}

/// What all clients saw.
#[derive(Default)]
pub(super) struct Record {
    pub(super) requests: Vec<Seen>,
    pub(super) sockets: Vec<(SocketAddr, Socket)>,
}

/// Clients at work.
pub(super) struct Load {
    stop: watch::Sender<bool>,
    record: Arc<Mutex<Record>>,
    tasks: Vec<JoinHandle<()>>,
}

/// How many clients prefer each of the replicas.
#[derive(Clone, Copy)]
pub(super) struct Clients {
    pub(super) requests: usize,
    pub(super) sockets: usize,
    /// What they ask with, one after the other.
    pub(super) methods: &'static [&'static str],
}

impl Load {
    /// Begins to ask for these paths: of each replica, and of the others where it is away.
    pub(super) fn start(replicas: &[SocketAddr], path: &str, socket: &str, clients: Clients) -> Self {
        let (stop, stopped) = watch::channel(false);
        let record: Arc<Mutex<Record>> = Arc::default();
        let mut tasks = Vec::new();
        for preferred in 0..replicas.len() {
            let mut replicas = replicas.to_vec();
            replicas.rotate_left(preferred);
            for method in clients.methods.iter().cycle().take(clients.requests) {
                let (client, path) = (Client::of(replicas.clone()), path.to_owned());
                tasks.push(tokio::spawn(ask(client, method, path, Arc::clone(&record), stopped.clone())));
            }
            for _ in 0..clients.sockets {
                let (replicas, path) = (replicas.clone(), socket.to_owned());
                tasks.push(tokio::spawn(talk(replicas, path, Arc::clone(&record), stopped.clone())));
            }
        }
        Self { stop, record, tasks }
    }

    /// Looks at what was seen so far.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Record) -> T) -> T {
        at(&self.record.lock().unwrap())
    }

    /// Waits until what was seen is as wanted.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Record) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.look(&holds) {
            assert!(Instant::now() < deadline, "never: {what}; {}", self.look(Record::summary));
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for this many more answers and echoes.
    pub(super) async fn more(&self, answers: usize, echoes: usize) {
        let count = |record: &Record| (record.requests.len(), record.sockets.len());
        let before = self.look(count);
        self.until("more of the same", |record| {
            let now = count(record);
            now.0 >= before.0 + answers && now.1 >= before.1 + echoes
        })
        .await;
    }

    /// Ends it; gives what was seen.
    pub(super) async fn stop(self) -> Record {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.unwrap();
        }
        std::mem::take(&mut self.record.lock().unwrap())
    }
}

impl Record {
    /// The requests that were not answered by this secret.
    pub(super) fn failures(&self, secret: &str) -> Vec<String> {
        let failed = self.requests.iter().filter_map(|seen| match &seen.answer {
            Ok(answer) if answer.status == 200 && answer.body.contains(secret) => None,
            Ok(answer) => Some(format!("{} of {}: {}", answer.status, answer.from, answer.body)),
            Err(error) => Some(error.to_string()),
        });
        failed.collect()
    }

    /// What became of WebSockets other than echoes.
    pub(super) fn endings(&self) -> Vec<&Socket> {
        let sockets = self.sockets.iter().map(|(_, socket)| socket);
        sockets.filter(|socket| !matches!(socket, Socket::Echoed(_))).collect()
    }

    fn summary(&self) -> String {
        let last = self.requests.last().map(|seen| seen.answer.as_ref().map(|answer| answer.status));
        format!(
            "{} requests, the last: {last:?}; {} of sockets, the last: {:?}",
            self.requests.len(),
            self.sockets.len(),
            self.sockets.last()
        )
    }
}

async fn ask(
    mut client: Client,
    method: &'static str,
    path: String,
    record: Arc<Mutex<Record>>,
    stopped: watch::Receiver<bool>,
) {
    while !*stopped.borrow() {
        let at = Instant::now();
        let answer = client.ask(method, &path).await;
        record.lock().unwrap().requests.push(Seen { at, answer });
        sleep(PAUSE).await;
    }
}

/// Opens a WebSocket, talks over it until it ends, and opens the next.
async fn talk(
    replicas: Vec<SocketAddr>,
    path: String,
    record: Arc<Mutex<Record>>,
    stopped: watch::Receiver<bool>,
) {
    let note = |from: SocketAddr, socket| record.lock().unwrap().sockets.push((from, socket));
    while !*stopped.borrow() {
        sleep(PAUSE).await;
        // Nobody is there: what that means is told by those who ask.
        let Ok((from, stream)) = connect(&replicas).await else { continue };
        let stream: TcpStream = stream.into_inner();
        let mut socket = match client_async(format!("ws://{from}{path}"), stream).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(answer)) => {
                note(from, Socket::Refused(answer.status().as_u16()));
                continue;
            }
            Err(error) => {
                note(from, Socket::Broken(error.to_string()));
                continue;
            }
        };
        let end = loop {
            if *stopped.borrow() {
                // Both sides are told, so that neither waits for the other.
                drop(socket.close(None).await);
                return;
            }
            sleep(PAUSE).await;
            if let Err(error) = socket.send(Message::text("hello")).await
                && !matches!(error, Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_))
            {
                break Socket::Broken(error.to_string());
            }
            match socket.next().await {
                Some(Ok(Message::Text(text))) => note(from, Socket::Echoed(text.to_string())),
                Some(Ok(Message::Close(frame))) => {
                    break Socket::Closed(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(other)) => break Socket::Broken(format!("{other:?}")),
                Some(Err(error)) => break Socket::Broken(error.to_string()),
                None => break Socket::Broken("it ended".to_owned()),
            }
        };
        note(from, end);
    }
}
