//! What the API server's refusals mean to a caller.

mod from_kube;

use std::time::Duration;

use nocrd_model::{Code, ErrorKind, InvalidName, Namespace, error as codes};

use crate::Scope;

pub(crate) use from_kube::{Asked, chain, is_expired};

/// Why something could not be done in the cluster. Messages come from the API server's `Status` (reason, message,
/// causes), never from headers or bodies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server can't be reached.
    #[error("cannot reach the Kubernetes API server{}: {cause}", at(server.as_deref()))]
    Unreachable {
        /// Its URL without credentials, when known.
        server: Option<String>,
        /// What failed, in the transport's words.
        cause: String,
    },
    /// The API server did not answer in time.
    #[error("the Kubernetes API server{} did not answer within {} s ({what})", at(server.as_deref()), after.as_secs_f32())]
    Timeout {
        /// Its URL without credentials, when known.
        server: Option<String>,
        /// What was asked.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// The API server is overloaded or shutting down.
    #[error("the Kubernetes API server is busy: {message}")]
    Busy {
        /// The API server's message.
        message: String,
    },
    /// The server's own identity lacks a permission.
    #[error("the server lacks the permission to {verb} {resource}{}", scope(namespace.as_deref()))]
    Forbidden {
        /// RBAC verb.
        verb: String,
        /// RBAC resource, with its subresource after a slash.
        resource: String,
        /// The namespace; `None` for the whole cluster.
        namespace: Option<String>,
    },
    /// The API server does not know the server's own identity.
    #[error("the Kubernetes API server does not accept this server's credentials")]
    Unauthorized,
    /// The credentials of the kubeconfig can't be obtained: an exec plugin failed, a token file is missing.
    #[error("the credentials for the Kubernetes API server can't be obtained")]
    Credentials,
    /// An admission rule of the cluster refused the object.
    #[error("the cluster does not admit it: {message}")]
    Refused {
        /// The API server's message.
        message: String,
    },
    /// A ResourceQuota is used up.
    #[error("{message}")]
    QuotaExceeded {
        /// The API server's message.
        message: String,
    },
    /// There is no such object, or no such namespace.
    #[error("{what} not found")]
    NotFound {
        /// Resource and name, as in `pods "w1"`.
        what: String,
    },
    /// There is an object of that name already.
    #[error("{what} already exists")]
    AlreadyExists {
        /// Resource and name, as in `pods "w1"`.
        what: String,
    },
    /// The object is another one, or was changed meanwhile.
    #[error("{message}")]
    Conflict {
        /// The API server's message.
        message: String,
    },
    /// The object, or the question, is not valid.
    #[error("{message}")]
    Invalid {
        /// The API server's message.
        message: String,
        /// Each field and what is wrong with it, when the API server says so.
        causes: Vec<String>,
    },
    /// The object is too large.
    #[error("{message}")]
    TooLarge {
        /// The API server's message.
        message: String,
    },
    /// Any other refusal.
    #[error("the Kubernetes API server answered {code}{}", detail(reason, message))]
    Api {
        /// HTTP status.
        code: u16,
        /// One word; may be empty.
        reason: String,
        /// A sentence; may be empty.
        message: String,
    },
    /// The answer can't be read.
    #[error("the Kubernetes API server's answer can't be read ({what})")]
    Unreadable {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What should be a namespace's name is none.
    #[error(transparent)]
    InvalidNamespace(InvalidName),
    /// The server does not work in that namespace.
    #[error(
        "namespace {namespace} is outside this server's reach (mode {scope}, default namespace {default})"
    )]
    NamespaceNotAllowed {
        /// The namespace asked for.
        namespace: Namespace,
        /// How far the server reaches.
        scope: Scope,
        /// Its default namespace.
        default: Namespace,
    },
}

fn at(server: Option<&str>) -> String {
    server.map(|server| format!(" at {server}")).unwrap_or_default()
}

fn scope(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| " in the cluster".to_owned(), |namespace| format!(" in namespace {namespace}"))
}

fn detail(reason: &str, message: &str) -> String {
    let reason = if reason.is_empty() { String::new() } else { format!(" {reason}") };
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    reason + &message
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. } => codes::CLUSTER_UNREACHABLE,
            Self::Forbidden { .. } | Self::Unauthorized | Self::Credentials => codes::CLUSTER_FORBIDDEN,
            Self::Refused { .. } | Self::Invalid { .. } | Self::TooLarge { .. } => codes::CLUSTER_REFUSED,
            Self::QuotaExceeded { .. } => codes::CLUSTER_QUOTA,
            Self::NotFound { .. } => codes::CLUSTER_NOT_FOUND,
            Self::AlreadyExists { .. } => codes::CLUSTER_EXISTS,
            Self::Conflict { .. } => codes::CLUSTER_CONFLICT,
            Self::Api { .. } | Self::Unreadable { .. } => codes::CLUSTER_ERROR,
            Self::InvalidNamespace(_) => codes::INVALID_NAMESPACE,
            Self::NamespaceNotAllowed { .. } => codes::NAMESPACE_NOT_ALLOWED,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}
