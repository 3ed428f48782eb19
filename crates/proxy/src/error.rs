//! Everything that can go wrong between a client and a workspace.
//!
//! The texts are for clients: none names an address, a header's value or a cause inside the server. Causes are sources,
//! for the log.

use std::{error::Error as StdError, io, time::Duration};

use nocrd_model::{Code, ErrorKind, InvalidName, WorkspaceId, error as codes};

use crate::{NotReady, Progress, path::Problem};

/// Why a request was not proxied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path names no workspace.
    #[error("nothing is served at this path")]
    RouteNotFound,
    /// What stands in the id's place is no id.
    #[error("{0}")]
    InvalidWorkspaceId(#[source] InvalidName),
    /// The path could be read in more than one way.
    #[error("{0}")]
    InvalidPath(#[source] Problem),
    /// The request contradicts HTTP.
    #[error("{0}")]
    Malformed(&'static str),
    /// A method that is never proxied.
    #[error("the method is not supported here")]
    MethodNotAllowed,
    /// An upgrade that is no WebSocket handshake.
    #[error("{0}")]
    UpgradeRefused(&'static str),
    /// A page of another site opens a WebSocket, or changes something with the user's cookies.
    #[error("this is for pages of this site only")]
    ForeignOrigin,
    /// No such workspace, or none that the visitor may reach.
    #[error("there is no workspace {id:?}", id = .0.as_str())]
    NotFound(WorkspaceId),
    /// The workspace can't serve yet, or not any more.
    #[error("workspace {id:?} is {state}{sep}{message}", id = .id.as_str(), state = .why.state, message = .why.message,
        sep = if .why.message.is_empty() { "" } else { ": " })]
    NotReady {
        /// The workspace.
        id: WorkspaceId,
        /// Why.
        why: NotReady,
    },
    /// The workspace has not asked for the endpoints that hand out its owner's token.
    #[error("token-api mode is not enabled for this workspace")]
    NoTokenApi,
    /// There are no tokens on a server that asks nobody who they are.
    #[error("this server asks nobody who they are, and has no tokens to hand out")]
    NobodyAsked,
    /// The directory of workspaces is not filled yet.
    #[error("the server has not read the cluster's state yet")]
    NotSynced,
    /// The server is about to end.
    #[error("the server is shutting down")]
    Draining,
    /// As many tunnels are open as allowed.
    #[error("too many WebSockets are open")]
    TunnelLimit,
    /// As many tunnels of one user are open as allowed.
    #[error("too many WebSockets of yours are open")]
    OwnTunnelLimit,
    /// As many tunnels to one workspace are open as allowed.
    #[error("too many WebSockets to this workspace are open")]
    WorkspaceTunnelLimit,
    /// As many requests to one workspace are under way as allowed.
    #[error("too many requests to this workspace are under way")]
    Busy,
    /// The pod's address is outside the allowed ranges.
    #[error("the workspace's address is not one the server connects to")]
    AddressRefused,
    /// The pod was replaced before there was a connection to it.
    #[error("the workspace's pod has just been replaced")]
    Replaced,
    /// No connection to the pod.
    #[error("the workspace does not accept connections on port {port}")]
    Refused {
        /// The port.
        port: u16,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The connection to the pod ended before its answer.
    #[error("the workspace broke the connection before it answered")]
    Broken(#[source] hyper::Error),
    /// The pod's answer is no HTTP, or not the HTTP that was asked for.
    #[error("the workspace's answer is not valid HTTP")]
    Invalid(#[source] Box<dyn StdError + Send + Sync>),
    /// The connection to the pod took too long.
    #[error("the workspace did not accept the connection in time")]
    ConnectTimeout,
    /// The pod's answer took too long.
    #[error("the workspace did not answer in time")]
    ResponseTimeout,
    /// The client's body took too long.
    #[error("the request's body did not arrive in time")]
    RequestTimeout,
    /// The client's body broke off, or is framed wrongly.
    #[error("the request's body is incomplete or malformed")]
    RequestBody(#[source] hyper::Error),
}

impl Error {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::RouteNotFound => codes::ROUTE_NOT_FOUND,
            Self::InvalidWorkspaceId(_) => codes::INVALID_WORKSPACE_ID,
            Self::InvalidPath(_) => codes::INVALID_PATH,
            Self::Malformed(_) | Self::RequestBody(_) => codes::REQUEST_MALFORMED,
            Self::MethodNotAllowed => codes::METHOD_NOT_ALLOWED,
            Self::UpgradeRefused(_) => codes::UPGRADE_REFUSED,
            Self::ForeignOrigin => codes::HOST_NOT_ALLOWED,
            Self::NotFound(_) => codes::WORKSPACE_NOT_FOUND,
            Self::NoTokenApi => codes::FORBIDDEN,
            Self::NobodyAsked => codes::ROUTE_NOT_FOUND,
            Self::NotReady { .. } | Self::Replaced => codes::WORKSPACE_NOT_READY,
            Self::NotSynced => codes::NOT_SYNCED,
            Self::Draining => codes::DRAINING,
            Self::TunnelLimit | Self::OwnTunnelLimit | Self::WorkspaceTunnelLimit => codes::TUNNEL_LIMIT,
            Self::Busy => codes::WORKSPACE_BUSY,
            Self::AddressRefused => codes::ADDRESS_REFUSED,
            Self::Refused { .. } | Self::Broken(_) => codes::UPSTREAM_REFUSED,
            Self::Invalid(_) => codes::UPSTREAM_INVALID,
            Self::ConnectTimeout | Self::ResponseTimeout => codes::UPSTREAM_TIMEOUT,
            Self::RequestTimeout => codes::REQUEST_TIMEOUT,
        }
    }

    /// What the client can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }

    /// The same without what a workspace's containers say, which may be anything: that is for its owner.
    pub(crate) fn for_guests(mut self) -> Self {
        if let Self::NotReady { why, .. } = &mut self {
            why.message.clear();
        }
        self
    }

    /// How far a workspace is that is on its way.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        match self {
            Self::NotReady { why, .. } => why.progress.as_ref(),
            _ => None,
        }
    }

    /// When asking again may help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotReady { why, .. } => Some(why.retry_after),
            Self::NotSynced | Self::Draining | Self::Busy | Self::Replaced => Some(Duration::from_secs(1)),
            // A program without a readiness probe counts as ready before it listens.
            Self::Refused { .. } => Some(Duration::from_secs(2)),
            Self::TunnelLimit | Self::OwnTunnelLimit | Self::WorkspaceTunnelLimit => {
                Some(Duration::from_secs(10))
            }
            _ => None,
        }
    }
}
