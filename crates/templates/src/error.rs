use nocrd_model::{Code, ErrorKind, error as codes};

/// Why a template can't be found, read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No source has it.
    #[error(
        "template {reference:?} not found in ConfigMaps, the templates directory or the built-in templates"
    )]
    NotFound {
        /// The reference asked for.
        reference: String,
    },
    /// It is there, but can't be read.
    #[error("template {reference:?} can't be used: {reason}")]
    Malformed {
        /// The reference asked for.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The reference itself is none.
    #[error("{text:?} is no template reference: write name, namespace/name or pod-template://namespace/name")]
    InvalidRef {
        /// The refused text, cut to a readable length.
        text: String,
    },
    /// A text is neither JSON nor YAML, or not within the limits.
    #[error("{0}")]
    Unreadable(String),
    /// A pod spec does not fit the Kubernetes schema.
    #[error("pod spec, {path}: {reason}")]
    InvalidSpec {
        /// The field.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An override does not fit the template.
    #[error("{path}: {reason}")]
    InvalidOverride {
        /// The argument.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => codes::TEMPLATE_NOT_FOUND,
            Self::Malformed { .. } | Self::Unreadable(_) => codes::TEMPLATE_MALFORMED,
            Self::InvalidRef { .. } => codes::INVALID_TEMPLATE_REF,
            Self::InvalidSpec { .. } => codes::INVALID_POD_SPEC,
            Self::InvalidOverride { .. } => codes::INVALID_ARGUMENT,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }

    /// Tells whether no source has the template, so that another place may be looked in.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The same for somebody who may not know which templates are broken: such a one is not there.
    #[must_use]
    pub fn without_broken(self) -> Self {
        match self {
            Self::Malformed { reference, .. } => Self::NotFound { reference },
            other => other,
        }
    }

    pub(crate) fn spec(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidSpec { path: path.into(), reason: reason.into() }
    }
}
