//! What is kept of a session, which only older versions of the protocol have.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use nocrd_model::Caller;
use rmcp::{ErrorData, RoleServer, model::ResourceUpdatedNotificationParam, service::Peer};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Gone, Interest, MAX_RESOURCES, News, Outlet, lock, serve};
use crate::{
    Surface,
    reader::Reader,
    resources::{self, Uri},
    respond, text,
};

/// How long a client may take to accept a notification. One that does not listen reads anew when it asks.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session, from `initialize` on. When the last clone of its [`Surface`] goes, nobody is told any more.
#[derive(Default)]
pub(crate) struct Session {
    /// After how long without a word from the client it is told nothing: what it is told would keep the session alive.
    idle: Option<Duration>,
    begun: OnceLock<Begun>,
}

struct Begun {
    interest: Arc<Mutex<Interest>>,
    _task: AbortOnDropHandle<()>,
}

impl Session {
    pub(crate) fn new(idle: Option<Duration>) -> Self {
        Self { idle, ..Self::default() }
    }

    /// Begins to tell the client behind `peer` of changed lists. `surface` is not the session's own.
    pub(crate) fn begin(&self, surface: Surface, caller: Caller, peer: Peer<RoleServer>) {
        self.begun.get_or_init(|| {
            let changes = surface.hub().subscribe();
            let interest = Interest::of(caller).until_idle(self.idle).in_tools().in_resources(&surface);
            let interest = Arc::new(Mutex::new(interest));
            let task = tokio::spawn(serve(surface, changes, Arc::clone(&interest), peer));
            Begun { interest, _task: AbortOnDropHandle::new(task) }
        });
    }

    /// A request of the session came from `caller`: the same person, perhaps with other rights.
    pub(crate) fn seen(&self, surface: &Surface, caller: &Caller) {
        if let Some(begun) = self.begun.get() {
            lock(&begun.interest).hear(surface, caller);
        }
    }

    pub(crate) fn subscribe(&self, surface: &Surface, caller: &Caller, uri: &str) -> Result<(), ErrorData> {
        let begun = self.begun.get().ok_or_else(|| {
            ErrorData::invalid_request("subscriptions need a session, and this server keeps none", None)
        })?;
        let parsed = Uri::parse(uri).ok_or_else(|| resources::not_found(uri))?;
        let readable = resources::contents(Reader::new(surface, caller), &parsed)
            .map_err(|error| respond::protocol_error(&error))?;
        if readable.is_none() {
            return Err(resources::not_found(uri));
        }
        if !lock(&begun.interest).add(surface, parsed) {
            let message = format!("no more than {MAX_RESOURCES} subscriptions: end one");
            return Err(ErrorData::invalid_request(message, None));
        }
        Ok(())
    }

    /// Ends a subscription; that there is none is as good.
    pub(crate) fn unsubscribe(&self, uri: &str) -> Result<(), ErrorData> {
        let uri = Uri::parse(uri).ok_or_else(|| resources::not_found(uri))?;
        if let Some(begun) = self.begun.get() {
            lock(&begun.interest).remove(&uri);
        }
        Ok(())
    }
}

impl Outlet for Peer<RoleServer> {
    async fn tell(&self, news: News) -> Result<(), Gone> {
        let sent = timeout(PATIENCE, async {
            match news {
                News::Tools => self.notify_tool_list_changed().await,
                News::Resources => self.notify_resource_list_changed().await,
                News::Updated(uri) => {
                    self.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri.to_string())).await
                }
            }
        });
        if let Ok(Err(error)) = sent.await {
            tracing::debug!(error = %text::line(&error.to_string(), 200), "a notification was not delivered");
        }
        if self.is_transport_closed() { Err(Gone) } else { Ok(()) }
    }
}
