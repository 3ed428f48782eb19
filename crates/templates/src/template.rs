use std::{collections::BTreeMap, fmt};

use nocrd_model::{Api, Namespace, Restriction, Subject, keys};
use serde_json::Value;

use crate::TemplateRef;

/// Where a template comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A ConfigMap.
    ConfigMap {
        /// The ConfigMap's namespace.
        namespace: Namespace,
    },
    /// A file of the templates directory.
    Directory,
    /// The product itself.
    BuiltIn,
}

impl Origin {
    /// Tells whether it is no ConfigMap, so that no tool can change it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.namespace().is_none()
    }

    /// The ConfigMap's namespace.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        match self {
            Self::ConfigMap { namespace } => Some(namespace),
            Self::Directory | Self::BuiltIn => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigMap { namespace } => write!(f, "ConfigMap in {namespace}"),
            Self::Directory => f.write_str("templates directory"),
            Self::BuiltIn => f.write_str("built-in"),
        }
    }
}

/// A template that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Labels of the template itself.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the template itself: its description and the spawner's directives.
    pub annotations: BTreeMap<String, String>,
    /// The pod spec, an object. Its members `labels` and `annotations`, if any, are the pod's.
    pub spec: Value,
    /// Some of the fields that its spec had and that Kubernetes does not know: they were left out.
    pub ignored: Vec<String>,
}

/// A template that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name; for a file that names none, the file's.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What is wrong, with line and column where known.
    pub reason: String,
}

impl Template {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    fn list(&self, key: &str) -> Vec<String> {
        let items = self.annotation(key).into_iter().flat_map(|text| text.split(','));
        items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// What whoever uses it should know of it.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let fields = self.ignored.join(", ");
        (!fields.is_empty()).then(|| format!("unknown fields were left out of its spec: {fields}"))
    }

    /// What it is for; empty when it does not say.
    #[must_use]
    pub fn description(&self) -> &str {
        self.annotation(keys::DESCRIPTION).unwrap_or_default()
    }

    /// What groups it with others; empty when it does not say.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.annotation(keys::TAG).unwrap_or_default()
    }

    /// Its version; `1.0.0` when it does not say.
    #[must_use]
    pub fn version(&self) -> &str {
        self.annotation(keys::TEMPLATE_VERSION).unwrap_or(keys::DEFAULT_TEMPLATE_VERSION)
    }

    /// The context variables it needs.
    #[must_use]
    pub fn required_context(&self) -> Vec<String> {
        self.list(keys::REQUIRED_CONTEXT)
    }

    /// Where the main page of its workspaces is.
    #[must_use]
    pub fn workspace_path(&self) -> &str {
        self.annotation(keys::WORKSPACE_PATH).or_else(|| self.annotation(keys::PREVIEW_PATH)).unwrap_or("/")
    }

    /// How a dashboard shows that page.
    #[must_use]
    pub fn workspace_type(&self) -> &str {
        self.annotation(keys::WORKSPACE_TYPE)
            .or_else(|| self.annotation(keys::PREVIEW_TYPE))
            .unwrap_or("html")
    }

    /// The additional ports of its workspaces. Declarations that can't be used are left out here, and refused when a
    /// workspace is spawned.
    #[must_use]
    pub fn apis(&self) -> Vec<Api> {
        Api::parse_all(&self.annotations).0
    }

    /// Who may start pods from it.
    #[must_use]
    pub fn restriction(&self) -> Restriction {
        Restriction::of(&self.annotations)
    }

    /// Who created it: the annotation, else the label. Local templates have no creator.
    #[must_use]
    pub fn user_sub(&self) -> Option<Subject> {
        if self.origin.is_local() {
            return None;
        }
        let named =
            self.annotation(keys::USER_SUB).or_else(|| self.labels.get(keys::USER_SUB).map(String::as_str));
        named.filter(|subject| !subject.is_empty()).map(Subject::from)
    }

    /// Whether it may do what only templates may, because an operator or administrator answers for it. What a user has
    /// stored may do no more than whoever spawns from it.
    #[must_use]
    pub fn is_curated(&self) -> bool {
        self.user_sub().is_none() || self.annotation(keys::TEMPLATE_AUTHOR) == Some(keys::AUTHOR_ADMIN)
    }

    /// The reference that names it from everywhere.
    #[must_use]
    pub fn reference(&self) -> TemplateRef {
        TemplateRef { namespace: self.origin.namespace().cloned(), name: self.name.clone() }
    }
}
