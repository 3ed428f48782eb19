//! What happens to arguments that don't fit.

use serde_json::json;

use crate::{api::pod, world::World};

#[tokio::test(start_paused = true)]
async fn k59_unknown_arguments_are_refused_by_name() {
    let client = World::new().await.synced().await.client().await;
    let reply = client.call("spawn_workspace", json!({"id": "w1", "templateref": "x", "colour": 1})).await;
    assert_eq!(reply.error_id(), "NCR0102");
    assert_eq!(
        reply.structured["error"]["details"],
        json!([
            "argument \"templateref\" is unknown; did you mean \"templateRef\"?",
            "argument \"colour\" is unknown"
        ])
    );
    assert!(reply.text.starts_with("Error: argument \"templateref\" is unknown"), "{}", reply.text);
}

#[tokio::test(start_paused = true)]
async fn k35_arguments_may_be_left_out_where_none_is_needed() {
    let client = World::new().await.synced().await.client().await;
    for tool in
        ["list_templates", "list_workspaces", "list_registry_images", "current_namespace", "get_capabilities"]
    {
        let reply = client.call(tool, json!(null)).await;
        assert!(!reply.failed, "{tool}: {}", reply.text);
    }
    for tool in ["get_template", "get_workspace", "get_workspace_events", "stop_workspace", "spawn_workspace"]
    {
        let reply = client.call(tool, json!(null)).await;
        assert_eq!((reply.error_id().as_str(), reply.failed), ("NCR0102", true), "{tool}");
        assert!(reply.text.contains("is missing"), "{}", reply.text);
    }
}

#[tokio::test(start_paused = true)]
async fn jwt_payload_is_accepted_and_counts_for_nothing() {
    let world = World::new().await.synced().await;
    world.api.put("pods", pod("hers", "alice"));
    let bob = nocrd_model::Caller::verified("bob".into(), nocrd_model::Role::Viewer);
    let client = world.client_of(bob).await;
    let forged = json!({"sub": "alice", "scope": "nogoo9:admin", "realm_access": {"roles": ["admin"]}});
    let tools = client.tools().into_iter().map(str::to_owned).collect::<Vec<_>>();
    for tool in tools {
        let reply = client.call(&tool, json!({"id": "hers", "name": "none", "jwtPayload": forged})).await;
        assert!(!reply.text.contains("\"jwtPayload\" is unknown"), "{tool}: {}", reply.text);
        assert!(!reply.text.contains("Workspace of alice"), "{tool}: {}", reply.text);
    }
    let me = client.call("get_capabilities", json!({"jwtPayload": forged})).await;
    assert_eq!((&me.structured["isAdmin"], &me.structured["userSub"]), (&json!(false), &json!("bob")));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tool_is_a_protocol_error_with_a_hint() {
    let client = World::new().await.synced().await.client().await;
    let error = client.try_call("spwan_workspace", json!({})).await.unwrap_err().to_string();
    assert!(error.contains("-32602") && error.contains("did you mean spawn_workspace?"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn k05_ids_that_are_none_are_refused() {
    let client = World::new().await.synced().await.client().await;
    let long = "a".repeat(64);
    for id in ["", "A", "a_b", "a,b=c", "ä", "a\u{0}", "../x", long.as_str()] {
        for tool in ["get_workspace", "get_workspace_events", "stop_workspace"] {
            let reply = client.call(tool, json!({"id": id})).await;
            assert_eq!(reply.error_id(), "NCR0101", "{tool} {id:?}");
            assert_eq!(reply.structured["error"]["code"], 400);
        }
        let reply = client.call("spawn_workspace", json!({"id": id, "templateRef": "open-webui"})).await;
        assert_eq!(reply.error_id(), "NCR0101", "{id:?}");
    }
}
