//! The table of rights as a page of the documentation.

use std::fmt::Write as _;

use super::{NEEDS, OWN_NEEDS, manifests::rules};
use crate::Scope;

/// Where the manifests are.
const DEPLOY: &str = "https://github.com/nogoo9/no-crd/blob/main/deploy/kubernetes";

/// Renders the table, and the RBAC rules that grant all of it, as Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Permissions\n\nWhat the server's own identity does in the cluster. It asks the API server what it may do \
         (SelfSubjectAccessReview), when it starts and every minute; a tool whose rights are missing is not offered, and \
         the rest works. `nocrd-all --check-permissions` prints the answers.\n\n\
         | Verb | Resource | Tools that need it | Tools that do more with it | What for |\n|---|---|---|---|---|\n",
    );
    let list = |tools: &[&str]| match tools {
        [] => "–".to_owned(),
        tools => tools.iter().map(|tool| format!("`{tool}`")).collect::<Vec<_>>().join(", "),
    };
    for need in NEEDS {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            need.verb,
            need.full_resource(),
            list(need.tools),
            list(need.helps),
            need.why
        );
    }
    page.push_str(
        "\n## What the server does for itself\n\nWith `AUTH_ENABLED`, in its own namespace, by rights that are in the \
         table above. Everything works without them on a single replica.\n\n| Verb | Resource | What for |\n|---|---|---|\n",
    );
    for need in OWN_NEEDS {
        let _ = writeln!(page, "| {} | {} | {} |", need.verb, need.resource, need.why);
    }
    page.push_str(
        "\nWhere `PEER_PORT` is set it also reads `/.well-known/openid-configuration` and `/openid/v1/jwks`, which every \
         service account may.\n",
    );
    let _ = write!(
        page,
        "\n## Rules for all namespaces\n\nFor mode `cluster`, in a ClusterRole; \
         [`rbac-cluster.yaml`]({DEPLOY}/rbac-cluster.yaml) has the account and the binding too.\n\n```yaml\n{}```\n\n\
         ## Rules for one namespace\n\nFor mode `namespaced`, in a Role; \
         [`rbac-namespace.yaml`]({DEPLOY}/rbac-namespace.yaml) has the rest.\n\n```yaml\n{}```\n",
        rules(Scope::Cluster),
        rules(Scope::Namespaced)
    );
    page
}
