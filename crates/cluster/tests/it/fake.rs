//! An API server of a few rules, in memory: it lists, watches, reviews, and fails when told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// A request that was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) accept: String,
    pub(crate) body: Value,
}

/// How a watch is told that its version is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// An event of type ERROR in the stream, as API servers do.
    Event,
    /// The answer's status, as some proxies and older servers do.
    Status,
}

struct Happened {
    version: u64,
    resource: String,
    namespace: String,
    line: String,
}

struct Watcher {
    resource: String,
    namespace: Option<String>,
    lines: mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Versions below are forgotten.
    oldest: u64,
    expiry: Option<Expiry>,
    /// By resource, namespace and name.
    objects: BTreeMap<(String, String, String), Value>,
    history: Vec<Happened>,
    watchers: Vec<Watcher>,
    /// Verb, resource and namespace (`*` for all) that are denied.
    denied: BTreeSet<(String, String, String)>,
    /// Objects in a page; 0 for no limit.
    page: usize,
    down: bool,
    reviews_fail: bool,
    /// Answers given instead of the usual, by method and path.
    scripted: Vec<(Method, String, StatusCode, Vec<u8>)>,
    received: Vec<Received>,
}

/// The server. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<State>>);

impl Api {
    pub(crate) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let api = api.clone();
            async move { api.handle(request).await }
        });
        kube::Client::new(service, "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Creates or changes an object.
    pub(crate) fn put(&self, resource: &str, mut object: Value) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let key = key(resource, &object);
        let type_ = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
        state.objects.insert(key.clone(), object.clone());
        state.tell(type_, resource, &key.1, &object);
    }

    /// Deletes an object.
    pub(crate) fn remove(&self, resource: &str, namespace: &str, name: &str) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let mut object = state.objects.remove(&key).expect("an object to remove");
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        state.tell("DELETED", resource, namespace, &object);
    }

    /// Sends a raw line to the watchers of a resource.
    pub(crate) fn send_line(&self, resource: &str, line: &str) {
        let state = self.state();
        for watcher in state.watchers.iter().filter(|watcher| watcher.resource == resource) {
            let _ = watcher.lines.send(Ok(Frame::data(Bytes::from(format!("{line}\n")))));
        }
    }

    /// Ends all watches, as a server that restarts does.
    pub(crate) fn end_watches(&self) {
        self.state().watchers.clear();
    }

    /// Forgets the past: a watch that ended can't be resumed.
    pub(crate) fn forget(&self, expiry: Expiry) {
        let mut state = self.state();
        state.version += 1;
        state.oldest = state.version;
        state.expiry = Some(expiry);
    }

    /// Takes the server down, or up again. Going down breaks every watch.
    pub(crate) fn set_down(&self, down: bool) {
        let mut state = self.state();
        state.down = down;
        if down {
            for watcher in state.watchers.drain(..) {
                let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset");
                let _ = watcher.lines.send(Err(reset));
            }
        }
    }

    pub(crate) fn set_page(&self, page: usize) {
        self.state().page = page;
    }

    pub(crate) fn set_reviews_fail(&self, fail: bool) {
        self.state().reviews_fail = fail;
    }

    /// Denies a verb on a resource (with its subresource after a slash) in a namespace, or in `*`, all of them.
    pub(crate) fn deny(&self, verb: &str, resource: &str, namespace: &str) {
        self.state().denied.insert((verb.to_owned(), resource.to_owned(), namespace.to_owned()));
    }

    /// Takes all denials back.
    pub(crate) fn allow_all(&self) {
        self.state().denied.clear();
    }

    /// Answers the next request with this method and path so; the path comes without its query.
    pub(crate) fn script(&self, method: Method, path: &str, status: u16, body: impl Into<Vec<u8>>) {
        let status = StatusCode::from_u16(status).unwrap();
        self.state().scripted.push((method, path.to_owned(), status, body.into()));
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// Number of requests received whose target contains `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.state().received.iter().filter(|received| received.target.contains(part)).count()
    }

    /// Number of watches that are open.
    pub(crate) fn watching(&self) -> usize {
        self.state().watchers.iter().filter(|watcher| !watcher.lines.is_closed()).count()
    }

    async fn handle(&self, request: Request<kube::client::Body>) -> Result<Answer, tower::BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let received = Received {
            method: parts.method.clone(),
            target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            accept: parts.headers.get("accept").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let mut state = self.state();
        state.received.push(received.clone());
        if state.down {
            let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
            return Err(refused.into());
        }
        let path = parts.uri.path();
        let scripted =
            state.scripted.iter().position(|(method, at, ..)| method == parts.method && at == path);
        if let Some(at) = scripted {
            let (_, _, status, body) = state.scripted.remove(at);
            return Ok(answer(status, body));
        }
        let query: BTreeMap<String, String> = parts.uri.query().map(parse_query).unwrap_or_default();
        Ok(if path.ends_with("/selfsubjectaccessreviews") {
            state.review(&received.body)
        } else if parts.method != Method::GET {
            failure(405, "MethodNotAllowed", "not in this server")
        } else {
            state.read(path, &query)
        })
    }
}

impl State {
    fn tell(&mut self, type_: &str, resource: &str, namespace: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": type_, "object": object}));
        for watcher in self.watchers.iter().filter(|watcher| watcher.covers(resource, namespace)) {
            let _ = watcher.lines.send(Ok(Frame::data(Bytes::from(line.clone()))));
        }
        let (resource, namespace) = (resource.to_owned(), namespace.to_owned());
        self.history.push(Happened { version: self.version, resource, namespace, line });
    }

    fn is_denied(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        self.denied.contains(&(verb.to_owned(), resource.to_owned(), namespace.to_owned()))
    }

    fn review(&self, body: &Value) -> Answer {
        if self.reviews_fail {
            return failure(500, "InternalError", "the authorizer is out");
        }
        let attributes = &body["spec"]["resourceAttributes"];
        let text = |key: &str| attributes[key].as_str().unwrap_or_default();
        let resource = match text("subresource") {
            "" => text("resource").to_owned(),
            sub => format!("{}/{sub}", text("resource")),
        };
        let namespace = if text("namespace").is_empty() { "*" } else { text("namespace") };
        json_answer(201, &json!({"status": {"allowed": !self.is_denied(text("verb"), &resource, namespace)}}))
    }

    /// Lists or watches, by path.
    fn read(&mut self, path: &str, query: &BTreeMap<String, String>) -> Answer {
        let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
        let (namespace, resource) = match parts.as_slice() {
            ["namespaces", namespace, resource] => (Some(*namespace), *resource),
            [resource] => (None, *resource),
            _ => return failure(404, "NotFound", "the server could not find the requested resource"),
        };
        let watch = query.contains_key("watch");
        let verb = if watch { "watch" } else { "list" };
        if self.is_denied(verb, resource, namespace.unwrap_or("*")) {
            let scope =
                namespace.map_or("at the cluster scope".to_owned(), |n| format!("in the namespace \"{n}\""));
            let message = format!(
                "{resource} is forbidden: User \"u\" cannot {verb} resource \"{resource}\" in API group \"\" {scope}"
            );
            return failure(403, "Forbidden", &message);
        }
        if watch { self.watch(namespace, resource, query) } else { self.list(namespace, resource, query) }
    }

    fn list(&self, namespace: Option<&str>, resource: &str, query: &BTreeMap<String, String>) -> Answer {
        let here = self
            .objects
            .iter()
            .filter(|((of, at, _), _)| of == resource && namespace.is_none_or(|namespace| namespace == at));
        let all: Vec<&Value> = here.map(|(_, object)| object).collect();
        let from: usize = query.get("continue").map_or(0, |token| token.parse().unwrap());
        let until = if self.page == 0 { all.len() } else { all.len().min(from + self.page) };
        let next = if until < all.len() { until.to_string() } else { String::new() };
        json_answer(
            200,
            &json!({
                "metadata": {"resourceVersion": self.version.to_string(), "continue": next},
                "items": &all[from..until],
            }),
        )
    }

    fn watch(&mut self, namespace: Option<&str>, resource: &str, query: &BTreeMap<String, String>) -> Answer {
        let from: u64 = query["resourceVersion"].parse().unwrap();
        let (lines, mut receiver) = mpsc::unbounded_channel();
        if from < self.oldest {
            let message = format!("too old resource version: {from} ({})", self.oldest);
            if self.expiry == Some(Expiry::Status) {
                return failure(410, "Expired", &message);
            }
            let status = status(410, "Expired", &message);
            let line = format!("{}\n", json!({"type": "ERROR", "object": status}));
            lines.send(Ok(Frame::data(Bytes::from(line)))).unwrap();
        } else {
            let watcher =
                Watcher { resource: resource.to_owned(), namespace: namespace.map(str::to_owned), lines };
            let missed = self.history.iter().filter(|happened| {
                happened.version > from && watcher.covers(&happened.resource, &happened.namespace)
            });
            for happened in missed {
                watcher.lines.send(Ok(Frame::data(Bytes::from(happened.line.clone())))).unwrap();
            }
            self.watchers.push(watcher);
        }
        let stream = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        Response::new(UnsyncBoxBody::new(StreamBody::new(stream)))
    }
}

impl Watcher {
    fn covers(&self, resource: &str, namespace: &str) -> bool {
        self.resource == resource && self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

fn key(resource: &str, object: &Value) -> (String, String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap().to_owned();
    (resource.to_owned(), text("namespace"), text("name"))
}

fn parse_query(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    json_answer(code, &status(code, reason, message))
}

fn json_answer(code: u16, body: &Value) -> Answer {
    answer(StatusCode::from_u16(code).unwrap(), body.to_string().into_bytes())
}

fn answer(status: StatusCode, body: Vec<u8>) -> Answer {
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(UnsyncBoxBody::new(body));
    *answer.status_mut() = status;
    answer
}

/// A workspace's pod as a cluster has it.
pub(crate) fn pod(name: &str, id: &str, ready: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "nogoo9", "uid": format!("uid-{name}"),
            "creationTimestamp": "2026-11-22T12:00:00Z",
            "labels": {
                "nogoo9/type": "workspace", "nogoo9/managed-by": "nogoo9-spawner",
                "nogoo9/workspace-id": id, "nogoo9/user-sub": "alice",
            },
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "agent", "image": "i"}]},
        "status": {
            "phase": "Running", "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        },
    })
}

/// A template's ConfigMap, with the ballast kubectl adds.
pub(crate) fn template(name: &str, spec: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "nogoo9", "uid": format!("uid-{name}"),
            "labels": {"nogoo9/pod-template": "true"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "nogoo9/tag": "t"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "data": {"spec": spec},
    })
}
