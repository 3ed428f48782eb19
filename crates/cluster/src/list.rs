//! Reading a collection page by page.

use kube::core::{Request, params::ListParams};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Error, calls::Calls, error::Asked};

/// Objects per page: what kubectl and the client libraries ask for.
const PAGE: u32 = 500;

/// Which objects of a collection are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) labels: Option<String>,
    pub(crate) fields: Option<String>,
}

#[derive(Deserialize)]
struct Page<K> {
    #[serde(default)]
    metadata: PageMeta,
    // Go writes an empty list as `null` at times.
    items: Option<Vec<K>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    next: String,
}

impl Calls {
    /// Reads the whole collection at `path`, giving each page to `each`, and tells its version.
    ///
    /// With `metadata_only` the API server is asked to leave out everything but metadata.
    pub(crate) async fn list<K: DeserializeOwned>(
        &self,
        asked: Asked<'_>,
        path: &str,
        selector: &Selector,
        metadata_only: bool,
        mut each: impl FnMut(Vec<K>),
    ) -> Result<String, Error> {
        let mut next: Option<String> = None;
        loop {
            let accept = metadata_only.then_some(METADATA_ONLY);
            let page = self.page(asked, path, selector, next.as_deref(), accept).await?;
            each(page.items.unwrap_or_default());
            if page.metadata.next.is_empty() {
                return Ok(page.metadata.resource_version);
            }
            next = Some(page.metadata.next);
        }
    }

    async fn page<K: DeserializeOwned>(
        &self,
        asked: Asked<'_>,
        path: &str,
        selector: &Selector,
        token: Option<&str>,
        accept: Option<http::HeaderValue>,
    ) -> Result<Page<K>, Error> {
        let params = ListParams {
            label_selector: selector.labels.clone(),
            field_selector: selector.fields.clone(),
            limit: Some(PAGE),
            continue_token: token.map(str::to_owned),
            ..ListParams::default()
        };
        let mut request = Request::new(path)
            .list(&params)
            .map_err(|error| asked.failed(kube::Error::BuildRequest(error), None))?;
        if let Some(accept) = accept {
            request.headers_mut().insert(http::header::ACCEPT, accept);
        }
        self.json(asked, request).await
    }
}

/// The second form is for servers that can't do the first.
const METADATA_ONLY: http::HeaderValue = http::HeaderValue::from_static(
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
);
