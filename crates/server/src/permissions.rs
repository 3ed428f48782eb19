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
