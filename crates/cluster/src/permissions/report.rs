//! What is granted.

use std::collections::BTreeMap;

use nocrd_model::Namespace;
use serde::Serialize;

use super::{NEEDS, TOOLS};
use crate::Scope;

/// Resource, with its subresource after a slash → verb → whether it is allowed.
pub type Granted = BTreeMap<String, BTreeMap<String, bool>>;

/// Most namespaces besides the default one that are asked about.
pub const MOST_ELSEWHERE: usize = 20;

/// What the server's own identity may do, and the tools that work with that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionReport {
    /// How far the server reaches.
    pub mode: Scope,
    /// The namespace the rights were asked for.
    pub namespace: Namespace,
    /// Resource, with its subresource after a slash → verb → whether it is allowed.
    pub permissions: Granted,
    /// Tools that work with these rights, in the order of [`TOOLS`].
    pub enabled_tools: Vec<&'static str>,
    /// Tools that don't.
    pub disabled_tools: Vec<&'static str>,
    /// The same rights in the other namespaces that the operator lists, each as in [`Self::permissions`]: by what is asked
    /// there, a tool can fail that works in the default namespace. Told of the first [`MOST_ELSEWHERE`] of them, and less
    /// often than the rest; what was not answered is not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<Namespace, Granted>,
    /// Whether every question about [`Self::permissions`] was answered. What was not counts as it did before, and as denied at first.
    pub complete: bool,
}

impl PermissionReport {
    /// Makes the report from what is allowed of [`NEEDS`].
    pub(crate) fn new(
        mode: Scope,
        namespace: Namespace,
        complete: bool,
        allowed: impl Fn(&super::Permission) -> bool,
    ) -> Self {
        let mut permissions = Granted::new();
        let mut missing: Vec<&str> = Vec::new();
        for need in NEEDS.iter().filter(|need| need.applies_in(mode)) {
            let granted = allowed(need);
            permissions.entry(need.full_resource()).or_default().insert(need.verb.to_owned(), granted);
            if !granted {
                missing.extend(need.tools);
            }
        }
        let (enabled_tools, disabled_tools) = TOOLS.iter().copied().partition(|tool| !missing.contains(tool));
        Self {
            mode,
            namespace,
            permissions,
            enabled_tools,
            disabled_tools,
            elsewhere: BTreeMap::new(),
            complete,
        }
    }

    /// Whether a right is granted. `resource` has its subresource after a slash.
    #[must_use]
    pub fn allows(&self, verb: &str, resource: &str) -> bool {
        self.permissions.get(resource).and_then(|verbs| verbs.get(verb)).copied().unwrap_or_default()
    }

    /// Whether a tool has all the rights it can't do without.
    #[must_use]
    pub fn enables(&self, tool: &str) -> bool {
        self.enabled_tools.contains(&tool)
    }
}
