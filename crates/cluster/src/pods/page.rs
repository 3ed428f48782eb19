//! Listing any pods, ours or not, page by page and past the index.

use k8s_openapi::api::core::v1::Pod;
use nocrd_model::{FieldSelector, LabelSelector, Namespace};

use crate::{Cluster, Error, PodSummary, calls, error::Asked, list::Selector};

/// A page of a list.
#[derive(Debug, Clone)]
pub struct LivePage {
    /// Its pods, in the API server's order, which is by name. They have no place in an order of arrival.
    pub pods: Vec<PodSummary>,
    /// Asks for the next page. It is good for some minutes, and of the same list only.
    pub next: Option<String>,
}

impl Cluster {
    /// Asks the API server for a page of the pods of a namespace. `token` is the [`LivePage::next`] of the page before.
    ///
    /// # Errors
    /// [`Error::Expired`] when the token is too old, [`Error::Invalid`] when it is none or a field can't be selected by; those
    /// about the cluster.
    pub async fn list_pods_page(
        &self,
        namespace: &Namespace,
        labels: &LabelSelector,
        fields: &FieldSelector,
        limit: u32,
        token: Option<&str>,
    ) -> Result<LivePage, Error> {
        let asked = Asked { verb: "list", resource: "pods", namespace: Some(namespace), name: None };
        let selector = Selector {
            labels: (!labels.is_empty()).then(|| labels.to_string()),
            fields: (!fields.is_empty()).then(|| fields.to_string()),
        };
        let path = calls::path(Some(namespace), "pods");
        let page = self.calls().page::<Pod>(asked, &path, &selector, limit, token).await;
        let (pods, next) = page.map_err(|error| match error {
            Error::Api { code: 410, .. } => Error::Expired { what: asked.to_string() },
            error => error,
        })?;
        // Every pod in a cluster has what a summary needs.
        let pods = pods.into_iter().filter_map(|pod| PodSummary::parse(pod).ok()).collect();
        Ok(LivePage { pods, next })
    }
}
