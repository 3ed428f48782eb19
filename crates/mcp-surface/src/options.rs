use std::{sync::Arc, time::Duration};

use nocrd_authz::{keys::KeyRing, policy::Policy};
use nocrd_registry::Registry;

use crate::{ContextForms, Observer, extension::Extension};

/// What a [`Surface`](crate::Surface) is told when it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// The product's version, for `serverInfo` and `get_capabilities`.
    pub version: String,
    /// What stands before `/route/<id>/` in the URLs of workspaces: empty, a path such as `/gateway`, or a whole URL
    /// without a slash at its end.
    pub base_url: String,
    /// Whether transports verify callers. Then a request without a [`Caller`](nocrd_model::Caller) is refused;
    /// otherwise it counts as the local user's.
    pub auth_enabled: bool,
    /// What verified callers may do. The local user may do everything.
    pub policy: Arc<Policy>,
    /// Whether users are asked before a tool destroys or changes what is there. Without a client that can ask them, it does not.
    pub confirm_destructive: bool,
    /// Where users give what their clients must not see; `None` when there is no such place.
    pub forms: Option<Arc<dyn ContextForms>>,
    /// The keys that all replicas share, to seal what clients keep for the server; of this process alone when `None`.
    pub keys: Option<Arc<KeyRing>>,
    /// How long `spawn_workspace` waits at most, and by default, for a workspace to become ready.
    pub spawn_timeout: Duration,
    /// The page that clients with MCP Apps show, as HTML; `None` means there is none.
    pub ui_page: Option<Arc<str>>,
    /// The registry whose images are listed.
    pub registry: Option<Registry>,
    /// Is told of every call of a tool.
    pub observer: Option<Arc<dyn Observer>>,
    /// What is served beside the product's own.
    #[doc(hidden)]
    pub extension: Option<Arc<dyn Extension>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base_url: String::new(),
            auth_enabled: false,
            policy: Arc::default(),
            confirm_destructive: false,
            forms: None,
            keys: None,
            spawn_timeout: Duration::from_secs(300),
            ui_page: None,
            registry: None,
            observer: None,
            extension: None,
        }
    }
}
