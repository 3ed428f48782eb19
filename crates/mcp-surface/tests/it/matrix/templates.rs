//! Who may do what with templates.

use serde_json::{Value, json};

use super::{
    ALL, Denied, Done, Gets, NotTheirs, READING, READING_HERS, Row, Scope, Unknown, WRITING, WRITING_HERS,
};

/// What everybody sees, and its creator changes.
const CHANGING_HERS: [Gets; ALL] =
    [Unknown, Denied, Denied, NotTheirs, Denied, Done, Scope, Scope, Done, NotTheirs];

/// The template that is not for everybody.
fn restricted(name: &str) -> Value {
    json!({"name": format!("{name}-restricted")})
}

pub(super) const ROWS: &[Row] = &[
    Row { tool: "list_templates", arguments: |_| json!({}), gets: READING },
    Row { tool: "get_template", arguments: |_| json!({"name": "default-agent-workspace"}), gets: READING },
    Row { tool: "get_template", arguments: |name| json!({"name": name}), gets: READING },
    Row { tool: "get_template", arguments: restricted, gets: READING_HERS },
    Row {
        tool: "create_template",
        arguments: |name| {
            let spec = json!({"containers": [{"name": "a", "image": "i"}]});
            json!({"name": format!("new-{name}"), "spec": spec})
        },
        gets: WRITING,
    },
    Row {
        tool: "update_template",
        arguments: |name| json!({"name": name, "tag": "new"}),
        gets: CHANGING_HERS,
    },
    Row {
        tool: "update_template",
        arguments: |name| json!({"name": format!("nogoo9/{name}-restricted"), "tag": "new"}),
        gets: WRITING_HERS,
    },
    Row { tool: "delete_template", arguments: |name| json!({"name": name}), gets: CHANGING_HERS },
    Row { tool: "delete_template", arguments: restricted, gets: WRITING_HERS },
];
