//! Limits that hold before a request reaches the protocol: whose session it is, how many sessions and streams there
//! are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ::http::HeaderMap;
use nocrd_model::Subject;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// The header that names a session.
pub(super) const SESSION_HEADER: &str = "mcp-session-id";

/// Who began which session, and how much there may be of what.
pub(super) struct Gate {
    sessions: Arc<LocalSessionManager>,
    max_sessions: usize,
    streams: Arc<Semaphore>,
    owners: Mutex<HashMap<String, Option<Subject>>>,
}

impl Gate {
    pub(super) fn new(sessions: Arc<LocalSessionManager>, max_sessions: usize, max_streams: usize) -> Self {
        let streams = Arc::new(Semaphore::new(max_streams.min(Semaphore::MAX_PERMITS)));
        Self { sessions, max_sessions, streams, owners: Mutex::default() }
    }

    /// Refuses a session that somebody else began, just as one that does not exist.
    pub(super) fn check_session(&self, headers: &HeaderMap, caller: Option<&Subject>) -> Result<(), Refusal> {
        let Some(id) = headers.get(SESSION_HEADER) else { return Ok(()) };
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let known = id.to_str().ok().and_then(|id| owners.get(id));
        match known {
            Some(owner) if owner.as_ref() == caller => Ok(()),
            _ => Err(Refusal::no_such_session()),
        }
    }

    /// Refuses a session beyond the limit.
    pub(super) async fn check_room(&self) -> Result<(), Refusal> {
        if self.sessions.sessions.read().await.len() < self.max_sessions {
            return Ok(());
        }
        Err(Refusal::busy("too many sessions: end one, or try again later"))
    }

    /// Remembers who began the session that `headers`, those of an answer, name; forgets those that have ended.
    pub(super) async fn remember(&self, headers: &HeaderMap, caller: Option<Subject>) {
        let Some(id) = headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok()) else { return };
        let live = self.sessions.sessions.read().await;
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() > 2 * live.len() {
            owners.retain(|id, _| live.contains_key(id.as_str()));
        }
        owners.insert(id.to_owned(), caller);
    }

    /// Room for one long-lived stream, taken as long as the permit lives.
    pub(super) fn enter_stream(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| Refusal::busy("too many open streams: close one, or try again later"))
    }
}
