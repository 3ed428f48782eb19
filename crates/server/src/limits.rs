//! What clients may use, so that slow or greedy ones don't starve the others.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Connections at a time; more wait to be accepted. Tunnels count for the proxy, not here.
    pub(crate) connections: usize,
    /// Those of one address, of IPv6 one network: others must always find room. A reverse proxy is one address.
    pub(crate) connections_of_each: usize,
    /// Longest time a TLS handshake may take.
    pub(crate) handshake: Duration,
    /// Longest time until the head of a connection's first request is there.
    pub(crate) first_request: Duration,
    /// Longest time a connection may go without a request, and a later request's head may take. Load balancers commonly
    /// keep connections for 60 s, and must be the ones to close them: else they send requests into closing ones.
    pub(crate) idle: Duration,
    /// How long, when the server ends, an unused connection stays open for a request that may be on its way. The answer
    /// says that it is the connection's last.
    pub(crate) linger: Duration,
    /// Longest time a client may take nothing of what we send it, where the system can tell (Linux). Videos are paused.
    pub(crate) unread: Duration,
    /// Header fields in a request.
    pub(crate) headers: usize,
    /// Bytes of a request's head.
    pub(crate) head_bytes: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub(crate) streams: u32,
    /// How fast the body of a request must come that the server itself reads.
    pub(crate) body: Pace,
}

/// How fast something must arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Longest pause.
    pub(crate) pause: Duration,
    /// Longest time for the whole.
    pub(crate) whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_of_each: 10_000,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            linger: Duration::from_millis(500),
            unread: Duration::from_secs(300),
            headers: 100,
            head_bytes: 64 * 1024,
            streams: 200,
            body: Pace { pause: Duration::from_secs(30), whole: Duration::from_secs(300) },
        }
    }
}

/// Files and sockets this process may have open: as many as the system lets us, up to this. The usual soft limit of 1024
/// is no more than a leftover of `select(2)`; children get the same, hence not the millions that some systems allow.
const OPEN_FILES: u64 = 65_536;

/// Raises the limit of open files.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
