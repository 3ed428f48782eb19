//! Changing a pod that runs. Each change names the exact pod it is meant for.

use std::collections::BTreeMap;

use nocrd_model::Namespace;
use serde_json::{Value, json};

use crate::{Cluster, Error, Version, calls::Patch};

/// New values of labels or annotations, by key; `None` removes one.
pub type Changes = BTreeMap<String, Option<String>>;

impl Cluster {
    /// Changes labels and annotations of a pod, and gives it as the API server stored it. Keys that are not named stay as
    /// they are.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the pod is not the one meant, [`Error::NotFound`] when there is none, [`Error::Invalid`] when
    /// a key or value can't be one; those about the cluster.
    pub async fn patch_metadata(
        &self,
        namespace: &Namespace,
        name: &str,
        of: &Version,
        labels: &Changes,
        annotations: &Changes,
    ) -> Result<Value, Error> {
        let mut metadata = of.members();
        for (member, changes) in [("labels", labels), ("annotations", annotations)] {
            // An empty map would be created where there is none.
            if !changes.is_empty() {
                metadata.insert(member.to_owned(), json!(changes));
            }
        }
        self.calls().patch(namespace, "pods", name, Patch::Merge, &json!({"metadata": metadata})).await
    }

    /// Changes how much CPU and memory containers of a pod ask for and may have, while it runs. Each of `containers` has the
    /// container's `name` and its `resources`; containers that are not named stay as they are. Whether the node has as
    /// much turns out later, in the pod's conditions.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there is another pod of that name, [`Error::NotFound`] when there is none or the API server
    /// can't resize pods (before Kubernetes 1.33), [`Error::Invalid`] when the change is not one of resources; those about
    /// the cluster.
    pub async fn resize_pod(
        &self,
        namespace: &Namespace,
        name: &str,
        uid: &str,
        containers: &[Value],
    ) -> Result<Value, Error> {
        let patch = json!({"metadata": {"uid": uid}, "spec": {"containers": containers}});
        self.calls().patch(namespace, "pods/resize", name, Patch::Strategic, &patch).await
    }

    /// Takes a scheduling gate off a pod, which is scheduled when it has no other. One that is not there is taken off already.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the pod is not the one meant, [`Error::NotFound`] when there is none; those about the cluster.
    pub async fn ungate_pod(
        &self,
        namespace: &Namespace,
        name: &str,
        of: &Version,
        gate: &str,
    ) -> Result<Value, Error> {
        // By name rather than, as in a JSON patch, by its place among other gates. It also makes a pod that is another one a
        // conflict, and not a failed test like any other.
        let gates = json!([{"name": gate, "$patch": "delete"}]);
        let patch = json!({"metadata": of.members(), "spec": {"schedulingGates": gates}});
        self.calls().patch(namespace, "pods", name, Patch::Strategic, &patch).await
    }
}
