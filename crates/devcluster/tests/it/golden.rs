//! Replays what a real kube-apiserver 1.36 was asked and answered, and compares.
//!
//! The exchanges depend on each other: names, versions and tokens that the real server made up are replaced in later
//! requests by those that this server made up in the same place. What differs on purpose is listed, with the reason;
//! the test fails when something else differs, and when something listed no longer does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt;
use nocrd_devcluster::{
    access::{Access, Rule},
    api::{Api, Options},
    controllers::scheduler,
    kind::Kind,
    runtime::{ExecRequest, ExecSession, LogOptions, LogStream, Runtime},
    server::{Token, require_token},
    status::Status,
    store::{self, Preconditions, Store},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const RECORDING: &str = include_str!("../fixtures/kube-apiserver-1.36.jsonl");

/// Exchanges that differ, and why they may.
const DEVIATIONS: &[(&str, &str)] = &[
    ("serviceaccount token", "nobody here could verify a token, so none are issued"),
    ("rules review", "there is no `/.well-known` to have a right to"),
    ("strategic: env change refused", "the diff in the message shows Go's internal types"),
    ("strategic dry run: env add", "the diff in the message shows Go's internal types"),
    (
        "watch without resourceVersion (synthetic ADDED)",
        "the recorded storage had an outage; here the watch works",
    ),
    ("watch list (sendInitialEvents)", "the recorded storage lacks the feature; here the watch works"),
];

/// Exchanges that list what a server serves: only what this one serves is compared, and it must serve at least this.
const SERVED: &[(&str, &[&str])] = &[
    ("discovery /apis", &["authentication.k8s.io", "authorization.k8s.io"]),
    ("discovery /api/v1", &CORE),
    ("discovery /apis/authorization.k8s.io/v1", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    ("aggregated discovery /api", &CORE),
    (
        "openapi v3 index (paths only matter)",
        &["api/v1", "apis/authentication.k8s.io/v1", "apis/authorization.k8s.io/v1"],
    ),
];
const CORE: [&str; 9] = [
    "configmaps",
    "events",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "pods",
    "resourcequotas",
    "secrets",
    "serviceaccounts",
];

/// The recorded server's node has no kubelet: asking it for a log fails like this.
struct Unreachable;

#[async_trait]
impl Runtime for Unreachable {
    async fn logs(&self, _: Arc<Value>, _: LogOptions) -> Result<LogStream, Status> {
        Err(Status::new(500, "", "no preferred addresses found; known addresses: []"))
    }

    async fn exec(&self, _: Arc<Value>, _: ExecRequest) -> Result<ExecSession, Status> {
        Err(Status::internal("nothing is recorded of commands"))
    }
}

/// What one server answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: String,
    warning: Option<String>,
    body: Value,
}

struct Replay {
    store: Store,
    admin: Router,
    viewer: Router,
    /// As the listener has it: for those with a token.
    guarded: Router,
    /// What the recorded server made up, and what this one made up in its place.
    substitutes: BTreeMap<String, String>,
}

impl Replay {
    fn new() -> Self {
        // A short memory, for the recorded server had forgotten its earliest history.
        let store = Store::open(&store::Options { history: 8, data_dir: None }).expect("a store in memory");
        let node = json!({ "metadata": { "name": "lab" }, "spec": {}, "status": {} });
        store.create(Kind::Node, node).expect("a node");
        let router = |user: &str, rules: Vec<Rule>| {
            let access = Access::default();
            access.set(rules);
            // The recorded server ran without the ServiceAccount admission plugin.
            let options = Options { user: user.into(), service_accounts: false, ..Options::default() };
            Api::new(store.clone(), Arc::new(Unreachable), access, options, CancellationToken::new()).router()
        };
        let admin = router("admin", Vec::new());
        let viewer = router("viewer", vec![Rule::deny("*", "*")]);
        let guarded = require_token(admin.clone(), Token::generate());
        Self { store, admin, viewer, guarded, substitutes: BTreeMap::new() }
    }

    /// Replaces what the recorded server made up.
    fn substitute(&self, text: &str) -> String {
        self.substitutes.iter().fold(text.to_owned(), |text, (recorded, ours)| text.replace(recorded, ours))
    }

    /// Notes what this server made up where the recorded one made something up.
    fn learn(&mut self, recorded: &Value, ours: &Value) {
        let generated = recorded.get("generateName").is_some();
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                for (name, recorded) in recorded {
                    let Some(ours) = ours.get(name) else { continue };
                    let (Some(old), Some(new)) = (recorded.as_str(), ours.as_str()) else {
                        self.learn(recorded, ours);
                        continue;
                    };
                    match name.as_str() {
                        "uid" | "continue" => self.note(old, new),
                        "name" if generated => self.note(old, new),
                        // Versions are short numbers: only where they can be nothing else.
                        "resourceVersion" => {
                            self.note(&format!("resourceVersion={old}&"), &format!("resourceVersion={new}&"));
                            self.note(
                                &format!("resourceVersion\":\"{old}\""),
                                &format!("resourceVersion\":\"{new}\""),
                            );
                        }
                        _ => {}
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => {
                for (recorded, ours) in recorded.iter().zip(ours) {
                    self.learn(recorded, ours);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, recorded: &str, ours: &str) {
        self.substitutes.insert(recorded.to_owned(), ours.to_owned());
    }

    async fn ask(&self, name: &str, request: &Value) -> Answer {
        let text = |field: &str| request[field].as_str().unwrap_or_default().to_owned();
        let path = self.substitute(&text("path"));
        // Some recorded paths hold characters that a URI can't.
        let path = path.replace(' ', "%20");
        let mut builder = Request::builder()
            .method(text("method").as_str())
            .uri(path)
            .header("user-agent", "python-httpx/0.28")
            .header("host", "localhost");
        for (header, value) in request["headers"].as_object().into_iter().flatten() {
            builder = builder.header(header, value.as_str().unwrap_or_default());
        }
        let body = match (&request["body"], request["raw"].as_str()) {
            (_, Some(raw)) => raw.to_owned(),
            (Value::Null, None) => String::new(),
            (body, None) => self.substitute(&body.to_string()),
        };
        let request = builder.body(Body::from(body)).expect("a request");
        let router = match name {
            "forbidden" => &self.viewer,
            "unauthorized" => &self.guarded,
            _ => &self.admin,
        };
        let response = router.clone().oneshot(request).await.expect("an answer");
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, content_type, warning) =
            (response.status().as_u16(), header("content-type").unwrap_or_default(), header("warning"));
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| {
            let events: Vec<Value> =
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if events.is_empty() { Value::String(text) } else { events.into() }
        });
        Answer { status, content_type, warning, body }
    }

    async fn send(&self, method: &str, resource: &str, content_type: &str, body: Value) {
        let uri = format!("/api/v1/namespaces/golden/{resource}");
        let request = Request::builder().method(method).uri(uri).header("content-type", content_type);
        let request = request.body(Body::from(body.to_string())).expect("a request");
        let status = self.admin.clone().oneshot(request).await.expect("an answer").status();
        assert!(status.is_success(), "{method} {resource}: {status}");
    }

    /// What was done before an exchange without being recorded.
    async fn unrecorded(&self, name: &str) {
        match name {
            "labelSelector app=x" => {
                for n in 0..5 {
                    let mut labels = json!({ "app": "x", "n": n.to_string() });
                    if n % 2 == 1 {
                        labels["odd"] = "1".into();
                    }
                    let body = json!({ "metadata": { "name": format!("l{n}"), "labels": labels } });
                    self.send("POST", "configmaps", "application/json", body).await;
                }
            }
            // The recorded scheduler had bound the first pod by now, and the second a moment later.
            "pod create two containers" | "pod fieldSelector phase" => scheduler::bind_all(&self.store),
            // Nor did that scheduler write events.
            "events by involvedObject" => {
                for event in self.store.list(Kind::Event, None).items {
                    if event["source"]["component"] == "default-scheduler" {
                        let name = event["metadata"]["name"].as_str().expect("a name");
                        self.store
                            .delete(Kind::Event, "golden", name, &Preconditions::none())
                            .expect("deleted");
                    }
                }
            }
            // Its watch saw these; a watch from an earlier version sees them too.
            "watch from resourceVersion with selector" => {
                let merge = "application/merge-patch+json";
                self.send("PATCH", "pods/p1", merge, json!({ "metadata": { "annotations": { "w": "1" } } }))
                    .await;
                self.send("PATCH", "pods/p1", merge, json!({ "metadata": { "labels": { "app": "q" } } }))
                    .await;
                self.send("PATCH", "pods/p1", merge, json!({ "metadata": { "labels": { "app": "p" } } }))
                    .await;
                let recorded = recording();
                let pod = recorded.iter().find(|exchange| exchange["name"] == "pod create (defaults)");
                let mut pod = pod.expect("recorded")["request"]["body"].clone();
                pod["metadata"]["name"] = "p3".into();
                self.send("POST", "pods", "application/json", pod).await;
                self.send("DELETE", "pods/p3?gracePeriodSeconds=0", "application/json", json!({})).await;
            }
            _ => {}
        }
    }
}

fn recording() -> Vec<Value> {
    RECORDING.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What no two servers say alike, and what is only described.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for volatile in [
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "managedFields",
                "continue",
                "gitVersion",
                "gitCommit",
                "goVersion",
                "compiler",
                "platform",
                "serverAddress",
                "deletionTimestamp",
                "lastTransitionTime",
                "time",
                "freshness",
                "serverRelativeURL",
            ] {
                if map.get(volatile).is_some_and(|value| !value.is_null()) {
                    map.insert(volatile.into(), "*".into());
                }
            }
            map.shift_remove("managedFields");
            // A hash of how objects are stored, which says nothing here.
            map.shift_remove("storageVersionHash");
            // Ages in tables: a busy machine takes more than the recorded second.
            for cell in map.get_mut("cells").and_then(Value::as_array_mut).into_iter().flatten() {
                let age = cell.as_str().and_then(|text| text.strip_suffix('s'));
                if age.is_some_and(|seconds| seconds.parse::<u32>().is_ok()) {
                    *cell = "*s".into();
                }
            }
            if let Some(Value::String(message)) = map.get_mut("message")
                && let Some((sentence, _)) = message.split_once("too old resource version: 1 (")
            {
                *message = format!("{sentence}too old resource version: 1 (*)");
            }
            let generated =
                map.get("generateName").and_then(Value::as_str).map(|prefix| format!("{prefix}*"));
            if let Some(generated) = generated {
                map.insert("name".into(), generated.into());
            }
            map.values_mut().for_each(normalise);
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        _ => {}
    }
}

/// Sorts members, for their order means nothing.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let members: BTreeMap<&String, Value> =
                map.iter().map(|(name, value)| (name, sorted(value))).collect();
            json!(members)
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn differences(path: &str, recorded: &Value, ours: &Value, found: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            let names: BTreeSet<&String> = recorded.keys().chain(ours.keys()).collect();
            for name in names {
                let null = Value::Null;
                let (a, b) = (recorded.get(name), ours.get(name));
                if a.is_none() || b.is_none() {
                    found.push(format!(
                        "{path}.{name}: {} / {}",
                        a.map_or("absent".into(), Value::to_string),
                        b.map_or("absent".into(), Value::to_string)
                    ));
                } else {
                    differences(&format!("{path}.{name}"), a.unwrap_or(&null), b.unwrap_or(&null), found);
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
            for (index, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                differences(&format!("{path}[{index}]"), recorded, ours, found);
            }
        }
        _ if recorded == ours => {}
        _ => found.push(format!("{path}: {recorded} / {ours}")),
    }
}

/// Names of what a listing lists: groups, resources, parts of resources, documents.
fn names(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => {
            let named =
                ["name", "resource", "subresource"].iter().filter_map(|field| map.get(*field)?.as_str());
            let paths =
                map.get("paths").and_then(Value::as_object).into_iter().flat_map(|paths| paths.keys());
            let own = named.map(str::to_owned).chain(paths.cloned());
            own.chain(map.values().flat_map(names)).collect()
        }
        Value::Array(items) => items.iter().flat_map(names).collect(),
        _ => BTreeSet::new(),
    }
}

/// Drops from a listing what isn't among these.
fn keep_only(value: &mut Value, served: &BTreeSet<String>) {
    let is_served = |item: &Value| {
        ["name", "resource", "subresource"]
            .iter()
            .filter_map(|field| item.get(*field)?.as_str())
            .all(|name| served.contains(name))
    };
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(paths)) = map.get_mut("paths") {
                paths.retain(|path, _| served.contains(path));
            }
            map.values_mut().for_each(|value| keep_only(value, served));
            map.retain(|name, value| {
                name != "subresources" || value.as_array().is_none_or(|parts| !parts.is_empty())
            });
        }
        Value::Array(items) => {
            items.retain(is_served);
            items.iter_mut().for_each(|item| keep_only(item, served));
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_real_servers_answers() {
    let mut replay = Replay::new();
    let mut deviations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for exchange in recording() {
        let name = exchange["name"].as_str().expect("a name").to_owned();
        let (request, recorded) = (&exchange["request"], &exchange["response"]);
        replay.unrecorded(&name).await;
        let answer = replay.ask(&name, request).await;
        let mut found = Vec::new();
        if recorded["status"] != answer.status {
            found.push(format!("status: {} / {}", recorded["status"], answer.status));
        }
        if let Some(content_type) = recorded["headers"]["content-type"].as_str() {
            if content_type != answer.content_type {
                found.push(format!("content-type: {content_type} / {}", answer.content_type));
            }
            if recorded["headers"]["warning"].as_str() != answer.warning.as_deref() {
                found.push(format!("warning: {} / {:?}", recorded["headers"]["warning"], answer.warning));
            }
        }
        let recorded_body =
            if recorded["events"].is_array() { &recorded["events"] } else { &recorded["body"] };
        // Events of a watch come one to a line; a single one looks like an object.
        let ours = if recorded["events"].is_array() && answer.body.is_object() {
            json!([answer.body])
        } else {
            answer.body
        };
        replay.learn(recorded_body, &ours);
        let (mut expected, mut actual) = (sorted(recorded_body), sorted(&ours));
        if let Ok(text) = serde_json::from_str::<Value>(&replay.substitute(&expected.to_string())) {
            expected = text;
        }
        normalise(&mut expected);
        normalise(&mut actual);
        if let Some((_, least)) = SERVED.iter().find(|(listing, _)| *listing == name) {
            let served = names(&actual);
            assert!(least.iter().all(|name| served.contains(*name)), "{name}: {served:?}");
            keep_only(&mut expected, &served);
        }
        differences("", &expected, &actual, &mut found);
        if !found.is_empty() {
            deviations.insert(name, found);
        }
    }
    let expected: Vec<&str> = DEVIATIONS.iter().map(|(name, _)| *name).collect();
    let unexpected: Vec<_> =
        deviations.iter().filter(|(name, _)| !expected.contains(&name.as_str())).collect();
    let vanished: Vec<_> = expected.iter().filter(|name| !deviations.contains_key(**name)).collect();
    for (name, found) in &unexpected {
        eprintln!("== {name}");
        for difference in found.iter() {
            eprintln!("   {}", difference.chars().take(600).collect::<String>());
        }
    }
    assert!(unexpected.is_empty(), "{} exchanges differ", unexpected.len());
    assert!(vanished.is_empty(), "no longer different, strike them off the list: {vanished:?}");
}
