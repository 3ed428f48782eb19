//! What people see of each other.

use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Grants, Role};
use serde_json::json;

use crate::{
    api::{Api, pod},
    world::{World, until},
};

#[tokio::test(start_paused = true)]
async fn t50_k36_not_yours_and_not_there_look_the_same() {
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

fn restricted(name: &str, roles: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "nogoo9", "uid": name, "resourceVersion": "1",
            "labels": {"nogoo9/pod-template": "true"}, "annotations": {"nogoo9/allowed-roles": roles},
        },
        "data": {"spec": "containers: [{name: agent, image: secret-image}]"},
    })
}

#[tokio::test(start_paused = true)]
async fn h01_templates_for_others_look_as_if_not_there() {
    let api = Api::default();
    api.put("configmaps", restricted("gpu", "ml"));
    let world = World::with(api, Options::default()).await.synced().await;
    let holder = |roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Caller::verified("bob".into(), Role::User).with_grants(Grants { roles, ..Grants::default() })
    };
    let bob = world.client_of(holder(&["user"])).await;
    let list = bob.call("list_templates", json!({})).await;
    assert!(!format!("{} {}", list.text, list.structured).contains("gpu"), "{list:?}");
    assert_eq!(list.structured["total"], list.structured["templates"].as_array().unwrap().len());
    for name in ["gpu", "nogoo9/gpu"] {
        let hidden = bob.call("get_template", json!({"name": name})).await;
        let absent = bob.call("get_template", json!({"name": name.replace("gpu", "abc")})).await;
        assert_eq!(hidden.text.replace("gpu", "abc"), absent.text);
        assert_eq!(hidden.error_id(), absent.error_id());
        for more in [json!({}), json!({"context": {"A": "b"}}), json!({"namespace": "other"})] {
            let spawn = |reference: &str| {
                let mut arguments = more.clone();
                arguments["id"] = json!("w1");
                arguments["templateRef"] = json!(reference);
                arguments
            };
            let hidden = bob.call("spawn_workspace", spawn(name)).await;
            let absent = bob.call("spawn_workspace", spawn(&name.replace("gpu", "abc"))).await;
            assert!(hidden.failed, "{hidden:?}");
            assert_eq!(hidden.text.replace("gpu", "abc"), absent.text);
            assert_eq!(hidden.structured.to_string().replace("gpu", "abc"), absent.structured.to_string());
        }
    }
    let admin = Caller::verified("root".into(), Role::Admin);
    for caller in [holder(&["user", "ml"]), admin, Caller::local()] {
        let client = world.client_of(caller).await;
        let list = client.call("list_templates", json!({})).await;
        assert!(list.text.contains("gpu"), "{list:?}");
        assert!(!client.call("get_template", json!({"name": "gpu"})).await.failed);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_made_a_template_is_shown_it() {
    let api = Api::default();
    let mut template = restricted("gpu", "ml");
    template["metadata"]["annotations"]["nogoo9/user-sub"] = json!("alice");
    api.put("configmaps", template);
    let world = World::with(api, Options::default()).await.synced().await;
    for (name, sees) in [("alice", true), ("bob", false)] {
        let client = world.client_of(Caller::verified(name.into(), Role::User)).await;
        assert_eq!(client.call("list_templates", json!({})).await.text.contains("gpu"), sees, "{name}");
        assert_eq!(!client.call("get_template", json!({"name": "gpu"})).await.failed, sees, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_template_s_secrets_are_not_looked_for_elsewhere() {
    let api = Api::default();
    for (name, more) in [("plain", ""), ("keeper", ", envFrom: [{secretRef: {name: db}}]")] {
        let mut template = restricted(name, "");
        template["metadata"]["namespace"] = json!("team-a");
        template["data"]["spec"] = json!(format!("containers: [{{name: agent, image: i{more}}}]"));
        api.put("configmaps", template);
    }
    let world = World::with(api, Options::default()).await.synced().await;
    let bob = world.client_of(Caller::verified("bob".into(), Role::User)).await;
    let spawn = |id: &str, name: &str| json!({"id": id, "templateRef": format!("team-a/{name}")});
    let reply = bob.call("spawn_workspace", spawn("w1", "keeper")).await;
    assert_eq!(reply.error_id(), "NCR0205", "{reply:?}");
    assert!(reply.text.contains("Secret \"db\" of team-a"), "{reply:?}");
    assert!(!bob.call("spawn_workspace", spawn("w1", "plain")).await.failed);
    let admin = world.client_of(Caller::verified("root".into(), Role::Admin)).await;
    assert!(!admin.call("spawn_workspace", spawn("w2", "keeper")).await.failed);
}

#[tokio::test(start_paused = true)]
async fn broken_templates_are_shown_to_those_who_may_write() {
    let api = Api::default();
    let mut broken = restricted("gpu", "ml");
    broken["data"]["spec"] = json!("containers: [{name: agent, imag: secret-image}]");
    api.put("configmaps", broken);
    let world = World::with(api, Options::default()).await.synced().await;
    let calls = |name: &str| {
        [
            ("get_template", json!({"name": name})),
            ("spawn_workspace", json!({"id": "w1", "templateRef": name})),
        ]
    };
    let viewer = world.client_of(Caller::verified("bob".into(), Role::Viewer)).await;
    let list = viewer.call("list_templates", json!({})).await;
    assert!(!format!("{list:?}").contains("gpu"), "{list:?}");
    for ((tool, broken), (_, absent)) in calls("gpu").into_iter().zip(calls("abc")) {
        let (broken, absent) = (viewer.call(tool, broken).await, viewer.call(tool, absent).await);
        assert_eq!(broken.text.replace("gpu", "abc"), absent.text, "{tool}");
        assert_eq!(broken.structured.to_string().replace("gpu", "abc"), absent.structured.to_string());
    }
    for caller in [
        Caller::verified("bob".into(), Role::User),
        Caller::verified("root".into(), Role::Admin),
        Caller::local(),
    ] {
        let client = world.client_of(caller).await;
        let list = client.call("list_templates", json!({})).await;
        assert_eq!(list.structured["problems"][0]["name"], "gpu", "{list:?}");
        for (tool, arguments) in calls("gpu") {
            let reply = client.call(tool, arguments).await;
            assert!(reply.error_id() == "NCR0202" && reply.text.contains("imag"), "{tool}: {reply:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn labels_and_annotations_are_the_operator_s_to_allow() {
    let world = World::new().await.synced().await;
    for (role, allowed) in [(Role::Viewer, false), (Role::User, false), (Role::Admin, true)] {
        let client = world.client_of(Caller::verified("bob".into(), role)).await;
        for member in ["labels", "annotations"] {
            let direct = json!({member: {"example.com/team": "a"}});
            for mut arguments in [direct.clone(), json!({"topLevelOverrides": direct})] {
                arguments["id"] = json!("w1");
                arguments["templateRef"] = json!("default-agent-workspace");
                let reply = client.call("spawn_workspace", arguments).await;
                if allowed {
                    assert!(!reply.failed, "{reply:?}");
                    assert!(!client.call("stop_workspace", json!({"id": "w1"})).await.failed);
                    until("the pod gone", || world.cluster.workspaces().all().is_empty()).await;
                } else {
                    assert_eq!(reply.error_id(), "NCR0207", "{reply:?}");
                    assert!(reply.text.contains("ALLOWED_METADATA_PREFIXES"), "{reply:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l10_whoever_signs_in_as_guest_has_nothing_of_the_local_user_s() {
    let world = World::new().await.synced().await;
    let spec = json!({"containers": [{"name": "agent", "image": "i"}]});
    let local = world.client().await;
    assert!(!local.call("spawn_workspace", json!({"id": "w1", "spec": spec})).await.failed);
    assert_eq!(local.call("get_workspace", json!({"id": "w1"})).await.structured["owner"], "guest");
    let guest = world.client_of(Caller::verified("guest".into(), Role::User)).await;
    for tool in ["get_workspace", "stop_workspace", "get_workspace_events"] {
        assert_eq!(guest.call(tool, json!({"id": "w1"})).await.error_id(), "NCR0301", "{tool}");
    }
    assert!(!guest.call("spawn_workspace", json!({"id": "w2", "spec": spec})).await.failed);
    assert_eq!(guest.call("list_workspaces", json!({})).await.structured["total"], 1);
    let reply = guest.call("spawn_workspace", json!({"id": "w3", "spec": spec, "userSub": "guest"})).await;
    assert_eq!(reply.error_id(), "NCR0403");
}

#[tokio::test(start_paused = true)]
async fn c02_k08_people_spawn_in_the_default_namespace_only() {
    let world = World::new().await.synced().await;
    let bob = world.client_of(Caller::verified("bob".into(), Role::User)).await;
    let admin = world.client_of(Caller::verified("root".into(), Role::Admin)).await;
    let spawn = |id: &str, namespace: &str| {
        let spec = json!({"containers": [{"name": "agent", "image": "i"}]});
        json!({"id": id, "spec": spec, "namespace": namespace})
    };
    for namespace in ["other", "kube-system"] {
        assert_eq!(bob.call("spawn_workspace", spawn("w1", namespace)).await.error_id(), "NCR0401");
    }
    assert_eq!(admin.call("spawn_workspace", spawn("w1", "kube-system")).await.error_id(), "NCR0401");
    assert!(world.api.objects("pods").is_empty());
    assert!(!bob.call("spawn_workspace", spawn("w1", "nogoo9")).await.failed);
    assert!(!admin.call("spawn_workspace", spawn("w2", "other")).await.failed);
}
