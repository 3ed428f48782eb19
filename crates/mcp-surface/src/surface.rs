use std::{sync::Arc, time::Duration};

use nocrd_authz::{keys::KeyRing, policy::Denied};
use nocrd_model::Caller;
use nocrd_spawner::Spawner;

use crate::{
    Error, Options,
    catalogue::Entry,
    extension::{Extension, Nothing},
    subscriptions::{Hub, session::Session},
};

/// The MCP server. Clones share everything; see [`http_service`](crate::http_service) and
/// [`serve_stdio`](crate::serve_stdio) for ways to reach it.
#[derive(Clone)]
pub struct Surface {
    shared: Arc<Shared>,
    /// Who asks, when the transport serves one caller only.
    caller: Option<Caller>,
    session: Arc<Session>,
}

struct Shared {
    spawner: Spawner,
    options: Options,
    hub: Hub,
    keys: Arc<KeyRing>,
}

impl Surface {
    /// Makes a server of the tools over `spawner`. It begins to watch the cluster for changes that clients are told of,
    /// hence must be called in a tokio runtime.
    #[must_use]
    pub fn new(spawner: Spawner, options: Options) -> Self {
        let hub = Hub::start(spawner.cluster());
        let keys = options.keys.clone().unwrap_or_else(|| Arc::new(KeyRing::of_this_process()));
        let shared = Arc::new(Shared { spawner, options, hub, keys });
        Self { shared, caller: None, session: Arc::default() }
    }

    /// The same server for one caller, whatever the transport says.
    #[must_use]
    pub fn for_caller(self, caller: Caller) -> Self {
        Self { caller: Some(caller), ..self }
    }

    /// The same server for another session. In one that ends when the client says nothing for a while, `idle`, nothing
    /// is told to a client that has said nothing for that long.
    pub(crate) fn for_session(&self, idle: Option<Duration>) -> Self {
        Self { session: Arc::new(Session::new(idle)), ..self.clone() }
    }

    /// The same server without a session.
    pub(crate) fn detached(&self) -> Self {
        self.for_session(None)
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn extension(&self) -> &dyn Extension {
        self.shared.options.extension.as_deref().unwrap_or(&Nothing)
    }

    /// What seals values that clients keep for the server.
    pub(crate) fn keys(&self) -> &KeyRing {
        &self.shared.keys
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Who asks: the one caller of the transport, else the one that the HTTP layers put into the request.
    pub(crate) fn identify(&self, request: Option<&http::Extensions>) -> Result<Caller, Error> {
        let known = self.caller.as_ref().or_else(|| request?.get::<Caller>());
        match known {
            Some(caller) => Ok(caller.clone()),
            None if self.shared.options.auth_enabled => Err(Error::Unauthenticated),
            None => Ok(Caller::local()),
        }
    }

    /// Whether a caller may use a tool: the one place where that is decided.
    pub(crate) fn check(&self, caller: &Caller, entry: &Entry) -> Result<(), Denied> {
        entry.action.map_or(Ok(()), |action| self.shared.options.policy.check(caller, action))
    }
}
