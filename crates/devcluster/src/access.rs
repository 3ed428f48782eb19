//! Who may do what: a list of rules that tests and users set to see how a client fares with less than everything.

use std::sync::{Arc, PoisonError, RwLock};

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Resource: `pods`.
    pub resource: String,
    /// Part of it: `log`; empty for the object itself.
    pub subresource: String,
    /// Namespace; empty for cluster-wide requests.
    pub namespace: String,
    /// Name of one object; empty for all.
    pub name: String,
}

impl Attributes {
    /// Resource and part of it, as rules name them: `pods/log`.
    #[must_use]
    pub fn qualified_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Which namespaces a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// All requests.
    Any,
    /// Requests within one of these.
    Only(Vec<String>),
    /// Requests outside these, cluster-wide ones among them.
    Except(Vec<String>),
}

/// Allows or denies some requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whether it allows.
    pub allow: bool,
    /// Verbs; `*` for all.
    pub verbs: Vec<String>,
    /// Resources such as `pods` and `pods/log`; `*` for all.
    pub resources: Vec<String>,
    /// Namespaces.
    pub namespaces: Namespaces,
}

impl Rule {
    /// A rule against `verb` on `resource`, wherever.
    #[must_use]
    pub fn deny(verb: &str, resource: &str) -> Self {
        Self {
            allow: false,
            verbs: vec![verb.into()],
            resources: vec![resource.into()],
            namespaces: Namespaces::Any,
        }
    }

    /// The same rule for these namespaces.
    #[must_use]
    pub fn within(mut self, namespaces: Namespaces) -> Self {
        self.namespaces = namespaces;
        self
    }

    fn applies(&self, attributes: &Attributes) -> bool {
        let names = |list: &[String], word: &str| list.iter().any(|entry| entry == "*" || entry == word);
        let namespace = match &self.namespaces {
            Namespaces::Any => true,
            Namespaces::Only(only) => only.contains(&attributes.namespace),
            Namespaces::Except(except) => !except.contains(&attributes.namespace),
        };
        namespace
            && names(&self.verbs, &attributes.verb)
            && names(&self.resources, &attributes.qualified_resource())
    }
}

/// The rules in force. The first one that applies decides; where none does, everything is allowed. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Access {
    rules: Arc<RwLock<Vec<Rule>>>,
}

impl Access {
    /// Replaces all rules.
    pub fn set(&self, rules: Vec<Rule>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Whether a request is allowed.
    #[must_use]
    pub fn allows(&self, attributes: &Attributes) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.iter().find(|rule| rule.applies(attributes)).is_none_or(|rule| rule.allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(verb: &str, resource: &str, subresource: &str, namespace: &str) -> Attributes {
        Attributes {
            verb: verb.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let access = Access::default();
        assert!(access.allows(&attributes("delete", "pods", "", "a")));
        let allow =
            Rule { allow: true, ..Rule::deny("get", "pods").within(Namespaces::Only(vec!["a".into()])) };
        access.set(vec![allow, Rule::deny("*", "pods"), Rule::deny("get", "pods/log")]);
        assert!(access.allows(&attributes("get", "pods", "", "a")));
        assert!(!access.allows(&attributes("list", "pods", "", "a")));
        assert!(!access.allows(&attributes("get", "pods", "log", "a")));
        assert!(access.allows(&attributes("create", "pods", "exec", "a")));
    }

    #[test]
    fn a_namespaced_role_sees_nothing_beyond() {
        let access = Access::default();
        access.set(vec![Rule::deny("*", "*").within(Namespaces::Except(vec!["a".into()]))]);
        assert!(access.allows(&attributes("list", "pods", "", "a")));
        assert!(
            !access.allows(&attributes("list", "pods", "", "b"))
                && !access.allows(&attributes("list", "pods", "", ""))
        );
    }
}
