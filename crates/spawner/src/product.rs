//! What a request is for: a workspace, or a pod that is none.

use nocrd_model::{PodName, Subject, WorkspaceId, keys};

use crate::{Error, metadata::Pairs, names};

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// A workspace, which has a URL, and an id from which its pod's name follows.
    Workspace(WorkspaceId),
    /// A pod that is no workspace: its owner names it, nothing is routed to it.
    Pod(PodName),
}

impl From<WorkspaceId> for Product {
    fn from(id: WorkspaceId) -> Self {
        Self::Workspace(id)
    }
}

impl From<PodName> for Product {
    fn from(name: PodName) -> Self {
        Self::Pod(name)
    }
}

impl Product {
    /// What `${{workspace_id}}` stands for. A pod's owner chooses its name, so that it must not pass for the id of somebody's
    /// workspace, whose storage templates name after it: no id has a dot.
    pub(crate) fn placeholder(&self) -> String {
        match self {
            Self::Workspace(id) => id.to_string(),
            Self::Pod(name) => format!("pod.{name}"),
        }
    }

    /// Refuses names that are kept for others.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Pod(name) if names::is_workspaces_pod(name.as_str()) => {
                Err(Error::InvalidArgument(format!(
                    "name {name:?}: names that begin with {:?} are those of workspaces",
                    names::POD_PREFIX,
                    name = name.as_str(),
                )))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn pod_name(&self) -> String {
        match self {
            Self::Workspace(id) => names::pod(id),
            Self::Pod(name) => name.to_string(),
        }
    }

    /// The Secret with its context.
    pub(crate) fn context_secret(&self) -> String {
        match self {
            Self::Workspace(id) => names::context_secret(&names::pod(id)),
            Self::Pod(name) => names::context_secret_of_pod(name),
        }
    }

    /// What the name of a ServiceAccount of its own begins with.
    pub(crate) fn service_account_prefix(&self) -> String {
        match self {
            Self::Workspace(id) => names::service_account_prefix(id),
            Self::Pod(name) => names::service_account_prefix_of_pod(name),
        }
    }

    /// The labels on everything that belongs to it.
    pub(crate) fn managed_labels(&self, owner: &Subject) -> Pairs {
        let id = match self {
            Self::Workspace(id) => Some((keys::WORKSPACE_ID, id.to_string())),
            Self::Pod(_) => None,
        };
        let managed =
            [(keys::MANAGED_BY, keys::MANAGED_BY_VALUE.to_owned()), (keys::USER_SUB, owner.label_value())];
        id.into_iter().chain(managed).map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The labels on its pod.
    pub(crate) fn pod_labels(&self, owner: &Subject) -> Pairs {
        let mut labels = self.managed_labels(owner);
        if let Self::Workspace(_) = self {
            labels.insert(keys::TYPE.into(), keys::TYPE_WORKSPACE.into());
        }
        labels
    }

    /// Its name is somebody's already.
    pub(crate) fn taken(&self) -> Error {
        match self {
            Self::Workspace(id) => Error::Exists { id: id.clone() },
            Self::Pod(name) => Error::PodExists { name: name.to_string() },
        }
    }
}
