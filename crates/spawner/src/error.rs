use std::time::Duration;

use nocrd_model::{Code, ErrorKind, WorkspaceId, error as codes, restriction::Lacking};

/// Why a workspace could not be spawned, found, upgraded or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument that can't be used.
    #[error("{0}")]
    InvalidArgument(String),
    /// Neither a template nor a spec.
    #[error("give a template or a pod spec")]
    NoSource,
    /// Something about a template.
    #[error(transparent)]
    Template(#[from] nocrd_templates::Error),
    /// The Kubernetes API, or the limits set on its use.
    #[error(transparent)]
    Cluster(#[from] nocrd_cluster::Error),
    /// The pod asks for more than the policy allows.
    #[error("pod policy {level} does not allow: {}", violations.join("; "))]
    Policy {
        /// The policy's level.
        level: &'static str,
        /// Each offending field and why.
        violations: Vec<String>,
    },
    /// The pod names a ServiceAccount that is not allowed.
    #[error("service account {name:?} is not allowed here")]
    ServiceAccount {
        /// The account.
        name: String,
    },
    /// The spec is too large.
    #[error("the pod spec has {size} bytes, more than the {limit} allowed")]
    SpecTooLarge {
        /// Bytes of compact JSON.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// An annotation with a meaning has a value without one.
    #[error("annotation {key} is not usable: {reason}")]
    Annotation {
        /// The annotation.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A spec restricts itself to others than the caller. (A template that is not for the caller is not there for
    /// them.)
    #[error("the spec is not for you: {0}")]
    Restricted(#[source] Lacking),
    /// A workspace for somebody else.
    #[error("only an administrator may spawn a workspace for somebody else")]
    ForSomebodyElse,
    /// A template that somebody else created, or nobody in particular.
    #[error("Forbidden: {}", if *has_creator {
        format!("You are not the creator of template \"{name}\"")
    } else {
        format!("Legacy template \"{name}\" is admin-only")
    })]
    NotTemplateOwner {
        /// The template.
        name: String,
        /// Whether somebody in particular has created it.
        has_creator: bool,
    },
    /// A template that comes with the server.
    #[error("Forbidden: Local template \"{name}\" is immutable")]
    TemplateImmutable {
        /// The template.
        name: String,
    },
    /// The name is taken by a ConfigMap, a template's or another's.
    #[error("a ConfigMap with name {name} exists already")]
    TemplateExists {
        /// The template.
        name: String,
    },
    /// A key that callers don't set.
    #[error("{what} {key:?} is not a caller's to set")]
    ReservedKey {
        /// `label` or `annotation`.
        what: &'static str,
        /// The key.
        key: String,
    },
    /// A key by which others may select pods, or hand out what a pod should not have.
    #[error("{what} {key:?} is not yours to set: {}", hint(.key))]
    UnlistedKey {
        /// `label` or `annotation`.
        what: &'static str,
        /// The key.
        key: String,
    },
    /// A variable by which the caller could do more than the template means them to.
    #[error("variable {name:?} is not yours to set: {reason}")]
    Variable {
        /// Its name.
        name: String,
        /// Why, and what would make it the caller's to set.
        reason: String,
    },
    /// The label by which the gateway's Service selects its pods.
    #[error("label {key}={value} is the gateway's own: give it another value")]
    GatewayLabel {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// The template wants variables that were not given.
    #[error("missing required context variables: {}", names.join(", "))]
    MissingContext {
        /// Their names, in the template's order.
        names: Vec<String>,
        /// Those among them that are no secrets.
        plain: Vec<String>,
    },
    /// No such workspace, or not the caller's.
    #[error("workspace {id} not found, or it is not yours")]
    NotFound {
        /// The id asked for.
        id: WorkspaceId,
    },
    /// The id is taken.
    #[error("a workspace with id {id} exists already")]
    Exists {
        /// The id.
        id: WorkspaceId,
    },
    /// No such pod, or not the caller's, or not managed.
    #[error("Pod {name} not found or access denied")]
    PodNotFound {
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("a pod with name {name} exists already")]
    PodExists {
        /// The name.
        name: String,
    },
    /// The id is taken by a workspace that is going away.
    #[error("the workspace with id {id} is still stopping")]
    Stopping {
        /// The id.
        id: WorkspaceId,
    },
    /// The owner has enough, pods that are no workspaces included.
    #[error("the owner already has {limit} workspaces and pods, as many as this server allows")]
    Quota {
        /// The limit.
        limit: u32,
    },
    /// The creator has enough templates.
    #[error("you have stored {limit} templates, as many as this server allows")]
    TooManyTemplates {
        /// The limit.
        limit: usize,
    },
    /// The index is not there yet.
    #[error("the cluster's state has not been read yet")]
    NotSynced,
    /// The workspace will not become ready by waiting.
    #[error("workspace {id} does not start: {}", diagnosis.join("; "))]
    StartFailed {
        /// The id.
        id: WorkspaceId,
        /// What is wrong: status, container messages, recent warnings.
        diagnosis: Vec<String>,
    },
    /// The workspace was not ready in time.
    #[error("workspace {id} was not ready after {} s; last status: {last}", waited.as_secs())]
    StartTimeout {
        /// The id.
        id: WorkspaceId,
        /// How long we waited.
        waited: Duration,
        /// Its status then.
        last: String,
    },
    /// The workspace can't get another version of its template.
    #[error("workspace {id} can't be upgraded: {reason}")]
    NotUpgradable {
        /// The id.
        id: WorkspaceId,
        /// Why.
        reason: String,
    },
    /// It is being upgraded to another version.
    #[error("workspace {id} is being upgraded already, to version {to}")]
    UpgradeUnderWay {
        /// The id.
        id: WorkspaceId,
        /// That version.
        to: String,
    },
    /// The upgrade did not succeed; the workspace is as it was.
    #[error("the upgrade of workspace {id} failed: {reason}")]
    UpgradeFailed {
        /// The id.
        id: WorkspaceId,
        /// What stands on the workspace about it.
        reason: String,
    },
    /// A background task of ours died.
    #[error("the task that carried out the request failed")]
    Internal(#[source] tokio::task::JoinError),
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::InvalidArgument(_) => codes::INVALID_ARGUMENT,
            Self::NoSource => codes::NO_SOURCE,
            Self::Template(source) => source.code(),
            Self::Cluster(source) => source.code(),
            Self::Policy { .. } => codes::POLICY_VIOLATION,
            Self::ServiceAccount { .. } => codes::SERVICE_ACCOUNT_NOT_ALLOWED,
            Self::SpecTooLarge { .. } => codes::SPEC_TOO_LARGE,
            Self::Annotation { .. } => codes::INVALID_ANNOTATION,
            Self::Restricted(lacking) => lacking.code(),
            Self::ForSomebodyElse | Self::Variable { .. } | Self::NotTemplateOwner { .. } => codes::FORBIDDEN,
            Self::TemplateImmutable { .. } => codes::TEMPLATE_IMMUTABLE,
            Self::TemplateExists { .. } => codes::TEMPLATE_EXISTS,
            Self::ReservedKey { .. } | Self::UnlistedKey { .. } | Self::GatewayLabel { .. } => {
                codes::RESERVED_KEY
            }
            Self::MissingContext { .. } => codes::MISSING_CONTEXT,
            Self::NotFound { .. } => codes::WORKSPACE_NOT_FOUND,
            Self::Exists { .. } => codes::WORKSPACE_EXISTS,
            Self::PodNotFound { .. } => codes::POD_NOT_FOUND,
            Self::PodExists { .. } => codes::POD_EXISTS,
            Self::Stopping { .. } => codes::WORKSPACE_STOPPING,
            Self::Quota { .. } | Self::TooManyTemplates { .. } => codes::QUOTA_EXCEEDED,
            Self::NotSynced => codes::NOT_SYNCED,
            Self::StartFailed { .. } => codes::START_FAILED,
            Self::StartTimeout { .. } => codes::START_TIMEOUT,
            Self::NotUpgradable { .. } | Self::UpgradeFailed { .. } => codes::UPGRADE_FAILED,
            Self::UpgradeUnderWay { .. } => codes::UPGRADE_UNDER_WAY,
            Self::Internal(_) => codes::INTERNAL,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}

/// What would make a label or annotation an ordinary caller's to set.
fn hint(key: &str) -> String {
    match key.split_once('/') {
        Some((prefix, _)) => {
            format!(
                "its prefix {prefix:?} is none of those that the operator lists in ALLOWED_METADATA_PREFIXES"
            )
        }
        None => "it has no prefix, and users set only keys with one that the operator lists in \
                 ALLOWED_METADATA_PREFIXES"
            .to_owned(),
    }
}
