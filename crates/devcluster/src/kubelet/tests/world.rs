//! A kubelet on a store of its own.

use std::{fs, future::Future, path::Path, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    deletion,
    kind::Kind,
    kubelet::{BackoffConfig, Config, Kubelet, Sandbox},
    object,
    runtime::{ExecRequest, Exit, LogOptions, LogStream, Runtime},
    status::Status,
    store::{Preconditions, Store},
};

/// How long anything may take before a test is given up. No test expects anything to take long.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct World {
    pub(super) store: Store,
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) dir: tempfile::TempDir,
    config: Config,
}

impl World {
    /// With a sandbox, if this machine has one.
    pub(super) async fn new() -> Self {
        Self::with(Sandbox::Auto).await
    }

    pub(super) async fn with(sandbox: Sandbox) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("shared")).unwrap();
        let millis = Duration::from_millis;
        let config = Config {
            sandbox,
            backoff: BackoffConfig {
                base: millis(50),
                max: millis(200),
                reset_after: Duration::from_secs(600),
            },
            run_dir: Some(dir.path().join("run")),
            host_paths: vec![dir.path().join("shared")],
            ..Config::default()
        };
        Self::start(Store::in_memory(), config, dir).await
    }

    pub(super) async fn over(store: Store, config: Config) -> Self {
        Self::start(store, config, tempfile::tempdir().unwrap()).await
    }

    async fn start(store: Store, config: Config, dir: tempfile::TempDir) -> Self {
        let kubelet = Kubelet::start(store.clone(), config.clone()).await.unwrap();
        Self { store, kubelet, dir, config }
    }

    /// Stops the kubelet and starts another one on the same store.
    pub(super) async fn restart(&mut self) {
        self.kubelet.shutdown().await;
        self.kubelet = Kubelet::start(self.store.clone(), self.config.clone()).await.unwrap();
    }

    pub(super) fn is_isolated(&self) -> bool {
        self.kubelet.node.isolation.advice().is_none()
    }

    /// A directory of the machine that pods may mount.
    pub(super) fn shared(&self) -> std::path::PathBuf {
        self.dir.path().join("shared")
    }

    /// A mount path that works with and without a sandbox.
    pub(super) fn mount_path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(super) fn create(&self, name: &str, mut spec: Value) {
        if spec.get("terminationGracePeriodSeconds").is_none() {
            spec["terminationGracePeriodSeconds"] = 30.into();
        }
        spec["nodeName"] = self.config.node_name.as_str().into();
        let metadata = json!({ "name": name, "namespace": "n", "labels": { "app": name } });
        let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Pending" } });
        self.store.create(Kind::Pod, pod).unwrap();
    }

    /// A pod with one container, `c`, that runs a script.
    pub(super) fn run(&self, name: &str, script: &str, more: Value) {
        let mut container = shell("c", script);
        container.as_object_mut().unwrap().extend(more["container"].as_object().cloned().unwrap_or_default());
        let mut spec = json!({ "containers": [container] });
        spec.as_object_mut().unwrap().extend(more["pod"].as_object().cloned().unwrap_or_default());
        self.create(name, spec);
    }

    pub(super) fn pod(&self, name: &str) -> Result<Arc<Value>, Status> {
        self.store.get(Kind::Pod, "n", name)
    }

    /// Waits until the pod is as wanted.
    pub(super) async fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Arc<Value> {
        let (_, mut changes) = self.store.list_and_watch(Kind::Pod).unwrap();
        let waiting = async {
            loop {
                let pod = self.pod(name).unwrap();
                if wanted(&pod) {
                    return pod;
                }
                changes.next().await.unwrap().unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(pod) => pod,
            Err(_) => {
                panic!("{name} never was {what}: {:#}\n{:#?}", self.pod(name).unwrap(), self.events(name))
            }
        }
    }

    pub(super) async fn until_ready(&self, name: &str) -> Arc<Value> {
        self.until(name, "ready", |pod| condition(pod, "Ready") == "True").await
    }

    pub(super) async fn until_phase(&self, name: &str, phase: &str) -> Arc<Value> {
        self.until(name, phase, |pod| pod["status"]["phase"] == phase).await
    }

    pub(super) async fn until_waiting(&self, name: &str, reason: &str) -> Arc<Value> {
        self.until(name, reason, |pod| container(pod)["state"]["waiting"]["reason"] == reason).await
    }

    pub(super) async fn until_gone(&self, name: &str) {
        let (_, mut changes) = self.store.list_and_watch(Kind::Pod).unwrap();
        let waiting = async {
            while self.pod(name).is_ok() {
                changes.next().await.unwrap().unwrap();
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, waiting).await.is_ok(),
            "{name} did not go: {:#}",
            self.pod(name).unwrap()
        );
    }

    pub(super) fn delete(&self, name: &str, grace: Option<i64>) {
        let options = deletion::Options { grace, ..deletion::Options::default() };
        deletion::delete(&self.store, Kind::Pod, "n", name, &options).unwrap();
    }

    pub(super) fn update(&self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        let change = |object: &mut Value| {
            change(object);
            Ok(())
        };
        self.store.update(kind, "n", name, &Preconditions::none(), change).unwrap();
    }

    /// Reasons and messages of a pod's events.
    pub(super) fn events(&self, name: &str) -> Vec<(String, String)> {
        let events = self.store.list(Kind::Event, Some("n")).items;
        let of_pod = events.iter().filter(|event| event["involvedObject"]["name"] == name);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        of_pod.map(|event| (text(&event["reason"]), text(&event["message"]))).collect()
    }

    pub(super) async fn until_event(&self, name: &str, reason: &str) -> String {
        let (_, mut changes) = self.store.list_and_watch(Kind::Event).unwrap();
        let waiting = async {
            loop {
                if let Some((_, message)) = self.events(name).into_iter().find(|event| event.0 == reason) {
                    return message;
                }
                changes.next().await.unwrap().unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(message) => message,
            Err(_) => panic!("{name} never had an event {reason}: {:#?}", self.events(name)),
        }
    }

    pub(super) async fn logs(&self, name: &str, options: LogOptions) -> Result<String, Status> {
        let options = LogOptions {
            container: if options.container.is_empty() { "c".into() } else { options.container },
            ..options
        };
        let stream = self.kubelet.logs(self.pod(name)?, options).await?;
        let pieces: Vec<_> = patiently("the log's end", stream.try_collect::<Vec<_>>()).await.unwrap();
        Ok(String::from_utf8(pieces.concat()).unwrap())
    }

    /// What container `c` has said when it has ended.
    pub(super) async fn all_logs(&self, name: &str) -> String {
        self.logs(name, LogOptions { follow: true, ..LogOptions::default() }).await.unwrap()
    }

    /// What container `c` says first, and the log after that.
    pub(super) async fn first_words(&self, name: &str) -> (String, LogStream) {
        let options = LogOptions { container: "c".into(), follow: true, ..LogOptions::default() };
        let mut stream = self.kubelet.logs(self.pod(name).unwrap(), options).await.unwrap();
        let first = patiently("a word", stream.next()).await.unwrap().unwrap();
        (String::from_utf8_lossy(&first).into_owned(), stream)
    }

    /// Runs a command in container `c`: its exit, output and error output.
    pub(super) async fn exec(&self, name: &str, command: &[&str], input: &str) -> (Exit, String, String) {
        let request = request(command);
        let mut session = self.kubelet.exec(self.pod(name).unwrap(), request).await.unwrap();
        if let Some(mut stdin) = session.stdin.take() {
            stdin.write_all(input.as_bytes()).await.unwrap();
            stdin.shutdown().await.unwrap();
        }
        let (mut out, mut err) = (String::new(), String::new());
        if let (Some(stdout), Some(stderr)) = (&mut session.stdout, &mut session.stderr) {
            let reading =
                async { tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err)) };
            let (read_out, read_err) = patiently("output", reading).await;
            read_out.and(read_err).unwrap();
        }
        (patiently("an exit", session.exit).await, out, err)
    }
}

pub(super) fn request(command: &[&str]) -> ExecRequest {
    ExecRequest {
        container: "c".into(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    }
}

pub(super) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("there never was {what}"),
    }
}

pub(super) fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "busybox", "command": ["/bin/sh", "-c", script] })
}

/// Status of the first main container.
pub(super) fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

/// Status of a condition.
pub(super) fn condition<'a>(pod: &'a Value, name: &str) -> &'a str {
    let conditions = object::list_at(pod, &["status", "conditions"]);
    let found = conditions.iter().find(|condition| condition["type"] == name);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

/// Command lines of processes that have a word in them.
pub(super) fn processes_with(word: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()))
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(word))
        .collect()
}

/// A word that is in no other command line of this machine.
pub(super) fn marker() -> String {
    format!("marker-{}", uuid::Uuid::new_v4().simple())
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
