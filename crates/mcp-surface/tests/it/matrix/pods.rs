//! Who may do what with pods.

use serde_json::{Value, json};

use super::{Denied, Done, NotFound, READING, READING_HERS, Row, Scope, Unknown, WRITING, WRITING_HERS};

/// A label that everybody may set.
fn patch(name: &str) -> Value {
    json!({"name": name, "patch": {"metadata": {"labels": {"example.com/team": "a"}}}})
}

/// The name of a workspace's pod.
fn of_workspace(name: &str) -> String {
    format!("ws-{name}")
}

pub(super) const ROWS: &[Row] = &[
    Row { tool: "list_pods", arguments: |_| json!({}), gets: READING },
    Row { tool: "get_pod", arguments: |name| json!({"name": name}), gets: READING_HERS },
    Row { tool: "get_pod", arguments: |name| json!({"name": of_workspace(name)}), gets: READING_HERS },
    Row { tool: "get_pod_logs", arguments: |name| json!({"name": name}), gets: READING_HERS },
    Row {
        tool: "create_pod",
        arguments: |name| json!({"name": format!("new-{name}"), "containers": [{"name": "a", "image": "i"}]}),
        gets: WRITING,
    },
    Row {
        tool: "create_pod_from_template",
        arguments: |name| json!({"name": format!("new-{name}"), "templateRef": name}),
        gets: WRITING,
    },
    // Whom a template is not for, may not use it; its creator may see it for all that.
    Row {
        tool: "create_pod_from_template",
        arguments: |name| json!({"name": format!("not-{name}"), "templateRef": format!("{name}-restricted")}),
        gets: [Unknown, Denied, Denied, NotFound, Denied, NotFound, Scope, Scope, Done, NotFound],
    },
    Row { tool: "patch_pod", arguments: patch, gets: WRITING_HERS },
    Row { tool: "patch_pod", arguments: |name| patch(&of_workspace(name)), gets: WRITING_HERS },
    Row { tool: "delete_pod", arguments: |name| json!({"name": name}), gets: WRITING_HERS },
    Row { tool: "delete_pod", arguments: |name| json!({"name": of_workspace(name)}), gets: WRITING_HERS },
];
