//! Workspaces and other pods of the embedded cluster, made straight through its API: pods that no scheduler takes, so that they cost the
//! machine nothing. Where there is something to reach, the status says so.

use std::{error::Error as _, fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt, TryStreamExt, stream};
use nocrd_model::keys;
use reqwest::{Certificate, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::Result;

/// Requests to the API at a time.
const AT_ONCE: usize = 32;

/// A workspace to make.
pub(super) struct Workspace {
    pub(super) id: String,
    pub(super) owner: String,
    /// Where its program serves; without one it is never ready.
    pub(super) port: Option<u16>,
}

/// The cluster's API.
pub(super) struct Api {
    authority: Certificate,
    pods: String,
    token: String,
}

impl Api {
    pub(super) fn connect(kubeconfig: &Path) -> Result<Self> {
        let text = fs::read_to_string(kubeconfig)?;
        let authority = STANDARD.decode(value(&text, "certificate-authority-data")?)?;
        let (server, namespace) = (value(&text, "server")?, value(&text, "namespace")?);
        let pods = format!("{server}/api/v1/namespaces/{namespace}/pods");
        Ok(Self {
            authority: Certificate::from_pem(&authority)?,
            pods,
            token: value(&text, "token")?.to_owned(),
        })
    }

    /// Makes them all.
    pub(super) async fn create(&self, workspaces: impl IntoIterator<Item = Workspace>) -> Result {
        // A new one each time: minutes pass between, after which the cluster closes connections.
        let authority = [self.authority.clone()];
        let http = reqwest::Client::builder().no_proxy().tls_certs_only(authority).build()?;
        let made = stream::iter(workspaces).map(|workspace| self.create_one(&http, workspace));
        made.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Makes so many pods that belong to `owner` and are no workspaces.
    pub(super) async fn create_raw(&self, owner: &str, names: impl IntoIterator<Item = String>) -> Result {
        let authority = [self.authority.clone()];
        let http = reqwest::Client::builder().no_proxy().tls_certs_only(authority).build()?;
        let made =
            stream::iter(names).map(|name| self.send(http.post(&self.pods).json(&raw_pod(&name, owner))));
        made.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn create_one(&self, http: &reqwest::Client, workspace: Workspace) -> Result {
        self.send(http.post(&self.pods).json(&pod(&workspace))).await?;
        if workspace.port.is_some() {
            let url = format!("{}/{}/status", self.pods, workspace.id);
            let patch = http.patch(url).body(ready().to_string());
            self.send(patch.header(CONTENT_TYPE, "application/merge-patch+json")).await?;
        }
        Ok(())
    }

    async fn send(&self, request: RequestBuilder) -> Result {
        let answer = request.bearer_auth(&self.token).send().await.map_err(|error| {
            let causes = std::iter::successors(error.source(), |cause| (*cause).source());
            causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
        })?;
        let status = answer.status();
        // To the end: thousands of answers that are left unread end an HTTP/2 connection.
        let text = answer.text().await?;
        if status.is_success() { Ok(()) } else { Err(format!("the cluster answers {status}: {text}").into()) }
    }
}

fn pod(workspace: &Workspace) -> Value {
    let port = workspace.port.unwrap_or(keys::DEFAULT_WORKSPACE_PORT).to_string();
    json!({
        "metadata": {
            "name": workspace.id,
            "labels": {
                keys::TYPE: keys::TYPE_WORKSPACE,
                keys::MANAGED_BY: keys::MANAGED_BY_VALUE,
                keys::WORKSPACE_ID: workspace.id,
            },
            "annotations": { keys::USER_SUB: workspace.owner, keys::WORKSPACE_PORT: port },
        },
        "spec": {
            "schedulerName": "nobody",
            "containers": [{ "name": keys::MAIN_CONTAINER, "image": "busybox" }],
        },
    })
}

fn raw_pod(name: &str, owner: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "labels": { keys::MANAGED_BY: keys::MANAGED_BY_VALUE, keys::USER_SUB: owner },
            "annotations": { keys::USER_SUB: owner },
        },
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "main", "image": "busybox" }] },
    })
}

fn ready() -> Value {
    json!({ "status": {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "podIPs": [{ "ip": "127.0.0.1" }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    }})
}

/// The value of a key that occurs once in the file, which the embedded cluster writes.
fn value<'t>(kubeconfig: &'t str, key: &str) -> Result<&'t str> {
    let found = kubeconfig
        .lines()
        .find_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(": "));
    found.ok_or_else(|| format!("the kubeconfig has no {key}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_kubeconfig_are_found() {
        let text = "clusters:\n- name: a\n  cluster:\n    server: https://127.0.0.1:1\nusers:\n- user:\n    token: t\n";
        assert_eq!(value(text, "server").unwrap(), "https://127.0.0.1:1");
        assert_eq!((value(text, "token").unwrap(), value(text, "name").unwrap()), ("t", "a"));
        assert!(value(text, "cluster").is_err() && value(text, "serve").is_err());
    }
}
