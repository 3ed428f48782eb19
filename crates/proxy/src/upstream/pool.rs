//! Connections that rest between two requests.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use hyper::client::conn::http1::SendRequest;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{Destination, Outgoing, leash::Leash, permission::Permission};

/// Most connections that rest for one address.
const MAX_PER_ADDRESS: usize = 128;
/// How often connections that have ended or rested too long are dropped, if nobody asks for them before.
const SWEEP: Duration = Duration::from_secs(10);
/// A pod that announces how long it keeps connections is believed, less this.
const MARGIN: Duration = Duration::from_secs(1);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The resting connections to all pods.
#[derive(Debug)]
pub(crate) struct Pool {
    /// `None`: none are kept.
    timeout: Option<Duration>,
    resting: Mutex<Resting>,
}

#[derive(Debug, Default)]
struct Resting {
    by_address: HashMap<SocketAddr, Slot>,
    is_swept: bool,
}

/// The connections to the pod that had an address last. They are never handed to another pod at the same address.
#[derive(Debug)]
struct Slot {
    uid: Arc<str>,
    connections: Vec<Connection>,
}

/// A connection, and the task that drives it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sender: SendRequest<Outgoing>,
    pub(super) task: AbortHandle,
}

#[derive(Debug)]
struct Connection {
    line: Line,
    since: Instant,
    /// How long it may rest.
    timeout: Duration,
}

impl Connection {
    fn is_usable(&self) -> bool {
        !self.line.sender.is_closed() && self.since.elapsed() < self.timeout
    }
}

impl Pool {
    /// A pool in which connections may rest that long.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, resting: Mutex::default() }
    }

    /// A pool that keeps nothing.
    pub(super) fn unpooled(&self) -> Arc<Self> {
        Arc::new(Self::new(None))
    }

    fn lock(&self) -> MutexGuard<'_, Resting> {
        // Nothing in here can panic half-way.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that was used last, if it has rested no longer than `most_rested`.
    pub(super) fn take(&self, to: Destination<'_>, most_rested: Duration) -> Option<Line> {
        self.timeout?;
        let mut resting = self.lock();
        let slot = resting.by_address.get_mut(&to.addr)?;
        if slot.uid != *to.uid {
            resting.by_address.remove(&to.addr);
            return None;
        }
        // A connection whose answer has just ended may need a moment to be ready again: it is passed over.
        let mut at = slot.connections.len();
        while let Some(next) = at.checked_sub(1) {
            at = next;
            let connection = slot.connections.get(at)?;
            if !connection.is_usable() {
                slot.connections.swap_remove(at);
            } else if connection.line.sender.is_ready() && connection.since.elapsed() < most_rested {
                return Some(slot.connections.swap_remove(at).line);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, addr: SocketAddr, uid: Arc<str>, connection: Connection) {
        let mut resting = self.lock();
        let slot = resting
            .by_address
            .entry(addr)
            .or_insert_with(|| Slot { uid: Arc::clone(&uid), connections: Vec::new() });
        if slot.uid != uid {
            // The address has gone to another pod meanwhile, or is about to.
            *slot = Slot { uid, connections: Vec::new() };
        }
        if slot.connections.len() < MAX_PER_ADDRESS {
            slot.connections.push(connection);
        }
        if !std::mem::replace(&mut resting.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// Drops what is of no use any more, until nothing is left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut resting = pool.lock();
        resting.by_address.retain(|_, slot| {
            slot.connections.retain(Connection::is_usable);
            !slot.connections.is_empty()
        });
        if resting.by_address.is_empty() {
            resting.is_swept = false;
            return;
        }
    }
}

/// A connection in use, alone. Dropped, it closes the connection; released, it is used again.
#[derive(Debug)]
pub(crate) struct Alone {
    line: Line,
    addr: SocketAddr,
    uid: Arc<str>,
    pool: Arc<Pool>,
    timeout: Duration,
    /// Where the request has a body. Boxed: most have none.
    sending: Option<Box<Sending>>,
}

/// The body of the request, which may go on for longer than the answer.
#[derive(Debug)]
struct Sending {
    asked: Asked,
    leash: Leash,
}

/// What the pod said to a request that asked whether it may send its body; dropped when the answer has ended.
#[derive(Debug)]
struct Asked(Option<Permission>);

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(permission) = &self.0 {
            permission.over();
        }
    }
}

impl Alone {
    /// The connection over which an answer with these headers comes.
    pub(super) fn new(line: Line, to: Destination<'_>, pool: Arc<Pool>, headers: &HeaderMap) -> Self {
        let most = pool.timeout.unwrap_or_default();
        let timeout =
            announced_timeout(headers).map_or(most, |timeout| most.min(timeout.saturating_sub(MARGIN)));
        Self { line, addr: to.addr, uid: Arc::clone(to.uid), pool, timeout, sending: None }
    }

    /// The same, for a request with a body, which may have asked before it sent that.
    pub(super) fn sending(self, leash: Leash, permission: Option<Permission>) -> Self {
        Self { sending: Some(Box::new(Sending { asked: Asked(permission), leash })), ..self }
    }

    /// Tells whether the pod has answered without wanting the request's body.
    pub(super) fn is_refusal(&self) -> bool {
        let asked = self.sending.as_ref().and_then(|sending| sending.asked.0.as_ref());
        asked.is_some_and(Permission::is_refused)
    }

    /// The answer has ended: lets the connection rest.
    pub(super) fn release(mut self) {
        let is_refusal = self.is_refusal();
        let is_whole = self.sending.take().is_none_or(|sending| sending.leash.release());
        if is_whole && !is_refusal && !self.timeout.is_zero() && !self.line.sender.is_closed() {
            let connection = Connection { line: self.line, since: Instant::now(), timeout: self.timeout };
            self.pool.put(self.addr, self.uid, connection);
        }
    }
}

/// The seconds of `Keep-Alive: timeout=5, max=100`.
fn announced_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = text.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().parse().ok()).flatten()
    })?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_pod_announces() {
        let timeout = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(KEEP_ALIVE, text.parse().unwrap());
            announced_timeout(&headers).map(|timeout| timeout.as_secs())
        };
        assert_eq!(timeout("timeout=5"), Some(5));
        assert_eq!(timeout("max=100, Timeout = 72"), Some(72));
        for other in ["", "timeout", "timeout=x", "timeout=-1", "max=3"] {
            assert_eq!(timeout(other), None, "{other}");
        }
    }
}
