//! The rights of the server's own identity on a real cluster, less one at a time.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use nocrd_cluster::{NEEDS, Permission, Scope};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{kubeconfig, spec};
use crate::{dev::PATIENCE, kubectl::Kubectl, program::Program, rpc::Rpc};

/// The server's ServiceAccount, its role, and what binds them.
const NAME: &str = "no-crd";
/// The pod, workspace and template that stay: the tools only look at them.
const KEPT: &str = "kept";

/// A namespace of the test's own. It is deleted when this is dropped.
struct Place {
    kubectl: Kubectl,
    namespace: String,
    /// The directory of the kubeconfig of the server's ServiceAccount.
    dir: TempDir,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kubectl.attempt(&["delete", "namespace", &self.namespace, "--wait=false"], "");
    }
}

impl Place {
    fn new() -> Self {
        let kubectl = Kubectl::at(kubeconfig().into());
        let namespace = format!("no-crd-e2e-{}", std::process::id());
        kubectl.run(&["create", "namespace", &namespace]);
        let place = Self { kubectl, namespace, dir: tempfile::tempdir().unwrap() };
        place.apply(json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": NAME } }));
        place.apply(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": NAME },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME },
            "subjects": [{ "kind": "ServiceAccount", "name": NAME, "namespace": place.namespace }],
        }));
        place.log_in();
        place
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    fn apply(&self, mut object: Value) {
        object["metadata"]["namespace"] = json!(self.namespace);
        self.kubectl.apply(&object);
    }

    /// Writes a kubeconfig for the ServiceAccount, with a token that the cluster issues.
    fn log_in(&self) {
        let token =
            self.kubectl.run(&["create", "token", NAME, "--namespace", &self.namespace, "--duration=1h"]);
        let mut config: Value =
            serde_json::from_str(&self.kubectl.line("config view --minify --raw --flatten --output=json"))
                .unwrap();
        let cluster = config["clusters"][0]["name"].clone();
        config["users"] = json!([{ "name": NAME, "user": { "token": token.trim() } }]);
        config["contexts"] = json!([{ "name": NAME, "context": {
            "cluster": cluster, "user": NAME, "namespace": self.namespace } }]);
        config["current-context"] = json!(NAME);
        std::fs::write(self.kubeconfig(), config.to_string()).unwrap();
    }

    /// Gives the ServiceAccount everything in the table but one right, and waits until the cluster goes by that.
    async fn grant_all_but(&self, missing: Option<&Permission>) {
        let granted =
            NEEDS.iter().filter(|need| need.applies_in(Scope::Namespaced) && Some(*need) != missing);
        let rules: Vec<Value> = granted
            .map(|need| {
                json!({ "apiGroups": [Permission::GROUP], "resources": [need.full_resource()], "verbs": [need.verb] })
            })
            .collect();
        self.apply(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": NAME },
            "rules": rules,
        }));
        let deadline = Instant::now() + PATIENCE;
        for need in NEEDS.iter().filter(|need| need.applies_in(Scope::Namespaced)) {
            let expected = if Some(need) == missing { "no" } else { "yes" };
            let user = format!("--as=system:serviceaccount:{}:{NAME}", self.namespace);
            let mut question =
                vec!["auth", "can-i", need.verb, need.resource, "--namespace", &self.namespace, &user];
            let subresource = format!("--subresource={}", need.subresource);
            if !need.subresource.is_empty() {
                question.push(&subresource);
            }
            // It ends with an error where the answer is no.
            while self.kubectl.attempt(&question, "").stdout.trim() != expected {
                assert!(Instant::now() < deadline, "{need:?}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

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
            let fixed = ["delete", "--namespace", &self.namespace, "--grace-period=1", "--ignore-not-found"];
            self.kubectl.run(&[&fixed[..], &pods].concat());
        }
    }

    fn serve(&self) -> Program {
        let kubeconfig = self.kubeconfig();
        let env = [
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("STATELESS", "true"),
            ("MODE", "namespaced"),
            ("NAMESPACE", &self.namespace),
        ];
        Program::start(&["--port=0"], &env)
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
    let place = Place::new();
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
        let server = place.serve();
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
