//! Who may ask what the server and the cluster are like.

use serde_json::json;

use super::{Done, READING, Row, Unknown};

pub(super) const ROWS: &[Row] = &[
    Row { tool: "current_namespace", arguments: |_| json!({}), gets: READING },
    Row {
        tool: "get_capabilities",
        arguments: |_| json!({}),
        gets: [Unknown, Done, Done, Done, Done, Done, Done, Done, Done, Done],
    },
    Row { tool: "check_permissions", arguments: |_| json!({}), gets: READING },
    Row { tool: "list_namespaces", arguments: |_| json!({}), gets: READING },
    Row { tool: "list_registry_images", arguments: |_| json!({}), gets: READING },
];
