//! Tests of the API through its router, without a socket.

mod access;
mod apply;
mod claims;
mod deletions;
mod forms;
mod lists;
mod pods;
mod watches;
mod writes;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Api, Options};
use crate::{
    access::Access,
    kind::Kind,
    runtime::{ExecRequest, ExecSession, LogOptions, LogStream, Runtime},
    status::Status,
    store::{self, Preconditions, Store},
};

/// A runtime whose logs say how they were asked for.
struct Echo;

#[async_trait]
impl Runtime for Echo {
    async fn logs(&self, _: Arc<Value>, options: LogOptions) -> Result<LogStream, Status> {
        let line = format!("{} {:?} {}\n", options.container, options.tail_lines, options.follow);
        Ok(futures::stream::iter([Ok(Bytes::from(line))]).boxed())
    }

    async fn exec(&self, _: Arc<Value>, _: ExecRequest) -> Result<ExecSession, Status> {
        Err(Status::internal("not here"))
    }
}

struct World {
    store: Store,
    access: Access,
    router: Router,
    closing: CancellationToken,
}

struct Answer {
    code: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// The body of an answer that must be a success.
    fn ok(self) -> Value {
        assert!((200..300).contains(&self.code), "{} {}", self.code, self.body);
        self.body
    }

    /// Code, reason and message of an answer that must be a failure.
    fn failure(self) -> (u16, String, String) {
        assert!(self.code >= 400, "{}", self.body);
        let text = |field: &str| self.body[field].as_str().unwrap_or_default().to_owned();
        (self.code, text("reason"), text("message"))
    }
}

impl World {
    fn new() -> Self {
        Self::with(store::Options::default().history, Options::default())
    }

    /// With a memory for so many changes of each kind. The namespace `n` is there.
    fn with(history: usize, options: Options) -> Self {
        let store = Store::open(&store::Options { history, data_dir: None }).expect("a store in memory");
        let (access, closing) = (Access::default(), CancellationToken::new());
        let api = Api::new(store.clone(), Arc::new(Echo), access.clone(), options, closing.clone());
        let world = Self { store, access, router: api.router(), closing };
        let namespace = json!({ "metadata": { "name": "n" }, "status": { "phase": "Active" } });
        world.store.create(Kind::Namespace, namespace).expect("created");
        let account = json!({ "metadata": { "name": "default", "namespace": "n" } });
        world.store.create(Kind::ServiceAccount, account).expect("created");
        world
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let uri = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("/api/v1/namespaces/n/{path}"),
        };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).expect("a request")).await;
        let response = response.expect("an answer");
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Answer { code, headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &[], body.to_string()).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    async fn merge(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, &[("content-type", "application/merge-patch+json")], body.to_string()).await
    }

    async fn strategic(&self, path: &str, body: Value) -> Answer {
        let headers = [("content-type", "application/strategic-merge-patch+json")];
        self.send("PATCH", path, &headers, body.to_string()).await
    }

    async fn config_map(&self, name: &str, labels: Value) -> Value {
        self.post("configmaps", json!({ "metadata": { "name": name, "labels": labels } })).await.ok()
    }

    async fn pod(&self, name: &str) -> Value {
        let spec = json!({ "containers": [{ "name": "c", "image": "x" }] });
        self.post("pods", json!({ "metadata": { "name": name }, "spec": spec })).await.ok()
    }

    async fn claim(&self, name: &str, size: &str) -> Value {
        let spec =
            json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } });
        self.post("persistentvolumeclaims", json!({ "metadata": { "name": name }, "spec": spec })).await.ok()
    }

    /// Does what the scheduler does.
    fn bind(&self, name: &str) {
        let bind = |pod: &mut Value| {
            pod["spec"]["nodeName"] = "node".into();
            Ok(())
        };
        self.store.update(Kind::Pod, "n", name, &Preconditions::none(), bind).expect("bound");
    }

    /// Opens a watch.
    async fn watch(&self, path: &str) -> Events {
        self.watch_as(path, "application/json").await
    }

    async fn watch_as(&self, path: &str, accept: &str) -> Events {
        let uri = format!("/api/v1/namespaces/n/{path}&watch=1");
        let request =
            Request::builder().uri(uri).header("accept", accept).body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        Events { body: response.into_body(), buffer: Vec::new() }
    }
}

/// The events of a watch.
struct Events {
    body: Body,
    buffer: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        let next = timeout(Duration::from_secs(20 * 3600), async {
            loop {
                if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.buffer.drain(..=end).collect();
                    return Some(serde_json::from_slice(&line).expect("JSON"));
                }
                let frame = self.body.frame().await?.expect("no failure").into_data().expect("data");
                self.buffer.extend_from_slice(&frame);
            }
        });
        next.await.expect("something happens")
    }

    /// Type and name of the next event.
    async fn short(&mut self) -> (String, String) {
        let event = self.next().await.expect("goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

fn short(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}
