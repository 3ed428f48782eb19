use nocrd_authz::policy::Denied;
use nocrd_model::{Code, ErrorKind, InvalidName, error as codes};

/// Why a tool could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Arguments that don't fit the tool's input schema.
    #[error("{}", problems.join("; "))]
    Arguments {
        /// What is wrong, one sentence per argument.
        problems: Vec<String>,
    },
    /// A workspace id that is none.
    #[error(transparent)]
    WorkspaceId(InvalidName),
    /// Spawning, finding or stopping failed.
    #[error(transparent)]
    Spawner(#[from] nocrd_spawner::Error),
    /// The Kubernetes API, or the limits set on its use.
    #[error(transparent)]
    Cluster(#[from] nocrd_cluster::Error),
    /// Something about a template.
    #[error(transparent)]
    Template(#[from] nocrd_templates::Error),
    /// The image registry.
    #[error(transparent)]
    Registry(#[from] nocrd_registry::Error),
    /// The server's own identity lacks permissions without which the tool can't work.
    #[error("{tool} needs Kubernetes permissions that the server lacks: {}", missing.join(", "))]
    MissingPermission {
        /// The tool.
        tool: &'static str,
        /// `verb resource`, each.
        missing: Vec<String>,
    },
    /// The caller lacks a right.
    #[error("{tool} is not for you: {lacking}")]
    Denied {
        /// The tool.
        tool: &'static str,
        /// The right.
        lacking: Denied,
    },
    /// The server verifies callers, and this request's transport named none.
    #[error("the request carries no verified identity")]
    Unauthenticated,
    /// The client cancelled the call.
    #[error("cancelled by the client")]
    Cancelled,
    /// The user was asked, and said no.
    #[error("the user did not agree to {tool}")]
    Declined {
        /// What they were asked for.
        tool: &'static str,
    },
    /// The user is to be asked, and can't be.
    #[error("{tool} must be confirmed by the user, and this client can't ask them")]
    ConfirmationNeeded {
        /// The tool.
        tool: &'static str,
    },
    /// A tool of ours broke.
    #[error("the tool failed unexpectedly")]
    Internal,
}

impl Error {
    /// One wrong argument.
    pub(crate) fn argument(problem: impl Into<String>) -> Self {
        Self::Arguments { problems: vec![problem.into()] }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Arguments { .. } => codes::INVALID_ARGUMENT,
            Self::WorkspaceId(_) => codes::INVALID_WORKSPACE_ID,
            Self::Spawner(source) => source.code(),
            Self::Cluster(source) => source.code(),
            Self::Template(source) => source.code(),
            Self::Registry(source) => source.code(),
            Self::MissingPermission { .. } => codes::CLUSTER_FORBIDDEN,
            Self::Denied { lacking, .. } => lacking.code(),
            Self::Unauthenticated => codes::UNAUTHENTICATED,
            Self::Cancelled => codes::CANCELLED,
            Self::Declined { .. } => codes::DECLINED,
            Self::ConfirmationNeeded { .. } => codes::CONFIRMATION_NEEDED,
            Self::Internal => codes::INTERNAL,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }

    /// The parts of an error that has several, for programs.
    pub(crate) fn details(&self) -> &[String] {
        use nocrd_cluster::Error as Cluster;
        use nocrd_spawner::Error as Spawner;
        match self {
            Self::Arguments { problems } => problems,
            Self::MissingPermission { missing, .. } => missing,
            Self::Spawner(Spawner::Policy { violations, .. }) => violations,
            Self::Spawner(Spawner::MissingContext { names, .. }) => names,
            Self::Spawner(Spawner::StartFailed { diagnosis, .. }) => diagnosis,
            Self::Cluster(Cluster::Invalid { causes, .. })
            | Self::Spawner(Spawner::Cluster(Cluster::Invalid { causes, .. })) => causes,
            _ => &[],
        }
    }
}

/// A failed tool call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// What the caller should know beside the error: what was done all the same.
    pub(crate) note: Option<String>,
    /// What is known in spite of the error, in the shape of the tool's output.
    pub(crate) partial: Option<serde_json::Map<String, serde_json::Value>>,
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), note: None, partial: None }
    }
}
