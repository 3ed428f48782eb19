//! Upgrades, and a server that is killed in the middle of them.

use std::{path::PathBuf, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{crash::half_done, dev::PATIENCE, kubectl::Kubectl, processes, program::Program, rpc::Rpc};

/// How long after the answer to the last call the server is killed, in milliseconds. A successor has to be ready for a
/// second before it takes over, and where a claim is in the way the old pod goes at once: so that these are moments before,
/// between and after the steps of either.
const KILLED_AFTER: [u64; 6] = [0, 50, 150, 400, 900, 1500];

/// A workspace is upgraded beside its old pod, unless it has a claim that is for one pod at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Beside,
    Recreate,
}

impl Style {
    const ALL: [Self; 2] = [Self::Beside, Self::Recreate];

    /// The name of the template, the id of the workspace, and what the answer calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Recreate => "recreate",
        }
    }

    /// A version of the template. Its container tells which it is, the context and, where there is one, the file.
    fn template(self, version: u64) -> Value {
        let script =
            "echo $VERSION $GREETING; cat /data/mine 2>/dev/null; trap 'exit 0' TERM; sleep 3600 & wait";
        let mut spec = json!({
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "agent", "image": "busybox", "command": ["sh", "-c", script],
                "env": [{ "name": "VERSION", "value": format!("v{version}") }],
                "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
            }],
            "volumes": [{ "name": "data", "emptyDir": {} }],
        });
        if self == Self::Recreate {
            spec["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "notes" } }]);
        }
        let annotations =
            json!({ "nogoo9/template-version": version.to_string(), "nogoo9/required-context": "GREETING" });
        json!({ "name": self.name(), "annotations": annotations, "spec": spec })
    }

    /// What the container of that version logs when nothing is lost. Whoever is upgraded beside has no file.
    fn log(self, version: u64) -> Vec<String> {
        let file = (self == Self::Recreate).then(|| "kept".to_owned());
        [format!("v{version} hello")].into_iter().chain(file).collect()
    }
}

/// A server that can be killed and started again on what it has kept.
struct Stage {
    directory: TempDir,
    dev: Program,
    rpc: Rpc,
}

impl Stage {
    fn start(directory: TempDir) -> Self {
        let (kubeconfig, data) = (directory.path().join("kubeconfig"), directory.path().join("data"));
        let dev =
            Program::dev(&kubeconfig, &["--data-dir", data.to_str().unwrap()], &[("STATELESS", "true")]);
        let rpc = Rpc::new(&dev.base());
        dev.says("ready");
        Self { directory, dev, rpc }
    }

    fn kill(self) -> TempDir {
        self.dev.signal(Signal::KILL);
        assert!(!self.dev.end().status.success());
        self.directory
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    async fn spawn(&self, style: Style) {
        self.rpc.call("create_template", style.template(1)).await;
        let id = style.name();
        let arguments =
            json!({ "id": id, "templateRef": id, "context": { "GREETING": "hello" }, "wait": true });
        // The server hears of its own templates through a watch.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let result = self.rpc.attempt("spawn_workspace", arguments.clone()).await.unwrap();
            if result["isError"] != true {
                return;
            }
            let is_unknown = result["structuredContent"]["error"]["code"] == 404;
            assert!(is_unknown && Instant::now() < deadline, "{result}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Begins to upgrade to a new version of the template.
    async fn upgrade(&self, style: Style, version: u64) {
        self.rpc.call("update_template", style.template(version)).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let begun = self.rpc.call("upgrade_workspace", json!({ "id": style.name() })).await;
            if begun["status"] != "unchanged" {
                assert_eq!(
                    (&begun["toVersion"], &begun["style"]),
                    (&json!(version.to_string()), &json!(style.name()))
                );
                return;
            }
            assert!(Instant::now() < deadline, "the new version is never known: {begun}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether an upgrade is under way.
    async fn is_upgrading(&self, style: Style) -> bool {
        let workspace = self.rpc.call("get_workspace", json!({ "id": style.name() })).await;
        workspace["upgrade"].is_object()
    }

    /// Waits for the end of an upgrade, and checks what has come of it: one pod, of the new version, or of the old one and
    /// with the reason, and nothing is lost.
    async fn check(&self, style: Style, version: u64) {
        let deadline = Instant::now() + PATIENCE;
        let workspace = loop {
            let result = self.rpc.attempt("get_workspace", json!({ "id": style.name() })).await.unwrap();
            // The id is never free in between.
            assert_ne!(result["isError"], true, "{result}");
            let workspace = &result["structuredContent"];
            if workspace["ready"] == true && workspace.get("upgrade").is_none() {
                break workspace.clone();
            }
            assert!(Instant::now() < deadline, "the upgrade does not end: {workspace:#}");
            sleep(Duration::from_millis(20)).await;
        };
        let runs: u64 = workspace["templateVersion"].as_str().unwrap().parse().unwrap();
        let failed = runs + 1 == version && workspace["lastUpgradeError"].is_string();
        assert!(runs == version || failed, "{workspace:#}");
        let pods = self.pods(style);
        let [pod] = &pods[..] else { panic!("not one pod: {pods:#?}") };
        let name = &workspace["podName"];
        assert_eq!(&pod["metadata"]["name"], name);
        let notes = ["nogoo9/upgrade", "nogoo9/upgrade-from", "nogoo9/upgrade-rollback"];
        let annotations = &pod["metadata"]["annotations"];
        assert!(notes.iter().all(|note| annotations.get(note).is_none()), "{annotations:#}");
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        assert!(conditions.iter().any(is_ready), "{conditions:#?}");
        // A pod is ready before it has logged.
        let wanted = style.log(runs);
        loop {
            let logs = self.rpc.call("get_pod_logs", json!({ "name": name })).await;
            let text = logs["logs"].as_str().unwrap_or_else(|| panic!("{logs}")).to_owned();
            if text.lines().eq(wanted.iter().map(String::as_str)) {
                return;
            }
            assert!(Instant::now() < deadline, "{style:?}: {text:?} is not {wanted:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn pods(&self, style: Style) -> Vec<Value> {
        let selector = format!("nogoo9/workspace-id={}", style.name());
        let listed = Kubectl::at(self.kubeconfig()).run(&["get", "pods", "-l", &selector, "-o", "json"]);
        serde_json::from_str::<Value>(&listed).unwrap()["items"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn whenever_the_server_is_killed_an_upgrade_comes_to_its_end() {
    let mut stage = Stage::start(tempfile::tempdir().unwrap());
    let kubectl = Kubectl::at(stage.kubeconfig());
    kubectl.apply(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "notes" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
    }));
    for style in Style::ALL {
        stage.spawn(style).await;
    }
    let pod = stage.pods(Style::Recreate).remove(0);
    let pod = pod["metadata"]["name"].as_str().unwrap();
    kubectl.run(&["exec", pod, "--", "sh", "-c", "echo kept > /data/mine"]);

    let mut interrupted = 0;
    for (version, after) in (2..).zip(KILLED_AFTER) {
        for style in Style::ALL {
            stage.upgrade(style, version).await;
        }
        sleep(Duration::from_millis(after)).await;
        if after > 0 {
            for style in Style::ALL {
                interrupted += usize::from(stage.is_upgrading(style).await);
            }
        }
        let family = processes::descendants(stage.dev.id());
        stage = Stage::start(stage.kill());
        for style in Style::ALL {
            stage.check(style, version).await;
        }
        let left = processes::still_alive(&family);
        assert!(left.is_empty(), "processes of the killed server live on: {}", left.join(", "));
    }
    // That was no test if each upgrade was over before the server was killed.
    assert!(interrupted > 0);
    let kubectl = Kubectl::at(stage.kubeconfig());
    let deadline = Instant::now() + PATIENCE;
    while !half_done(&kubectl).is_empty() {
        assert!(Instant::now() < deadline, "left behind: {:?}", half_done(&kubectl));
        sleep(Duration::from_millis(50)).await;
    }
    let family = processes::descendants(stage.dev.id());
    stage.dev.stop();
    let left = processes::still_alive(&family);
    assert!(left.is_empty(), "processes were left behind: {}", left.join(", "));
}
