//! A namespace on a real cluster, and a server that has no more rights there than it needs.

use std::{path::PathBuf, time::Duration};

use nocrd_cluster::{NEEDS, Permission, Scope};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::kubeconfig;
use crate::{dev::PATIENCE, kubectl::Kubectl, program::Program};

/// The server's ServiceAccount, its role, and what binds them.
const NAME: &str = "no-crd";

/// A namespace of the test's own. It is deleted when this is dropped.
pub(super) struct Place {
    pub(super) kubectl: Kubectl,
    pub(super) namespace: String,
    /// The directory of the kubeconfig of the server's ServiceAccount.
    dir: TempDir,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kubectl.attempt(&["delete", "namespace", &self.namespace, "--wait=false"], "");
    }
}

impl Place {
    pub(super) fn new(purpose: &str) -> Self {
        let kubectl = Kubectl::at(kubeconfig().into());
        let namespace = format!("no-crd-e2e-{purpose}-{}", std::process::id());
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

    /// The kubeconfig of the server's ServiceAccount.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    pub(super) fn apply(&self, mut object: Value) {
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
    pub(super) async fn grant_all_but(&self, missing: Option<&Permission>) {
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

    /// Starts the server, with the rights of its ServiceAccount and in this namespace alone.
    pub(super) fn serve(&self, more: &[(&str, &str)]) -> Program {
        let kubeconfig = self.kubeconfig();
        let fixed = [
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("STATELESS", "true"),
            ("MODE", "namespaced"),
            ("NAMESPACE", &self.namespace),
        ];
        Program::start(&["--port=0"], &[&fixed[..], more].concat())
    }
}
