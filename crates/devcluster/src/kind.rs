//! The kinds of objects the cluster stores, and how the API names them.

use std::fmt;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A namespace.
    Namespace,
    /// The machine pods run on; there is exactly one.
    Node,
    /// A pod.
    Pod,
    /// Configuration data, and pod templates.
    ConfigMap,
    /// Confidential data.
    Secret,
    /// An identity pods run under.
    ServiceAccount,
    /// Something that happened to another object.
    Event,
    /// A limit on how many pods a namespace holds.
    ResourceQuota,
    /// Storage that outlives pods.
    PersistentVolumeClaim,
}

impl Kind {
    /// All kinds; an owner's kind stands before what it may own, so that restoring in this order never dangles.
    pub const ALL: [Self; 9] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::ConfigMap,
        Self::Secret,
        Self::ServiceAccount,
        Self::Event,
        Self::ResourceQuota,
        Self::PersistentVolumeClaim,
    ];

    /// The `kind` member of its objects.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::ServiceAccount => "ServiceAccount",
            Self::Event => "Event",
            Self::ResourceQuota => "ResourceQuota",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
        }
    }

    /// The resource in paths: lower case, plural.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Namespace => "namespaces",
            Self::Node => "nodes",
            Self::Pod => "pods",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::ServiceAccount => "serviceaccounts",
            Self::Event => "events",
            Self::ResourceQuota => "resourcequotas",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
        }
    }

    /// The resource's singular, as discovery reports it.
    #[must_use]
    pub fn singular(self) -> &'static str {
        self.resource().strip_suffix('s').unwrap_or(self.resource())
    }

    /// Abbreviations `kubectl` accepts.
    #[must_use]
    pub fn short_names(self) -> &'static [&'static str] {
        match self {
            Self::Namespace => &["ns"],
            Self::Node => &["no"],
            Self::Pod => &["po"],
            Self::ConfigMap => &["cm"],
            Self::Secret => &[],
            Self::ServiceAccount => &["sa"],
            Self::Event => &["ev"],
            Self::ResourceQuota => &["quota"],
            Self::PersistentVolumeClaim => &["pvc"],
        }
    }

    /// Whether its objects live in a namespace.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node)
    }

    /// The kind a path's resource names.
    #[must_use]
    pub fn from_resource(resource: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.resource() == resource)
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
