//! What people see of each other.

use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Role};
use serde_json::json;

use crate::{
    api::{Api, pod},
    world::World,
};

#[tokio::test(start_paused = true)]
async fn t50_not_yours_and_not_there_look_the_same() {
    let api = Api::default();
    api.put("pods", pod("hers", "alice"));
    let world = World::with(api, Options::default()).await.synced().await;
    for role in [Role::Viewer, Role::User] {
        let bob = world.client_of(Caller::verified("bob".into(), role)).await;
        for tool in ["get_workspace", "get_workspace_events", "stop_workspace"] {
            let not_mine = bob.call(tool, json!({"id": "hers"})).await;
            let not_there = bob.call(tool, json!({"id": "none"})).await;
            let anonymous = |text: &str| text.replace("hers", "?").replace("none", "?");
            assert_eq!(anonymous(&not_mine.text), anonymous(&not_there.text), "{tool}");
            assert_eq!(
                (not_mine.error_id(), not_there.error_id()),
                ("NCR0301".into(), "NCR0301".into()),
                "{tool}"
            );
        }
        let list = bob.call("list_workspaces", json!({})).await;
        assert_eq!((list.text.as_str(), &list.structured["total"]), ("(no workspaces)", &json!(0)));
    }
    assert_eq!(world.api.objects("pods").len(), 1);

    let alice = world.client_of(Caller::verified("alice".into(), Role::Viewer)).await;
    assert_eq!(alice.call("list_workspaces", json!({})).await.structured["total"], 1);
    let admin = world.client_of(Caller::verified("root".into(), Role::Admin)).await;
    assert_eq!(admin.call("get_workspace", json!({"id": "hers"})).await.structured["owner"], "alice");
    assert!(!admin.call("stop_workspace", json!({"id": "hers"})).await.failed);
}

#[tokio::test(start_paused = true)]
async fn only_administrators_spawn_for_others() {
    let world = World::new().await.synced().await;
    let spec = json!({"containers": [{"name": "agent", "image": "i"}]});
    let bob = world.client_of(Caller::verified("bob".into(), Role::User)).await;
    let reply = bob.call("spawn_workspace", json!({"id": "w1", "spec": spec, "userSub": "alice"})).await;
    assert_eq!((reply.error_id().as_str(), &reply.structured["error"]["code"]), ("NCR0403", &json!(403)));
    assert!(world.api.objects("pods").is_empty());
    assert!(!bob.call("spawn_workspace", json!({"id": "w1", "spec": spec, "userSub": "bob"})).await.failed);

    let admin = world.client_of(Caller::verified("root".into(), Role::Admin)).await;
    assert!(
        !admin.call("spawn_workspace", json!({"id": "w2", "spec": spec, "userSub": "a|b@c"})).await.failed
    );
    let owner = admin.call("get_workspace", json!({"id": "w2"})).await.structured["owner"].clone();
    assert_eq!(owner, "a|b@c");
}
