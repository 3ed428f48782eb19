//! The rights of the server's own identity on a real cluster, less one at a time.

use std::collections::BTreeSet;

use nocrd_cluster::{NEEDS, Permission, Scope};
use serde_json::{Value, json};

use super::{place::Place, spec};
use crate::{dev::PATIENCE, rpc::Rpc};

/// The pod, workspace and template that stay: the tools only look at them.
const KEPT: &str = "kept";

impl Place {
    /// Puts what the tools are used on.
    fn put(&self, name: &str) {
        let labels = json!({ "nogoo9/managed-by": "nogoo9-spawner", "nogoo9/user-sub": "guest" });
        let mut of_workspace = labels.clone();
        of_workspace["nogoo9/type"] = json!("workspace");
        of_workspace["nogoo9/workspace-id"] = json!(name);
        for (pod, labels) in [(name.to_owned(), labels), (format!("ws-{name}"), of_workspace)] {
            let metadata = json!({ "name": pod, "labels": labels });
            self.apply(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec() }));
        }
        self.apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "labels": { "nogoo9/pod-template": "true" } },
            "data": { "spec": spec().to_string() },
        }));
    }

    /// Takes away what was put and what the tools have made, but for what stays.
    fn clear(&self) {
        let all = self.kubectl.run(&["get", "pods", "--namespace", &self.namespace, "--output=name"]);
        let kept = [format!("pod/{KEPT}"), format!("pod/ws-{KEPT}")];
        let pods: Vec<&str> = all.lines().filter(|pod| !kept.iter().any(|kept| kept == pod)).collect();
        if !pods.is_empty() {
            let fixed = [
                "delete",
                "--namespace",
                &self.namespace,
                "--grace-period=1",
                "--ignore-not-found",
                "--wait=false",
            ];
            self.kubectl.run(&[&fixed[..], &pods].concat());
        }
    }
}

/// What a tool is to do that it can do; `None` for those that are tried elsewhere.
fn arguments(tool: &str, name: &str) -> Option<Value> {
    let (new, built_in) = (format!("{name}-new"), "default-agent-workspace");
    Some(match tool {
        "list_templates"
        | "current_namespace"
        | "get_capabilities"
        | "check_permissions"
        | "list_namespaces"
        | "list_registry_images"
        | "list_pods"
        | "list_workspaces" => json!({}),
        "get_template" => json!({ "name": built_in }),
        "create_template" => json!({ "name": new, "spec": spec() }),
        "update_template" => json!({ "name": KEPT, "spec": spec() }),
        "delete_template" => json!({ "name": name }),
        "get_pod" | "get_pod_logs" => json!({ "name": KEPT }),
        "create_pod" => {
            let mut pod = spec();
            pod["name"] = json!(new);
            pod
        }
        "create_pod_from_template" => {
            json!({ "name": format!("{name}-newer"), "templateRef": built_in, "context": { "ECHO_TEXT": "hello" } })
        }
        "patch_pod" => {
            json!({ "name": KEPT, "patch": { "metadata": { "labels": { "example.com/n": name } } } })
        }
        "delete_pod" => json!({ "name": name, "gracePeriodSeconds": 0 }),
        "get_workspace" | "get_workspace_events" => json!({ "id": KEPT }),
        "stop_workspace" => json!({ "id": name }),
        "spawn_workspace" => {
            json!({ "id": new, "templateRef": built_in, "context": { "ECHO_TEXT": "hello" } })
        }
        _ => return None,
    })
}

/// Whether a server that starts without it can know the pods.
fn is_blind(need: &Permission) -> bool {
    need.full_resource() == "pods" && matches!(need.verb, "list" | "watch")
}

#[tokio::test]
#[ignore = "needs cluster (creates namespaces, roles, pods)"]
async fn t55_k39_each_right_alone_is_missed_by_the_tools_that_need_it() {
    let place = Place::new("rights");
    place.put(KEPT);
    // Its log is read.
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    let (pod, namespace) = (format!("pod/{KEPT}"), place.namespace.clone());
    place.kubectl.run(&["wait", "--for=condition=Ready", &pod, "--namespace", &namespace, &timeout]);

    let rows = NEEDS.iter().filter(|need| need.applies_in(Scope::Namespaced)).map(Some);
    let mut all = BTreeSet::new();
    for (number, missing) in [None].into_iter().chain(rows).enumerate() {
        let name = format!("t{number}");
        place.put(&name);
        place.grant_all_but(missing).await;
        let server = place.serve(&[]);
        let rpc = Rpc::new(&server.base());
        if !missing.is_some_and(is_blind) {
            server.says("ready");
        }
        let listed: BTreeSet<String> = rpc.tools().await.into_iter().collect();
        if missing.is_none() {
            all.clone_from(&listed);
        }
        let needed = missing.map_or(&[][..], |need| need.tools);
        let expected: BTreeSet<String> =
            all.iter().filter(|tool| !needed.contains(&tool.as_str())).cloned().collect();
        assert_eq!(listed, expected, "without {missing:?}");
        for tool in &all {
            let Some(arguments) = arguments(tool, &name) else { continue };
            let result = rpc.attempt(tool, arguments).await.unwrap();
            let error = &result["structuredContent"]["error"];
            if listed.contains(tool) {
                assert_ne!(result["isError"], true, "{tool} without {missing:?}: {error}");
            } else {
                assert_eq!(error["id"], "NCR0502", "{tool} without {missing:?}: {error}");
            }
        }
        server.stop();
        place.clear();
    }
}
