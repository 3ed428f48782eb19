//! What an operator can set.

use std::{sync::Arc, time::Duration};

use crate::{AddressPolicy, BasePath, ErrorPages, OriginPolicy, RenderError};

/// Settings of a [`crate::Proxy`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Prefix of every route (`BASE_URL`).
    pub base_path: BasePath,
    /// Which pod addresses are dialled (`POD_CIDRS`).
    pub addresses: AddressPolicy,
    /// Longest time a TCP connection to a pod may take. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest time a pod may take to begin its answer, counted from the last byte of the request's body it was given
    /// (`PROXY_TIMEOUT`); `None` is no limit. Default 120 s.
    pub response_timeout: Option<Duration>,
    /// Longest time a response's body or a tunnel may go without a byte; `None` is no limit. Default 1 h.
    pub idle_timeout: Option<Duration>,
    /// Whether connections to pods serve more than one request (`PROXY_KEEP_ALIVE`). Default yes.
    pub keep_alive: bool,
    /// Longest time an unused connection to a pod is kept; one that announces a shorter time (`Keep-Alive: timeout=…`)
    /// is dropped earlier. Default 60 s.
    pub keep_alive_timeout: Duration,
    /// Whether the owner's access token is passed to their own workspaces in `x-workspace-jwt`
    /// (`AUTH_INJECT_WORKSPACE_JWT`). Default yes.
    pub inject_token: bool,
    /// Most tunnels open at a time. Default 16,384.
    pub max_tunnels: usize,
    /// Most tunnels open at a time for one user, where users are told apart. Default 256.
    pub max_tunnels_per_user: usize,
    /// Most tunnels open at a time to one workspace. Default 1,024.
    pub max_tunnels_per_workspace: usize,
    /// Most requests under way at a time to one workspace, from their first byte to the last one of their answer,
    /// or of their body where that goes on. Default 1,024.
    pub max_requests_per_workspace: usize,
    /// How long a tunnel that is being closed may take to finish the frame in flight and to say goodbye. Default 5 s.
    pub close_timeout: Duration,
    /// Which pages may open WebSockets.
    pub origins: OriginPolicy,
    /// How errors are worded and laid out.
    pub errors: Arc<dyn RenderError>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_path: BasePath::default(),
            addresses: AddressPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Some(Duration::from_secs(120)),
            idle_timeout: Some(Duration::from_secs(3600)),
            keep_alive: true,
            keep_alive_timeout: Duration::from_secs(60),
            inject_token: true,
            max_tunnels: 16_384,
            max_tunnels_per_user: 256,
            max_tunnels_per_workspace: 1024,
            max_requests_per_workspace: 1024,
            close_timeout: Duration::from_secs(5),
            origins: OriginPolicy::default(),
            errors: Arc::new(ErrorPages),
        }
    }
}
