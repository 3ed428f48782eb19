//! An API server of a few rules, in memory: objects can be created, listed, watched and deleted, and the test plays the
//! scheduler, the kubelet and RBAC.

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

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;
/// Resource, namespace, name.
type Key = (String, String, String);

struct Watcher {
    resource: String,
    lines: mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>,
}

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Key, Value>,
    watchers: Vec<Watcher>,
    /// `verb resource`, each.
    denied: BTreeSet<String>,
    down: bool,
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
        kube::Client::new(service, "nogoo9")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Whether requests fail as they do when nobody listens.
    pub(crate) fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Denies or grants `verb resource`.
    pub(crate) fn set_denied(&self, right: &str, denied: bool) {
        let mut state = self.state();
        if denied {
            state.denied.insert(right.to_owned())
        } else {
            state.denied.remove(right)
        };
    }

    /// Creates or replaces an object.
    pub(crate) fn put(&self, resource: &str, object: Value) {
        self.state().put(resource, object);
    }

    /// Sets a pod's status, as a kubelet does.
    pub(crate) fn set_status(&self, name: &str, status: Value) {
        let mut state = self.state();
        let mut pod = state.objects[&("pods".to_owned(), "nogoo9".to_owned(), name.to_owned())].clone();
        pod["status"] = status;
        state.put("pods", pod);
    }

    /// The objects of a kind.
    pub(crate) fn objects(&self, resource: &str) -> Vec<Value> {
        let state = self.state();
        state
            .objects
            .iter()
            .filter(|((of, ..), _)| of == resource)
            .map(|(_, object)| object.clone())
            .collect()
    }

    async fn handle(&self, request: Request<kube::client::Body>) -> Result<Answer, tower::BoxError> {
        let (parts, body) = request.into_parts();
        let body: Value = serde_json::from_slice(&body.collect().await?.to_bytes()).unwrap_or_default();
        let path: Vec<&str> = parts.uri.path().trim_start_matches('/').split('/').collect();
        let mut state = self.state();
        if state.down {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
        }
        if path.last() == Some(&"selfsubjectaccessreviews") {
            return Ok(state.review(&body));
        }
        let (namespace, resource, name) = match path.as_slice() {
            ["api", "v1", "namespaces", namespace, resource] => (Some(*namespace), *resource, None),
            ["api", "v1", "namespaces", namespace, resource, name] => {
                (Some(*namespace), *resource, Some(*name))
            }
            ["api", "v1", resource] => (None, *resource, None),
            _ => return Ok(failure(404, "NotFound", "no such path")),
        };
        let watch = parts.uri.query().is_some_and(|query| query.contains("watch="));
        Ok(match (&parts.method, name) {
            (&Method::GET, None) if watch => state.watch(resource),
            (&Method::GET, None) => state.list(namespace, resource),
            (&Method::POST, None) => state.create(namespace.unwrap_or_default(), resource, body),
            (&Method::GET, Some(name)) => state.get(namespace.unwrap_or_default(), resource, name),
            (&Method::DELETE, Some(name)) => state.delete(namespace.unwrap_or_default(), resource, name),
            _ => failure(405, "MethodNotAllowed", "not in this server"),
        })
    }
}

impl State {
    fn put(&mut self, resource: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let text = |key: &str| object["metadata"][key].as_str().unwrap().to_owned();
        let key = (resource.to_owned(), text("namespace"), text("name"));
        let known = self.objects.insert(key, object.clone()).is_some();
        self.tell(if known { "MODIFIED" } else { "ADDED" }, resource, &object);
        object
    }

    fn tell(&mut self, type_: &str, resource: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": type_, "object": object}));
        for watcher in self.watchers.iter().filter(|watcher| watcher.resource == resource) {
            let _ = watcher.lines.send(Ok(Frame::data(Bytes::from(line.clone()))));
        }
    }

    fn review(&self, body: &Value) -> Answer {
        let attributes = &body["spec"]["resourceAttributes"];
        let text = |key: &str| attributes[key].as_str().unwrap_or_default();
        let sub =
            if text("subresource").is_empty() { String::new() } else { format!("/{}", text("subresource")) };
        let right = format!("{} {}{sub}", text("verb"), text("resource"));
        answer(201, &json!({"status": {"allowed": !self.denied.contains(&right)}}))
    }

    fn list(&self, namespace: Option<&str>, resource: &str) -> Answer {
        if self.denied.contains(&format!("list {resource}")) {
            return failure(403, "Forbidden", &format!("{resource} is forbidden"));
        }
        let here = self
            .objects
            .iter()
            .filter(|((of, at, _), _)| of == resource && namespace.is_none_or(|n| n == at));
        let items: Vec<&Value> = here.map(|(_, object)| object).collect();
        answer(200, &json!({"metadata": {"resourceVersion": self.version.to_string()}, "items": items}))
    }

    /// Watches from now on: a client of these tests never falls behind.
    fn watch(&mut self, resource: &str) -> Answer {
        let (lines, mut receiver) = mpsc::unbounded_channel();
        self.watchers.push(Watcher { resource: resource.to_owned(), lines });
        let stream = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        Response::new(UnsyncBoxBody::new(StreamBody::new(stream)))
    }

    fn create(&mut self, namespace: &str, resource: &str, mut object: Value) -> Answer {
        object["metadata"]["namespace"] = json!(namespace);
        object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        object["metadata"]["creationTimestamp"] = json!("2026-11-22T12:00:00Z");
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if self.objects.contains_key(&(resource.to_owned(), namespace.to_owned(), name.clone())) {
            return failure(409, "AlreadyExists", &format!("{resource} {name:?} already exists"));
        }
        answer(201, &self.put(resource, object))
    }

    fn get(&self, namespace: &str, resource: &str, name: &str) -> Answer {
        match self.objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned())) {
            Some(object) => answer(200, object),
            None => failure(404, "NotFound", &format!("{resource} {name:?} not found")),
        }
    }

    fn delete(&mut self, namespace: &str, resource: &str, name: &str) -> Answer {
        let removed = self.objects.remove(&(resource.to_owned(), namespace.to_owned(), name.to_owned()));
        let Some(mut object) = removed else {
            return failure(404, "NotFound", &format!("{resource} {name:?} not found"));
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.tell("DELETED", resource, &object);
        answer(200, &object)
    }
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    answer(
        code,
        &json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}),
    )
}

fn answer(code: u16, body: &Value) -> Answer {
    let mut answer = Response::new(UnsyncBoxBody::new(Full::new(Bytes::from(body.to_string()))));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

/// The status of a pod that is ready.
pub(crate) fn ready() -> Value {
    json!({"phase": "Running", "podIP": "10.0.0.7", "conditions": [
        {"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]})
}

/// The status of a pod whose only container, `agent`, waits for a reason.
pub(crate) fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}], "containerStatuses": [
        {"name": "agent", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
            "state": {"waiting": {"reason": reason, "message": message}}}]})
}

/// A template in a ConfigMap, with these annotations.
pub(crate) fn template(namespace: &str, name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}/{name}"),
            "labels": {"nogoo9/pod-template": "true"}, "annotations": annotations},
        "data": {"spec": "containers: [{name: agent, image: i}]"},
    })
}

/// A workspace's pod as a cluster has it.
pub(crate) fn pod(id: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("ws-{owner}-{id}"), "namespace": "nogoo9", "uid": format!("uid-{owner}-{id}"),
            "creationTimestamp": "2026-11-22T12:00:00Z",
            "labels": {
                "nogoo9/type": "workspace", "nogoo9/managed-by": "nogoo9-spawner",
                "nogoo9/workspace-id": id, "nogoo9/user-sub": owner,
            },
            "annotations": {
                "nogoo9/user-sub": owner, "nogoo9/workspace-name": format!("Workspace of {owner}"),
                "nogoo9/template-ref": "default-agent-workspace", "nogoo9/template-version": "1.0.0",
            },
        },
        "spec": {"nodeName": "n1", "containers": [
            {"name": "agent", "image": "i", "env": [{"name": "TOKEN", "value": "s3cret"}]}]},
        "status": ready(),
    })
}
