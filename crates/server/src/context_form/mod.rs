//! Pages on which users give what their MCP clients, and the models behind those, must not see: the context variables that a
//! template requires and does not call plain. MCP knows this as elicitation in URL mode; here is the port
//! [`ContextForms`] of the MCP server.
//!
//! The address of a page ends in a handle of 256 random bits. The handle is in that address alone: what is kept is kept under
//! its digest. A page is shown to whoever made the call, and to everybody else it is as if it were not there; where nobody
//! signs in, everybody is that one user, and the handle is what counts. A page takes values once, within ten minutes, and
//! never shows one.
//!
//! | module | what it holds |
//! |---|---|
//! | `question` | what a page asks, and the names of pages |
//! | `store` | where questions and answers wait: this process |
//! | `shared` | the same for replicas: Secrets |
//! | `fields` | what a browser sends |
//! | `page` | HTML |
//! | `routes` | the endpoint |

mod fields;
mod page;
mod question;
mod routes;
mod shared;
mod store;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use nocrd_authz::{
    clock::{Clock, UnixTime},
    keys::KeyRing,
};
use nocrd_cluster::Cluster;
use nocrd_mcp_surface::{ContextForms, Opened, Taken, Wanted};
use nocrd_model::{Caller, caller::Trust};
use tokio::sync::Notify;

use self::{
    question::{Handle, Question},
    shared::Shared,
    store::{Memory, NotKept, Store},
};
use crate::{Urls, endpoints};

pub(crate) use question::unnamed;
pub(crate) use routes::{Pages, receive, show};

/// How long a page is open, and its values wait for the call.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Pages that one caller may have open on this replica.
const MAX_EACH: usize = 20;
/// Most names that a page asks for.
const MAX_NAMES: usize = 50;
/// How often a call that waits looks for values that another replica has taken.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked for what is over.
const SWEEP: Duration = Duration::from_secs(60);
/// How long after a page ended its answer may still be there: it was given in the page's last moment.
const LEFT: Duration = LIFETIME.saturating_add(SWEEP);
/// In how many of these rounds it is looked for what other replicas left that were killed.
const ROUNDS: u32 = 10;

/// The pages that are open.
#[derive(Debug)]
pub(crate) struct Forms {
    /// What stands before a handle in the address of its page.
    address: String,
    memory: Memory,
    /// With authentication.
    shared: Option<Shared>,
    clock: Clock,
    /// Who has opened pages here, and until when they are open; the first to end first. Those that ended not long ago are still
    /// among them.
    opened: Mutex<VecDeque<(String, i64)>>,
    /// Values were given here.
    filled: Notify,
}

/// A page that is open.
struct Found<'a> {
    id: String,
    question: Question,
    store: &'a dyn Store,
}

impl Forms {
    /// `None` where users can't be told an address: nothing says by which name they reach the server. `keys` are those that
    /// replicas share, with authentication.
    pub(crate) fn new(urls: &Urls, cluster: Cluster, keys: Option<Arc<KeyRing>>) -> Option<Self> {
        let base = Some(urls.users()).filter(|base| base.contains("://"))?;
        let shared = keys.map(|keys| Shared::new(cluster, keys, LIFETIME));
        Some(Self::over(base, shared, Clock::system()))
    }

    fn over(base: &str, shared: Option<Shared>, clock: Clock) -> Self {
        let path = endpoints::CONTEXT.path();
        let path = path.split_once('{').map_or(path, |(before, _)| before);
        Self {
            address: format!("{base}{path}"),
            memory: Memory::new(clock.clone()),
            shared,
            clock,
            opened: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Removes what is over, for ever.
    pub(crate) async fn tidy(self: Arc<Self>) {
        for round in (0..ROUNDS).cycle() {
            self.memory.sweep().await;
            if let Some(shared) = &self.shared
                && (round == 0 || self.has_opened())
            {
                shared.sweep().await;
            }
            tokio::time::sleep(SWEEP).await;
        }
    }

    /// The page of this handle that is open for `caller`.
    async fn page(&self, handle: &str, caller: &Caller) -> Result<Option<Found<'_>>, NotKept> {
        let Some(handle) = Handle::parse(handle) else { return Ok(None) };
        let Some(found) = self.find(&handle.id()).await? else { return Ok(None) };
        if !found.question.is_for(caller) || found.store.answer(&found.id).await?.is_some() {
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Keeps what was given on a page. `false` when somebody was faster.
    async fn give(&self, found: &Found<'_>, values: &BTreeMap<String, String>) -> Result<bool, NotKept> {
        let kept = found.store.keep_answer(&found.id, &fields::pack(values)).await?;
        self.filled.notify_waiters();
        Ok(kept)
    }

    async fn find(&self, id: &str) -> Result<Option<Found<'_>>, NotKept> {
        let stores = [Some(&self.memory as &dyn Store), self.shared.as_ref().map(|shared| shared as _)];
        for store in stores.into_iter().flatten() {
            let question = store.question(id).await?.and_then(|bytes| Question::read(&bytes));
            if let Some(question) = question.filter(|question| question.expires > self.clock.now().as_secs())
            {
                return Ok(Some(Found { id: id.to_owned(), question, store }));
            }
        }
        Ok(None)
    }

    /// The pages that were opened here, without those that ended long ago.
    fn opened(&self) -> MutexGuard<'_, VecDeque<(String, i64)>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        while opened.front().is_some_and(|(_, expires)| UnixTime::new(*expires).plus(LEFT) <= now) {
            opened.pop_front();
        }
        opened
    }

    /// Whether something of this replica may be left in the cluster.
    fn has_opened(&self) -> bool {
        !self.opened().is_empty()
    }

    /// Counts a page; `false` when the caller has too many.
    fn may_open(&self, subject: &str, expires: i64) -> bool {
        let now = self.clock.now().as_secs();
        let mut opened = self.opened();
        let may = opened.iter().filter(|(who, until)| who == subject && *until > now).count() < MAX_EACH;
        if may {
            opened.push_back((subject.to_owned(), expires));
        }
        may
    }

    async fn keep(&self, id: &str, question: &[u8]) -> Result<(), NotKept> {
        if let Some(shared) = &self.shared {
            match shared.keep_question(id, question).await {
                Ok(()) => return Ok(()),
                Err(error) => shared.tell(&error),
            }
        }
        self.memory.keep_question(id, question).await
    }

    async fn open_page(&self, wanted: &Wanted<'_>) -> Option<Opened> {
        if self.shared.is_some() && wanted.caller.trust == Trust::Local {
            // Nobody who signs in is the user at standard input.
            return None;
        }
        let expires = self.clock.now().plus(LIFETIME).as_secs();
        let question = Question::new(wanted, expires)?;
        if !self.may_open(wanted.caller.subject.as_str(), expires) {
            tracing::warn!("somebody has too many pages for context open; no further one is opened for them");
            return None;
        }
        let handle = Handle::new();
        let id = handle.id();
        match self.keep(&id, &question.bytes()?).await {
            Ok(()) => Some(Opened { url: format!("{}{}", self.address, handle.text()), id }),
            Err(error) => {
                tracing::warn!(%error, "a page for context could not be opened");
                None
            }
        }
    }

    async fn take_values(&self, id: &str, caller: &Caller) -> Result<Taken, NotKept> {
        let Some(found) = self.find(id).await?.filter(|found| found.question.is_for(caller)) else {
            return Ok(Taken::Gone);
        };
        let Some(values) = found.store.answer(id).await? else { return Ok(Taken::NotYet) };
        found.store.remove(id).await;
        Ok(fields::unpack(&values).map_or(Taken::Gone, |values| Taken::Given(values.into_iter().collect())))
    }

    /// Whether a call that waits should look.
    async fn is_ripe(&self, id: &str) -> bool {
        match self.find(id).await {
            Ok(Some(found)) => found.store.answer(id).await.is_ok_and(|answer| answer.is_some()),
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

impl ContextForms for Forms {
    fn open<'a>(&'a self, wanted: &'a Wanted<'a>) -> BoxFuture<'a, Option<Opened>> {
        Box::pin(self.open_page(wanted))
    }

    fn take<'a>(&'a self, id: &'a str, caller: &'a Caller) -> BoxFuture<'a, Taken> {
        Box::pin(async move {
            self.take_values(id, caller).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "it can't be told now whether a page was filled in");
                Taken::NotYet
            })
        })
    }

    fn wait<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            loop {
                let filled = self.filled.notified();
                // Nobody tells of what happens at other replicas.
                drop(tokio::time::timeout(LOOK_EVERY, filled).await);
                if self.is_ripe(id).await {
                    return;
                }
            }
        })
    }

    fn close<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Ok(Some(found)) = self.find(id).await {
                found.store.remove(id).await;
            }
        })
    }
}
