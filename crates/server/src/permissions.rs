//! `--check-permissions`: what the server's own identity may do in the cluster, and which tools that allows.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use nocrd_cluster::{NEEDS, PermissionReport};
use nocrd_config::Settings;
use nocrd_mcp_surface::catalogue;

use crate::{Components, Error, compose, entry};

/// Longest time to wait for the API server.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rights without which there is nothing to route to.
const PROXY_NEEDS: [(&str, &str); 2] = [("list", "pods"), ("watch", "pods")];

/// Asks the cluster and prints the answers. The exit code is 1 when something that this program needs is denied.
///
/// # Errors
/// When there is no cluster, or it does not answer.
pub async fn check(settings: &Settings, components: Components) -> Result<ExitCode, Error> {
    let (cluster, connection) = compose::cluster(settings).await?;
    connection.probe(PATIENCE).await?;
    let report = cluster.permissions();
    entry::print(&render(&report, components));
    Ok(if is_sufficient(&report, components) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_sufficient(report: &PermissionReport, components: Components) -> bool {
    let tools = !components.mcp || catalogue::TOOLS.iter().all(|tool| tool.missing(report).is_empty());
    let proxy = !components.proxy || PROXY_NEEDS.iter().all(|(verb, resource)| report.allows(verb, resource));
    report.complete && tools && proxy
}

fn render(report: &PermissionReport, components: Components) -> String {
    let mut text = format!(
        "==> Running Kubernetes RBAC permission diagnostics...\n    Access Mode: {}\n    Namespace  : {}\n{}\n",
        report.mode,
        report.namespace,
        "-".repeat(80)
    );
    text.push_str("--- RBAC Permissions Check ---\n");
    for need in NEEDS.iter().filter(|need| need.applies_in(report.mode)) {
        let resource = need.full_resource();
        let mark = if report.allows(need.verb, &resource) { "[ALLOWED]" } else { "[DENIED]" };
        let _ = writeln!(text, "  {resource:<24} {:<10} {mark}", need.verb);
    }
    if components.mcp {
        text.push_str("--- MCP Tools Availability ---\n");
        for tool in catalogue::TOOLS {
            let missing = tool.missing(report);
            let _ = if missing.is_empty() {
                writeln!(text, "  {:<30} [ENABLED]", tool.name)
            } else {
                writeln!(
                    text,
                    "  {:<30} [DISABLED] (missing RBAC permissions: {})",
                    tool.name,
                    missing.join(", ")
                )
            };
        }
    }
    text.push_str(match (report.complete, is_sufficient(report, components)) {
        (false, _) => "The API server did not answer every question.\n",
        (true, true) => "Diagnostics completed: everything that is needed is allowed.\n",
        (true, false) => "Diagnostics completed: something that is needed is denied.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nocrd_cluster::Scope;
    use nocrd_model::Namespace;

    use super::*;

    /// A report in which everything is allowed but these rights.
    fn report(denied: &[(&str, &str)]) -> PermissionReport {
        let mut permissions: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
        for need in NEEDS {
            let allowed = !denied.contains(&(need.verb, need.full_resource().as_str()));
            permissions.entry(need.full_resource()).or_default().insert(need.verb.to_owned(), allowed);
        }
        PermissionReport {
            mode: Scope::Cluster,
            namespace: Namespace::parse("nogoo9").unwrap(),
            permissions,
            enabled_tools: Vec::new(),
            disabled_tools: Vec::new(),
            elsewhere: BTreeMap::new(),
            complete: true,
        }
    }

    #[test]
    fn a_denied_right_that_is_needed_is_a_failure() {
        for (denied, mcp, proxy) in [
            (&[][..], true, true),
            (&[("create", "pods")], false, true),
            (&[("watch", "pods")], false, false),
            // Without these the server does less, and works.
            (&[("create", "secrets"), ("list", "configmaps"), ("patch", "pods/resize")], true, true),
        ] {
            let report = report(denied);
            assert_eq!(is_sufficient(&report, Components::MCP), mcp, "{denied:?}");
            assert_eq!(is_sufficient(&report, Components::PROXY), proxy, "{denied:?}");
            assert_eq!(is_sufficient(&report, Components::ALL), mcp && proxy, "{denied:?}");
        }
        let unanswered = PermissionReport { complete: false, ..report(&[]) };
        assert!(!is_sufficient(&unanswered, Components::ALL));
    }

    #[test]
    fn the_report_names_what_is_missing() {
        let text = render(&report(&[("create", "pods")]), Components::ALL);
        assert!(text.contains("  pods                     create     [DENIED]\n"), "{text}");
        assert!(text.contains("  pods                     delete     [ALLOWED]\n"), "{text}");
        assert!(
            text.contains(
                "spawn_workspace                [DISABLED] (missing RBAC permissions: create pods)\n"
            ),
            "{text}"
        );
        assert!(text.contains("list_workspaces                [ENABLED]\n"), "{text}");
        assert!(text.ends_with("something that is needed is denied.\n"), "{text}");
        let proxy = render(&report(&[("create", "pods")]), Components::PROXY);
        assert!(
            !proxy.contains("MCP Tools") && proxy.ends_with("everything that is needed is allowed.\n"),
            "{proxy}"
        );
    }
}
