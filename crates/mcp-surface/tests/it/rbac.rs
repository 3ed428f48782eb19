//! The rights of the server's own identity, less one at a time: the tools that need it go, everything else works.

use std::{collections::BTreeSet, time::Duration};

use nocrd_cluster::{NEEDS, Permission, Scope};
use nocrd_devcluster::{Config as DevConfig, DevCluster, access::Rule, kind::Kind};
use nocrd_mcp_surface::{Options, catalogue::TOOLS};
use nocrd_model::Caller;
use serde_json::{Value, json};

use crate::{
    dev::{DevWorld, NO_LOGS, raw_pod, template, workspace},
    world::{Client, Reply},
};

/// Puts what the tools are used on, called by this name.
async fn put(world: &DevWorld, name: &str) {
    for id in [name.to_owned(), format!("{name}-stops")] {
        let mut pod = workspace(&id, "guest");
        pod["metadata"]["annotations"]["nogoo9/template-ref"] = json!("default-agent-workspace");
        pod["metadata"]["annotations"]["nogoo9/template-version"] = json!("1.0.0");
        world.apply("pods", &pod).await;
    }
    for pod in [name.to_owned(), format!("{name}-goes")] {
        world.apply("pods", &raw_pod(&pod, "guest")).await;
    }
    for template_name in [name.to_owned(), format!("{name}-goes")] {
        world.create(Kind::ConfigMap, &template(&template_name, "guest", None));
    }
}

/// What a tool is to do that it can do.
fn arguments(tool: &str, name: &str) -> Value {
    let (new, built_in) = (format!("{name}-new"), "default-agent-workspace");
    let spec = json!({"containers": [{"name": "agent", "image": "busybox"}]});
    match tool {
        "list_templates"
        | "current_namespace"
        | "get_capabilities"
        | "check_permissions"
        | "list_namespaces"
        | "list_registry_images"
        | "list_pods"
        | "list_workspaces"
        | "upgrade_all_workspaces" => json!({}),
        "upgrade_workspace" => json!({"id": name, "force": true}),
        "get_template" => json!({"name": built_in}),
        "create_template" => json!({"name": new, "spec": spec}),
        "update_template" => json!({"name": name, "spec": spec}),
        "delete_template" => json!({"name": format!("{name}-goes")}),
        "get_pod" | "get_pod_logs" => json!({"name": name}),
        "create_pod" => json!({"name": new, "containers": spec["containers"]}),
        "create_pod_from_template" => {
            json!({"name": format!("{name}-newer"), "templateRef": built_in, "context": {"ECHO_TEXT": "t0psecret"}})
        }
        "patch_pod" => json!({"name": name, "patch": {"metadata": {"labels": {"example.com/team": "a"}}}}),
        "delete_pod" => json!({"name": format!("{name}-goes"), "gracePeriodSeconds": 0}),
        "get_workspace" | "get_workspace_events" => json!({"id": name}),
        "stop_workspace" => json!({"id": format!("{name}-stops")}),
        "spawn_workspace" => {
            json!({"id": new, "templateRef": built_in, "context": {"ECHO_TEXT": "t0psecret"}})
        }
        other => panic!("what is {other} to do?"),
    }
}

/// Whether it did its work, as far as a cluster goes that runs no pods.
fn works(tool: &str, reply: &Reply) -> bool {
    !reply.failed || (tool == "get_pod_logs" && reply.text.contains(NO_LOGS))
}

/// The tools that are there, and each of them does its work.
async fn walk(client: &Client, need: &Permission, name: &str) {
    let right = format!("{} {}", need.verb, need.full_resource());
    let listed = client.mcp.list_all_tools().await.unwrap();
    let listed: BTreeSet<String> = listed.into_iter().map(|tool| tool.name.to_string()).collect();
    let all = TOOLS.iter().map(|tool| tool.name);
    let expected: BTreeSet<String> =
        all.clone().filter(|tool| !need.tools.contains(tool)).map(str::to_owned).collect();
    assert_eq!(listed, expected, "without {right}");
    for tool in all {
        let reply = client.call(tool, arguments(tool, name)).await;
        if listed.contains(tool) {
            assert!(works(tool, &reply), "{tool} without {right}: {}", reply.text);
        } else {
            assert_eq!(reply.error_id(), "NCR0502", "{tool} without {right}: {}", reply.text);
            assert_eq!(reply.structured["error"]["details"], json!([right]), "{tool}");
        }
        if let Some(loss) = loss(need, tool) {
            assert!(reply.text.contains(loss), "{tool} without {right}: {}", reply.text);
        }
    }
    let uris = client.uris().await;
    assert!(uris.contains(&"pod-template://nogoo9/default-agent-workspace".to_owned()), "without {right}");
}

/// What a tool that works without a right says of doing without.
fn loss(need: &Permission, tool: &str) -> Option<&'static str> {
    match (need.verb, need.resource, tool) {
        ("list", "configmaps", "list_templates") => Some("⚠ ConfigMap templates unavailable"),
        ("create", "secrets", "spawn_workspace" | "create_pod_from_template") => Some("⚠"),
        _ => None,
    }
}

fn deny(need: &Permission) -> Vec<Rule> {
    vec![Rule::deny(need.verb, &need.full_resource())]
}

async fn cluster() -> DevCluster {
    DevCluster::start(DevConfig { run_pods: false, ..DevConfig::default() }).await.unwrap()
}

/// Whether a server that starts without it can know the pods.
fn is_blind(need: &Permission) -> bool {
    need.full_resource() == "pods" && matches!(need.verb, "list" | "watch")
}

#[tokio::test]
async fn t55_k12_k39_a_server_that_starts_without_one_right() {
    let mut dev = cluster().await;
    for (number, need) in NEEDS.iter().enumerate() {
        dev.access().set(Vec::new());
        let name = format!("t{number}");
        let world = DevWorld::over(dev, Default::default(), Options::default(), |_| {}).await;
        put(&world, &name).await;
        world.dev.access().set(deny(need));
        // The one without the right.
        // It waits for nothing that it can't come to know.
        let limits = nocrd_spawner::Config { index_wait: Duration::from_secs(600), ..Default::default() };
        let world = DevWorld::start(world.dev, limits, Options::default(), |_| {}).await;
        if !is_blind(need) {
            world.cluster.synced().await;
            world.knows_pods().await;
        }
        let client = world.client(Caller::local()).await;
        walk(&client, need, &name).await;
        dev = world.dev;
    }
    dev.shutdown().await.unwrap();
}

#[tokio::test]
async fn t55_k38_a_server_that_loses_one_right() {
    let world = DevWorld::new().await;
    let client = world.client(Caller::local()).await;
    for (number, need) in NEEDS.iter().enumerate() {
        let name = format!("t{number}");
        put(&world, &name).await;
        world.caught_up().await;
        world.dev.access().set(deny(need));
        world.cluster.refresh_permissions().await;
        walk(&client, need, &name).await;
        // And has it again.
        world.dev.access().set(Vec::new());
        world.cluster.refresh_permissions().await;
        assert_eq!(client.mcp.list_all_tools().await.unwrap().len(), TOOLS.len());
    }
    world.stop().await;
}

/// What helps a tool and is missing, costs it this and no more.
#[tokio::test]
async fn t55_what_is_lost_with_what_only_helps() {
    let world = DevWorld::new().await;
    let client = world.client(Caller::local()).await;
    put(&world, "w").await;
    world.caught_up().await;
    let without = async |verb: &str, resource: &str, tool: &str, arguments: Value| {
        world.dev.access().set(vec![Rule::deny(verb, resource)]);
        world.cluster.refresh_permissions().await;
        client.call(tool, arguments).await
    };
    // The whole pod.
    let whole = json!({"id": "w", "includePod": true});
    assert_eq!(without("get", "pods", "get_workspace", whole).await.error_id(), "NCR0502");

    // A Secret of its own: then the values stand in the pod.
    let spec = json!({"containers": [{"name": "agent", "image": "busybox"}]});
    let spawn = json!({"id": "x1", "spec": spec, "context": {"A": "v4lue"}});
    let spawned = without("create", "secrets", "spawn_workspace", spawn).await;
    assert_eq!(spawned.structured["warnings"].as_array().unwrap().len(), 1, "{}", spawned.text);
    assert!(!spawned.text.contains("v4lue"), "{}", spawned.text);
    let env = world.object(Kind::Pod, "ws-x1")["spec"]["containers"][0]["env"].clone();
    assert!(env.to_string().contains("v4lue"), "{env}");
    assert_eq!(world.objects(Kind::Secret).len(), 0);

    // An AWS role.
    let role = json!({"nogoo9/iam-role-arn": "arn:aws:iam::123456789012:role/r"});
    world.dev.access().set(Vec::new());
    world.cluster.refresh_permissions().await;
    let stored = json!({"name": "aws", "spec": spec, "annotations": role});
    assert!(!client.call("create_template", stored).await.failed);
    let spawn = json!({"id": "x2", "templateRef": "aws"});
    let refused = without("create", "serviceaccounts", "spawn_workspace", spawn).await;
    assert_eq!(refused.error_id(), "NCR0502", "{}", refused.text);
    assert_eq!(world.object(Kind::Pod, "ws-x2"), Value::Null, "nothing is left");

    // The reason why it does not start.
    for verb in ["list", "watch"] {
        let spawn = json!({"id": format!("x-{verb}"), "spec": spec, "wait": true, "timeoutSeconds": 1});
        let waited = without(verb, "events", "spawn_workspace", spawn).await;
        assert_eq!(waited.error_id(), "NCR0306", "{}", waited.text);
    }

    // CPU and memory of what runs.
    let resources = json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}});
    let patch = json!({"spec": {"containers": [{"name": "agent", "resources": resources}]}});
    let refused = without("patch", "pods/resize", "patch_pod", json!({"name": "w", "patch": patch})).await;
    assert_eq!(refused.error_id(), "NCR0502", "{}", refused.text);
    world.stop().await;
}

/// In one namespace, with the rights in that namespace only, everything works but the list of namespaces, which then is
/// of one.
#[tokio::test]
async fn t55_a_role_in_one_namespace_is_enough() {
    let dev = cluster().await;
    let namespaces = nocrd_devcluster::access::Namespaces::Except(vec!["nogoo9".into()]);
    let world = DevWorld::over(dev, Default::default(), Options::default(), |_| {}).await;
    put(&world, "w").await;
    world.dev.access().set(vec![Rule::deny("*", "*").within(namespaces)]);
    for (scope, missing) in [(Scope::Namespaced, None), (Scope::Cluster, Some("list_namespaces"))] {
        let own = |config: &mut nocrd_cluster::Config| config.scope = scope;
        let surface = world.again(own).await;
        let client = crate::world::client_over(crate::world::connect(&surface, Caller::local())).await;
        let missing: Vec<&str> = missing.into_iter().collect();
        let all = TOOLS.iter().map(|tool| tool.name);
        let listed: Vec<_> = client.tools();
        assert_eq!(listed.len(), all.clone().count() - missing.len(), "{listed:?}");
        if scope == Scope::Namespaced {
            for tool in all {
                let reply = client.call(tool, arguments(tool, "w")).await;
                assert!(works(tool, &reply), "{tool}: {}", reply.text);
            }
            let namespaces = client.call("list_namespaces", json!({})).await;
            assert_eq!(namespaces.structured["namespaces"], json!(["nogoo9"]));
        }
    }
    world.stop().await;
}
