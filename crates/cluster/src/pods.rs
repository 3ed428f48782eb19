//! Calls about pods.

mod change;
mod log;

use std::sync::Arc;

use futures::AsyncReadExt;
use k8s_openapi::api::core::v1::Pod;
use kube::core::{Request, subresource::LogParams};
use nocrd_model::Namespace;
use serde_json::Value;

use crate::{
    Cluster, Error, ManagedPod, Version, WorkspacePod,
    calls::{self, check_name},
    cluster::Watched,
    error::Asked,
    list::Selector,
    supervise::{managed_selector, workspace_selector},
    workspace_pod::Parsed,
};

pub use change::Changes;
pub use log::{DEFAULT_LOG_BYTES, DEFAULT_LOG_LINES, MAX_LOG_BYTES, PodLog};

/// How to delete a pod.
#[derive(Debug, Clone, Default)]
pub struct DeletePod {
    /// Delete only the pod with this uid; another of the same name stays, and the call ends in [`Error::Conflict`].
    pub uid: Option<String>,
    /// Seconds between the request to stop and the kill; `None` leaves it to the pod.
    pub grace_period_seconds: Option<u32>,
}

/// What part of a log to read.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The container; needed when the pod has several.
    pub container: Option<String>,
    /// Lines from the end. When neither this nor `limit_bytes` is said, [`DEFAULT_LOG_LINES`].
    pub tail_lines: Option<u32>,
    /// Not older than this.
    pub since_seconds: Option<u32>,
    /// The first so many bytes of what the other options choose, as Kubernetes has it, and never more than
    /// [`MAX_LOG_BYTES`]. When nothing is said, the last [`DEFAULT_LOG_BYTES`].
    pub limit_bytes: Option<u32>,
    /// Whether each line begins with its time (RFC 3339).
    pub timestamps: bool,
    /// Whether to read the log of the container's previous run.
    pub previous: bool,
}

impl Cluster {
    /// Creates a pod and gives it as the API server stored it. Fields the API server does not know are refused.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Invalid`], [`Error::Refused`] and [`Error::QuotaExceeded`] are about the pod;
    /// the others are about the cluster.
    pub async fn create_pod(&self, namespace: &Namespace, pod: &Value) -> Result<Value, Error> {
        self.calls().create(namespace, "pods", pod).await
    }

    /// Reads a pod, with all the fields the API server has.
    ///
    /// # Errors
    /// [`Error::NotFound`], and those about the cluster.
    pub async fn get_pod(&self, namespace: &Namespace, name: &str) -> Result<Value, Error> {
        self.calls().get(namespace, "pods", name).await
    }

    /// Asks for a pod to be deleted. It goes on running for its grace period; one that is not there is deleted already.
    ///
    /// # Errors
    /// [`Error::Conflict`] when [`DeletePod::uid`] is another pod's, and those about the cluster.
    pub async fn delete_pod(
        &self,
        namespace: &Namespace,
        name: &str,
        options: DeletePod,
    ) -> Result<(), Error> {
        let DeletePod { uid, grace_period_seconds } = options;
        let of = uid.as_deref().map(Version::any_of);
        self.calls().delete(namespace, "pods", name, of.as_ref(), grace_period_seconds).await
    }

    /// Asks for a pod to be deleted as long as it is as somebody has seen it. It has its own grace period; one that is not there
    /// is deleted already.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is another pod, or was changed meanwhile, and those about the cluster.
    pub async fn delete_pod_as_seen(
        &self,
        namespace: &Namespace,
        name: &str,
        seen: &Version,
    ) -> Result<(), Error> {
        self.calls().delete(namespace, "pods", name, Some(seen), None).await
    }

    /// Asks the API server for the workspaces' pods, past the index: for when the watch is behind. `None` means all
    /// namespaces that are watched. Pods the index knows have their arrival from it; the others come after them, by
    /// age.
    ///
    /// # Errors
    /// Those about the cluster.
    pub async fn list_workspace_pods(
        &self,
        namespace: Option<&Namespace>,
    ) -> Result<Vec<WorkspacePod>, Error> {
        let pods = self.list_marked(namespace, workspace_selector()).await?;
        // What is no workspace was told when the watch saw it.
        let workspaces = pods.into_iter().filter_map(|pod| match pod {
            Parsed::Workspace(workspace) => Some(*workspace),
            Parsed::Other(..) => None,
        });
        Ok(workspaces.collect())
    }

    /// The same of all pods that this product made, workspaces or not.
    ///
    /// # Errors
    /// Those about the cluster.
    pub async fn list_managed_pods(
        &self,
        namespace: Option<&Namespace>,
    ) -> Result<Vec<Arc<ManagedPod>>, Error> {
        let pods = self.list_marked(namespace, managed_selector()).await?;
        Ok(pods.iter().map(|pod| Arc::clone(pod.pod())).collect())
    }

    async fn list_marked(&self, namespace: Option<&Namespace>, labels: String) -> Result<Vec<Parsed>, Error> {
        let watched = self.health().watched;
        let namespace = match (&watched, namespace) {
            (_, Some(namespace)) => Some(namespace),
            (Watched::One(namespace), None) => Some(namespace),
            _ => None,
        };
        let asked = Asked { verb: "list", resource: "pods", namespace, name: None };
        let selector = Selector { labels: Some(labels), fields: None };
        let mut pods = Vec::new();
        let path = calls::path(namespace, "pods");
        self.calls()
            .list(asked, &path, &selector, false, |page: Vec<Pod>| {
                pods.extend(page.into_iter().filter_map(|pod| Parsed::read(pod).ok()));
            })
            .await?;
        // A list covers one namespace or all; what lies outside the allowed ones is somebody else's.
        pods.retain(|pod| self.serves(&pod.pod().namespace));
        self.indexes().place(&mut pods);
        Ok(pods)
    }

    /// Reads a log. Bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] when the pod has no such container, or several and none is named; those
    /// about the cluster.
    pub async fn pod_logs(
        &self,
        namespace: &Namespace,
        name: &str,
        options: LogOptions,
    ) -> Result<PodLog, Error> {
        let asked = Asked { verb: "get", resource: "pods/log", namespace: Some(namespace), name: Some(name) };
        check_name(asked)?;
        let mut part = log::Part::of(&options);
        let mut is_whole = true;
        loop {
            let (log, is_all) = self.part_of_log(asked, name, &options, part).await?;
            is_whole &= is_all;
            match part.fewer().filter(|_| !is_all) {
                Some(fewer) => part = fewer,
                None => return Ok(PodLog { truncated: log.truncated || !is_whole, ..log }),
            }
        }
    }

    async fn part_of_log(
        &self,
        asked: Asked<'_>,
        name: &str,
        options: &LogOptions,
        part: log::Part,
    ) -> Result<(PodLog, bool), Error> {
        let params = LogParams {
            container: options.container.clone(),
            tail_lines: part.tail_lines().map(i64::from),
            since_seconds: options.since_seconds.map(i64::from),
            limit_bytes: Some(part.limit_bytes().into()),
            timestamps: options.timestamps,
            previous: options.previous,
            ..LogParams::default()
        };
        let calls = self.calls();
        let failed = |error| asked.failed(error, calls.server.as_deref());
        let request = Request::new(calls::path(asked.namespace, "pods"))
            .logs(name, &params)
            .map_err(|error| failed(kube::Error::BuildRequest(error)))?;
        calls
            .in_time(asked, async {
                let body = calls.client.request_stream(request).await.map_err(failed)?;
                // The API server may give slightly more than it was asked for.
                let body = std::pin::pin!(body.take(part.limit_bytes().into()));
                part.read(body).await.map_err(|error| failed(kube::Error::ReadEvents(error)))
            })
            .await
    }
}
