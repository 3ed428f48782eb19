//! Tools that write templates.

use nocrd_devcluster::kind::Kind;
use nocrd_model::{Caller, Role};
use serde_json::{Value, json};

use crate::dev::DevWorld;

fn user(name: &str) -> Caller {
    Caller::verified(name.into(), Role::User)
}

fn spec() -> Value {
    json!({"containers": [{"name": "agent", "image": "busybox", "args": ["${{user}}"]}]})
}

#[tokio::test]
async fn the_life_of_a_template() {
    let world = DevWorld::new().await;
    let (ada, bob) = (world.client(user("ada")).await, world.client(user("bob")).await);
    let created = ada
        .call(
            "create_template",
            json!({"name": "build", "description": "For builds", "tag": "ci", "spec": spec(),
            "annotations": {"nogoo9/template-version": "1.1", "nogoo9/port": "80"}}),
        )
        .await;
    assert!(created.text.starts_with("Created template build\n⚠ annotation nogoo9/port"), "{}", created.text);
    assert_eq!(created.structured["templateRef"], "nogoo9/build");

    // It is there for everybody at once, with its owner.
    let listed = bob.call("list_templates", json!({})).await;
    let mine =
        listed.structured["templates"].as_array().unwrap().iter().find(|entry| entry["name"] == "build");
    let mine = mine.unwrap();
    assert_eq!(
        (&mine["userSub"], &mine["version"], &mine["isLocal"]),
        (&json!("ada"), &json!("1.1"), &json!(false))
    );
    let pod = bob.call("create_pod_from_template", json!({"templateRef": "build", "name": "p"})).await;
    assert_eq!(pod.text, "Created pod p in namespace nogoo9");
    assert_eq!(world.object(Kind::Pod, "p")["spec"]["containers"][0]["args"], json!(["bob"]));

    let updated =
        ada.call("update_template", json!({"name": "nogoo9/build", "tag": "", "spec": spec()})).await;
    assert_eq!(updated.text, "Updated template build");
    assert_eq!(bob.call("get_template", json!({"name": "build"})).await.structured["tag"], "");
    for (tool, arguments) in [
        ("update_template", json!({"name": "build", "tag": "x"})),
        ("delete_template", json!({"name": "build"})),
    ] {
        let reply = bob.call(tool, arguments).await;
        assert_eq!(reply.structured["error"]["code"], 403, "{tool}");
        assert!(reply.text.contains("You are not the creator"), "{}", reply.text);
    }
    let deleted = ada.call("delete_template", json!({"name": "build"})).await;
    assert_eq!(
        (deleted.text.as_str(), &deleted.structured),
        ("Deleted template build", &json!({"name": "build", "namespace": "nogoo9"}))
    );
    assert_eq!(ada.call("delete_template", json!({"name": "build"})).await.error_id(), "NCR0201");
    assert_eq!(world.object(Kind::Pod, "p")["metadata"]["name"], "p", "pods stay");
    world.stop().await;
}

#[tokio::test]
async fn bad_templates_are_refused_and_change_nothing() {
    let world = DevWorld::new().await;
    let ada = world.client(user("ada")).await;
    for (arguments, id) in [
        (json!({"name": "t"}), "NCR0102"),
        (json!({"name": "t", "spec": {}}), "NCR0203"),
        (json!({"name": "t", "spec": {"containers": [{"name": "a", "image": "i", "imge": "x"}]}}), "NCR0203"),
        (
            json!({"name": "t", "spec": {"containers": [{"name": "a", "image": "i"}], "hostPID": true}}),
            "NCR0205",
        ),
        (json!({"name": "T", "spec": spec()}), "NCR0102"),
        (json!({"name": "t", "spec": spec(), "labels": {"nogoo9/user-sub": "bob"}}), "NCR0207"),
        (json!({"name": "t", "spec": spec(), "annotations": {"nogoo9/user-sub": "bob"}}), "NCR0207"),
        (json!({"name": "t", "spec": spec(), "annotations": {"nogoo9/workspace-port": "x"}}), "NCR0206"),
        (json!({"name": "default-agent-workspace", "spec": spec()}), "NCR0212"),
        (json!({"name": "t", "spec": spec(), "userSub": "bob"}), "NCR0102"),
        (json!({"name": "t", "spec": spec(), "annotations": {"a/b": 5}}), "NCR0102"),
    ] {
        let reply = ada.call("create_template", arguments.clone()).await;
        assert_eq!(reply.error_id(), id, "{arguments}: {}", reply.text);
    }
    assert_eq!(world.object(Kind::ConfigMap, "t"), Value::Null);
    world.stop().await;
}
