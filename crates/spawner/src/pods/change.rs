//! What may be done to a pod that is there.

use nocrd_cluster::{DeletePod, Error as ClusterError, LogOptions, PodLog, Version};
use nocrd_model::Caller;
use serde_json::Value;

use super::{PodPatch, VisiblePod};
use crate::{Error, Spawner, metadata};

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLogs {
    /// The container that wrote it.
    pub container: String,
    /// What it wrote.
    pub text: String,
    /// Whether the limit of bytes was reached, so that there may be more.
    pub truncated: bool,
}

impl Spawner {
    /// Asks for a pod to be deleted.
    ///
    /// # Errors
    /// [`Error::PodNotFound`] when another pod has its name by now; [`Error::Cluster`] when the API fails.
    pub async fn delete_pod(&self, pod: &VisiblePod, grace_period_seconds: Option<u32>) -> Result<(), Error> {
        let delete = DeletePod { uid: Some(pod.uid.clone()), grace_period_seconds };
        match self.cluster().delete_pod(&pod.namespace, &pod.name, delete).await {
            Err(ClusterError::Conflict { .. } | ClusterError::NotFound { .. }) => Err(pod.not_found()),
            result => Ok(result?),
        }
    }

    /// Changes labels, annotations and resources of a pod, and gives its `resourceVersion` then.
    ///
    /// # Errors
    /// Keys that are not the caller's to set are refused like those of a new pod, before anything is changed; the API
    /// server refuses resources that a running pod can't have ([`Error::Cluster`]).
    pub async fn patch_pod(
        &self,
        caller: &Caller,
        pod: &VisiblePod,
        patch: &PodPatch,
    ) -> Result<String, Error> {
        if patch.name.as_ref().is_some_and(|name| *name != pod.name) {
            return Err(Error::InvalidArgument("patch.metadata.name: it is not the pod's".into()));
        }
        metadata::check_changed_labels(&patch.labels, caller, self.config())?;
        metadata::check_changed_annotations(&patch.annotations, caller, self.config())?;
        if let Some(unknown) = patch.containers().find(|name| !pod.containers().any(|own| own == *name)) {
            let shown: String = unknown.chars().take(80).collect();
            return Err(Error::InvalidArgument(format!(
                "patch.spec.containers: the pod has no container {shown:?}"
            )));
        }
        let mut changed = None;
        let replaced = |error| match error {
            // The precondition: another pod has the name.
            ClusterError::Conflict { .. } | ClusterError::NotFound { .. } => pod.not_found(),
            error => error.into(),
        };
        if !patch.resources.is_empty() {
            // First: it is what the API server may refuse.
            let resized =
                self.cluster().resize_pod(&pod.namespace, &pod.name, &pod.uid, &patch.resources).await;
            changed = Some(resized.map_err(replaced)?);
        }
        if !patch.labels.is_empty() || !patch.annotations.is_empty() {
            let of = Version::any_of(&pod.uid);
            let (labels, annotations) = (&patch.labels, &patch.annotations);
            let patched =
                self.cluster().patch_metadata(&pod.namespace, &pod.name, &of, labels, annotations).await;
            changed = Some(patched.map_err(replaced)?);
        }
        let version = changed.as_ref().unwrap_or(pod.object()).pointer("/metadata/resourceVersion");
        Ok(version.and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Reads a log. Without a container named, that of `agent`, else of the first one.
    ///
    /// # Errors
    /// [`Error::PodNotFound`] when another pod has its name by now; [`Error::Cluster`] when there is no such container,
    /// and when the API fails.
    pub async fn pod_logs(&self, pod: &VisiblePod, options: LogOptions) -> Result<PodLogs, Error> {
        let main = || {
            let mut names = pod.containers();
            let first = pod.containers().next();
            names.find(|name| *name == nocrd_model::keys::MAIN_CONTAINER).or(first).unwrap_or_default()
        };
        let container = options.container.clone().unwrap_or_else(|| main().to_owned());
        let options = LogOptions { container: Some(container.clone()), ..options };
        let log = match self.cluster().pod_logs(&pod.namespace, &pod.name, options).await {
            Err(ClusterError::NotFound { .. }) => return Err(pod.not_found()),
            result => result?,
        };
        // Logs are asked for by name. That the pod is the same now says that it was when they were read.
        match self.cluster().get_pod(&pod.namespace, &pod.name).await {
            Ok(now) if now.pointer("/metadata/uid").and_then(Value::as_str) == Some(&pod.uid) => {}
            Ok(_) | Err(ClusterError::NotFound { .. }) => return Err(pod.not_found()),
            Err(error) => return Err(error.into()),
        }
        let PodLog { text, truncated } = log;
        Ok(PodLogs { container, text, truncated })
    }
}
