//! Single requests: built from parts, bounded in time, with errors a caller can act on.

use std::time::Duration;

use http::Request;
use nocrd_model::Namespace;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Error, Version, error::Asked};

/// The name under which the API server records our changes.
const FIELD_MANAGER: &str = "nocrd";
/// How often a request is sent that the API server's flow control turns away unread.
const ATTEMPTS: u32 = 3;
/// Longest pause between two of them, whatever the API server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) client: kube::Client,
    pub(crate) timeout: Duration,
    /// URL of the API server, without credentials, for messages.
    pub(crate) server: Option<String>,
}

/// The path of a core/v1 resource.
pub(crate) fn path(namespace: Option<&Namespace>, resource: &str) -> String {
    match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/{resource}"),
        None => format!("/api/v1/{resource}"),
    }
}

impl Calls {
    /// Sends `request` and reads the JSON it is answered with.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        asked: Asked<'_>,
        request: Request<Vec<u8>>,
    ) -> Result<T, Error> {
        let text = self.text(asked, request).await?;
        // Not the client's own parser: it logs a body that does not fit, and a body may hold a Secret.
        serde_json::from_str(&text).map_err(|source| asked.unreadable(source.into()))
    }

    async fn text(&self, asked: Asked<'_>, request: Request<Vec<u8>>) -> Result<String, Error> {
        self.in_time(asked, async {
            let mut attempt = 1;
            loop {
                match self.client.request_text(request.clone()).await {
                    Err(kube::Error::Api(status)) if status.code == 429 && attempt < ATTEMPTS => {
                        let asked_for =
                            status.details.map_or(0, |details| details.retry_after_seconds).max(1);
                        let pause = Duration::from_secs(asked_for.into()).min(LONGEST_PAUSE);
                        attempt += 1;
                        tokio::time::sleep(pause).await;
                    }
                    Err(error) => return Err(asked.failed(error, self.server.as_deref())),
                    Ok(text) => return Ok(text),
                }
            }
        })
        .await
    }

    /// Bounds `work` by the request timeout.
    pub(crate) async fn in_time<T>(
        &self,
        asked: Asked<'_>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.timeout, work).await.unwrap_or_else(|_| {
            Err(Error::Timeout { server: self.server.clone(), what: asked.to_string(), after: self.timeout })
        })
    }

    /// Creates an object. Fields the API server does not know are refused rather than dropped.
    pub(crate) async fn create(
        &self,
        namespace: &Namespace,
        resource: &'static str,
        object: &Value,
    ) -> Result<Value, Error> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let asked = Asked { verb: "create", resource, namespace: Some(namespace), name };
        let path = path(Some(namespace), resource);
        let request = Request::post(format!("{path}?fieldValidation=Strict&fieldManager={FIELD_MANAGER}"));
        self.json(asked, with_json(asked, request, object)?).await
    }

    /// Replaces an object: the version in its metadata, if it names one.
    pub(crate) async fn replace(
        &self,
        namespace: &Namespace,
        resource: &'static str,
        name: &str,
        object: &Value,
    ) -> Result<Value, Error> {
        let asked = Asked { verb: "update", resource, namespace: Some(namespace), name: Some(name) };
        check_name(asked)?;
        let path = path(Some(namespace), resource);
        let request =
            Request::put(format!("{path}/{name}?fieldValidation=Strict&fieldManager={FIELD_MANAGER}"));
        self.json(asked, with_json(asked, request, object)?).await
    }

    /// Reads an object.
    pub(crate) async fn get(
        &self,
        namespace: &Namespace,
        resource: &'static str,
        name: &str,
    ) -> Result<Value, Error> {
        let asked = Asked { verb: "get", resource, namespace: Some(namespace), name: Some(name) };
        check_name(asked)?;
        let request = Request::get(format!("{}/{name}", path(Some(namespace), resource)));
        self.json(asked, build(asked, request, Vec::new())?).await
    }

    /// Tells whether there is an object of this name, without reading its contents.
    pub(crate) async fn exists(
        &self,
        namespace: &Namespace,
        resource: &'static str,
        name: &str,
    ) -> Result<bool, Error> {
        let asked = Asked { verb: "get", resource, namespace: Some(namespace), name: Some(name) };
        if check_name(asked).is_err() {
            return Ok(false);
        }
        let request = Request::get(format!("{}/{name}", path(Some(namespace), resource))).header(
            http::header::ACCEPT,
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
        );
        match self.json::<serde::de::IgnoredAny>(asked, build(asked, request, Vec::new())?).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads an object, and gives the API server's text: for what must not be copied.
    pub(crate) async fn get_text(&self, asked: Asked<'_>) -> Result<String, Error> {
        check_name(asked)?;
        let path = path(asked.namespace, asked.resource);
        let request = Request::get(format!("{path}/{}", asked.name.unwrap_or_default()));
        self.text(asked, build(asked, request, Vec::new())?).await
    }

    /// Changes parts of an object, or of its subresource, which stands after a slash. Fields the API server does not know
    /// are refused.
    pub(crate) async fn patch(
        &self,
        namespace: &Namespace,
        resource: &'static str,
        name: &str,
        patch: Patch,
        body: &Value,
    ) -> Result<Value, Error> {
        let asked = Asked { verb: "patch", resource, namespace: Some(namespace), name: Some(name) };
        check_name(asked)?;
        let (collection, subresource) = match resource.split_once('/') {
            Some((collection, subresource)) => (collection, format!("/{subresource}")),
            None => (resource, String::new()),
        };
        let path = path(Some(namespace), collection);
        let query = format!("fieldValidation=Strict&fieldManager={FIELD_MANAGER}");
        let request = Request::patch(format!("{path}/{name}{subresource}?{query}"))
            .header(http::header::CONTENT_TYPE, patch.media_type());
        self.json(asked, build(asked, request, body.to_string().into_bytes())?).await
    }

    /// Deletes an object; one that is not there is deleted already. With `of` another one stays, and the call ends in
    /// [`Error::Conflict`].
    pub(crate) async fn delete(
        &self,
        namespace: &Namespace,
        resource: &'static str,
        name: &str,
        of: Option<&Version>,
        grace_period_seconds: Option<u32>,
    ) -> Result<(), Error> {
        let asked = Asked { verb: "delete", resource, namespace: Some(namespace), name: Some(name) };
        if check_name(asked).is_err() {
            return Ok(());
        }
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(options) = options.as_object_mut() {
            options.extend(of.map(|of| ("preconditions".to_owned(), of.members().into())));
            options.extend(grace_period_seconds.map(|s| ("gracePeriodSeconds".to_owned(), json!(s))));
        }
        let request = Request::delete(format!("{}/{name}", path(Some(namespace), resource)));
        match self.json::<Value>(asked, with_json(asked, request, &options)?).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How a patch is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patch {
    /// RFC 7396.
    Merge,
    /// Kubernetes' own, which merges lists by the names of their elements.
    Strategic,
}

impl Patch {
    fn media_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

/// Names go into paths as they are, so they must be what Kubernetes takes for names; no other object exists.
pub(crate) fn check_name(asked: Asked<'_>) -> Result<(), Error> {
    let fits = asked.name.is_some_and(nocrd_model::id::is_dns_subdomain);
    if fits { Ok(()) } else { Err(asked.not_found()) }
}

/// Finishes a request with a JSON body.
pub(crate) fn with_json(
    asked: Asked<'_>,
    request: http::request::Builder,
    body: &Value,
) -> Result<Request<Vec<u8>>, Error> {
    let request = request.header(http::header::CONTENT_TYPE, "application/json");
    build(asked, request, body.to_string().into_bytes())
}

/// Finishes a request.
pub(crate) fn build(
    asked: Asked<'_>,
    request: http::request::Builder,
    body: Vec<u8>,
) -> Result<Request<Vec<u8>>, Error> {
    request.body(body).map_err(|error| asked.failed(kube::Error::HttpError(error), None))
}
