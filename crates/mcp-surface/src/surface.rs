use std::sync::Arc;

use nocrd_authz::policy::Denied;
use nocrd_model::Caller;
use nocrd_spawner::Spawner;
use tokio_util::task::AbortOnDropHandle;

use crate::{Error, Options, catalogue::Entry, changes::ToolChanges};

/// The MCP server. Clones share everything; see [`http_service`](crate::http_service) and
/// [`serve_stdio`](crate::serve_stdio) for ways to reach it.
#[derive(Clone)]
pub struct Surface {
    shared: Arc<Shared>,
    /// Who asks, when the transport serves one caller only.
    caller: Option<Caller>,
}

struct Shared {
    spawner: Spawner,
    options: Options,
    changes: ToolChanges,
    _watch: AbortOnDropHandle<()>,
}

impl Surface {
    /// Makes a server of the tools over `spawner`. It begins to watch the permissions of the server's own identity,
    /// hence must be called in a tokio runtime.
    #[must_use]
    pub fn new(spawner: Spawner, options: Options) -> Self {
        let changes = ToolChanges::new();
        let watch = tokio::spawn(changes.clone().watch(spawner.cluster().clone()));
        let shared = Shared { spawner, options, changes, _watch: AbortOnDropHandle::new(watch) };
        Self { shared: Arc::new(shared), caller: None }
    }

    /// The same server for one caller, whatever the transport says.
    #[must_use]
    pub fn for_caller(self, caller: Caller) -> Self {
        Self { caller: Some(caller), ..self }
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn changes(&self) -> &ToolChanges {
        &self.shared.changes
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
