//! The table of rights as RBAC manifests.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{NEEDS, Permission};
use crate::Scope;

/// The RBAC rules (rbac.authorization.k8s.io/v1) that grant everything used in a scope.
pub(super) fn rules(scope: Scope) -> String {
    let mut verbs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for need in NEEDS.iter().filter(|need| need.applies_in(scope)) {
        let granted = verbs.entry(need.full_resource()).or_default();
        if !granted.contains(&need.verb) {
            granted.push(need.verb);
        }
    }
    let mut text = String::from("rules:\n");
    for (resource, verbs) in verbs {
        let group = Permission::GROUP;
        let _ = write!(
            text,
            "  - apiGroups: [\"{group}\"]\n    resources: [{resource}]\n    verbs: [{}]\n",
            verbs.join(", ")
        );
    }
    text
}

/// What is to be applied to a cluster so that the server has all rights it uses in a scope: its ServiceAccount, a role, and
/// what binds the two.
#[must_use]
pub fn manifest(scope: Scope) -> String {
    let (mode, reach, role, namespace) = match scope {
        Scope::Cluster => ("cluster", "all namespaces", "ClusterRole", ""),
        Scope::Namespaced => ("namespaced", "its own namespace", "Role", "\n  namespace: nogoo9"),
    };
    format!(
        "\
# Rendered by `cargo xtask docs`; change the table in the code instead.
#
# Everything that no-crd does in {reach}, with MODE={mode}.
# Leave out what you do not want it to do: a tool whose rights are missing is not offered, and the rest works.
# The namespace must be there already; where it is not `nogoo9`, change it below.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: no-crd
  namespace: nogoo9
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {role}
metadata:
  name: no-crd{namespace}
{rules}---
apiVersion: rbac.authorization.k8s.io/v1
kind: {role}Binding
metadata:
  name: no-crd{namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {role}
  name: no-crd
subjects:
  - kind: ServiceAccount
    name: no-crd
    namespace: nogoo9
",
        rules = rules(scope)
    )
}
