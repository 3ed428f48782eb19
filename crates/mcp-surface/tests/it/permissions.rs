//! Tools come and go with what the server's own identity may do.

use nocrd_mcp_surface::{Options, catalogue::TOOLS};
use serde_json::json;

use crate::{
    api::Api,
    world::{Heard, World},
};

#[tokio::test(start_paused = true)]
async fn t55_a_tool_without_its_permissions_is_not_listed_and_says_which_are_missing() {
    let api = Api::default();
    api.set_denied("list events", true);
    api.set_denied("list configmaps", true);
    let client = World::with(api, Options::default()).await.synced().await.client().await;
    assert!(!client.tools().contains(&"get_workspace_events") && client.tools().contains(&"get_workspace"));

    let reply = client.call("get_workspace_events", json!({"id": "w1"})).await;
    assert_eq!((reply.error_id().as_str(), &reply.structured["error"]["code"]), ("NCR0502", &json!(403)));
    assert_eq!(reply.structured["error"]["details"], json!(["list events"]));
    assert!(reply.text.contains("list events"), "{}", reply.text);

    let reply = client.call("get_capabilities", json!({})).await;
    assert!(!reply.text.contains("get_workspace_events"), "{}", reply.text);
    let reply = client.call("list_templates", json!({})).await;
    assert!(
        reply.text.starts_with("⚠ ConfigMap templates unavailable (missing permissions)."),
        "{}",
        reply.text
    );
}

#[tokio::test(start_paused = true)]
async fn clients_are_told_when_the_list_of_tools_changes() {
    let world = World::new().await.synced().await;
    let mut client = world.client().await;
    assert!(client.tools().contains(&"get_workspace_events"));
    world.api.set_denied("list events", true);
    world.cluster.refresh_permissions().await;
    assert_eq!(client.hears().await, Heard::ToolsChanged);
    let names: Vec<_> =
        client.mcp.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    assert!(!names.iter().any(|name| name == "get_workspace_events"), "{names:?}");
    assert_eq!(names.len(), TOOLS.len() - 1, "{names:?}");

    // A right that no tool of ours depends on changes nothing.
    world.api.set_denied("get persistentvolumeclaims", true);
    world.cluster.refresh_permissions().await;
    world.api.set_denied("list events", false);
    world.cluster.refresh_permissions().await;
    assert_eq!(client.hears().await, Heard::ToolsChanged);
    assert_eq!(client.mcp.list_all_tools().await.unwrap().len(), TOOLS.len());
    assert!(client.heard.try_recv().is_err());
}
