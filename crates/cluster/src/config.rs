//! Which namespaces the server works in.

use std::{collections::BTreeSet, fmt, time::Duration};

use nocrd_model::{Caller, Namespace};
use serde::{Deserialize, Serialize};

use crate::Error;

/// How far the server reaches: the setting `MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Any namespace that RBAC and [`Config::allowed_namespaces`] allow.
    Cluster,
    /// The default namespace only.
    Namespaced,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Namespaced => "namespaced",
        })
    }
}

/// The namespaces in which Kubernetes runs itself: a workspace is made there only when the operator lists them.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// What a [`Cluster`](crate::Cluster) is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// How far the server reaches.
    pub scope: Scope,
    /// Namespace of requests that name none.
    pub default_namespace: Namespace,
    /// Namespaces that requests may name in [`Scope::Cluster`], besides the default one; `None` means any but those of
    /// the cluster itself ([`SYSTEM_NAMESPACES`]), and for ordinary callers' workspaces none.
    pub allowed_namespaces: Option<BTreeSet<Namespace>>,
    /// How long one call may take. Watches are exempt: for them it bounds the wait for the answer's head.
    pub request_timeout: Duration,
    /// Whether to ask the API server what the server's own identity may do. Without, everything counts as allowed.
    pub check_permissions: bool,
    /// How often that is asked again, give or take a tenth.
    pub permission_refresh: Duration,
    /// URL of the API server, without credentials, for messages: [`Connection::server`](crate::Connection::server).
    pub server: Option<String>,
}

impl Config {
    /// The usual settings: calls may take 15 s, permissions are checked every 60 s.
    #[must_use]
    pub fn new(scope: Scope, default_namespace: Namespace) -> Self {
        Self {
            scope,
            default_namespace,
            allowed_namespaces: None,
            request_timeout: Duration::from_secs(15),
            check_permissions: true,
            permission_refresh: Duration::from_secs(60),
            server: None,
        }
    }

    /// Whether the server works in a namespace.
    #[must_use]
    pub fn serves(&self, namespace: &Namespace) -> bool {
        let allowed = match self.scope {
            Scope::Namespaced => false,
            Scope::Cluster => match &self.allowed_namespaces {
                Some(allowed) => allowed.contains(namespace),
                None => !SYSTEM_NAMESPACES.contains(&namespace.as_str()),
            },
        };
        allowed || *namespace == self.default_namespace
    }

    /// The namespace in which a request takes place that names `requested`; an empty name counts as none.
    ///
    /// # Errors
    /// [`Error::InvalidNamespace`] for what is no namespace name, [`Error::NamespaceNotAllowed`] for one outside the
    /// server's reach.
    pub fn resolve_namespace(&self, requested: Option<&str>) -> Result<Namespace, Error> {
        let Some(requested) = requested.filter(|name| !name.is_empty()) else {
            return Ok(self.default_namespace.clone());
        };
        let namespace = Namespace::parse(requested).map_err(Error::InvalidNamespace)?;
        if self.serves(&namespace) {
            return Ok(namespace);
        }
        Err(self.not_allowed(namespace))
    }

    /// The namespace in which a workspace is made that `caller` wishes for in `requested`. Where the operator lists no
    /// namespaces, ordinary callers have the default one: what is in the others was never meant for them.
    ///
    /// # Errors
    /// As for [`Config::resolve_namespace`].
    pub fn resolve_namespace_of_spawn(
        &self,
        requested: Option<&str>,
        caller: &Caller,
    ) -> Result<Namespace, Error> {
        let namespace = self.resolve_namespace(requested)?;
        let is_listed = self.allowed_namespaces.as_ref().is_some_and(|allowed| allowed.contains(&namespace));
        if caller.is_ordinary() && !is_listed && namespace != self.default_namespace {
            return Err(self.not_allowed(namespace));
        }
        Ok(namespace)
    }

    fn not_allowed(&self, namespace: Namespace) -> Error {
        Error::NamespaceNotAllowed { namespace, scope: self.scope, default: self.default_namespace.clone() }
    }
}

#[cfg(test)]
mod tests {
    use nocrd_model::{Role, error as codes};

    use super::*;

    fn namespace(text: &str) -> Namespace {
        Namespace::parse(text).unwrap()
    }

    #[test]
    fn cluster_scope_takes_any_namespace_unless_bounded() {
        let mut config = Config::new(Scope::Cluster, namespace("nogoo9"));
        assert_eq!(config.resolve_namespace(None).unwrap().as_str(), "nogoo9");
        assert_eq!(config.resolve_namespace(Some("")).unwrap().as_str(), "nogoo9");
        assert_eq!(config.resolve_namespace(Some("other")).unwrap().as_str(), "other");

        config.allowed_namespaces = Some(BTreeSet::from([namespace("team-a")]));
        assert_eq!(config.resolve_namespace(Some("team-a")).unwrap().as_str(), "team-a");
        assert_eq!(config.resolve_namespace(Some("nogoo9")).unwrap().as_str(), "nogoo9");
        let refused = config.resolve_namespace(Some("kube-system")).unwrap_err();
        assert_eq!(refused.code(), codes::NAMESPACE_NOT_ALLOWED);
        assert!(refused.to_string().contains("kube-system"), "{refused}");
    }

    #[test]
    fn c02_system_namespaces_are_nobody_s_unless_listed() {
        let mut config = Config::new(Scope::Cluster, namespace("nogoo9"));
        for name in SYSTEM_NAMESPACES {
            config.allowed_namespaces = None;
            for caller in [Caller::local(), Caller::verified("root".into(), Role::Admin)] {
                let refused = config.resolve_namespace_of_spawn(Some(name), &caller).unwrap_err();
                assert_eq!(refused.code(), codes::NAMESPACE_NOT_ALLOWED, "{name}");
            }
            assert!(config.resolve_namespace(Some(name)).is_err(), "{name}");
            config.allowed_namespaces = Some(BTreeSet::from([namespace(name)]));
            assert!(config.resolve_namespace_of_spawn(Some(name), &Caller::local()).is_ok(), "{name}");
        }
    }

    #[test]
    fn c02_k08_ordinary_callers_have_the_default_namespace_and_those_listed() {
        let mut config = Config::new(Scope::Cluster, namespace("nogoo9"));
        let [user, admin] = [Role::User, Role::Admin].map(|role| Caller::verified("bob".into(), role));
        for (allowed, requested, for_user, for_others) in [
            (None, None, true, true),
            (None, Some("nogoo9"), true, true),
            (None, Some("team-a"), false, true),
            (Some("team-a"), Some("team-a"), true, true),
            (Some("team-a"), None, true, true),
            (Some("team-a"), Some("team-b"), false, false),
        ] {
            config.allowed_namespaces = allowed.map(|name| BTreeSet::from([namespace(name)]));
            let may = |caller: &Caller| config.resolve_namespace_of_spawn(requested, caller).is_ok();
            assert_eq!(may(&user), for_user, "{allowed:?} {requested:?}");
            for other in [&admin, &Caller::local()] {
                assert_eq!(may(other), for_others, "{allowed:?} {requested:?}");
            }
        }
    }

    #[test]
    fn namespaced_scope_refuses_others() {
        let config = Config::new(Scope::Namespaced, namespace("nogoo9"));
        assert_eq!(config.resolve_namespace(Some("nogoo9")).unwrap().as_str(), "nogoo9");
        assert_eq!(config.resolve_namespace(Some("other")).unwrap_err().code(), codes::NAMESPACE_NOT_ALLOWED);
        assert_eq!(config.resolve_namespace(Some("No/pe")).unwrap_err().code(), codes::INVALID_NAMESPACE);
    }
}
