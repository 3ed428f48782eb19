//! Upgrades, and a server that is killed in the middle of them.

use std::time::Duration;

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
pub(crate) enum Style {
    Beside,
    Recreate,
}

impl Style {
    pub(crate) const ALL: [Self; 2] = [Self::Beside, Self::Recreate];

    /// The name of the template, the id of the workspace, and what the answer calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Recreate => "recreate",
        }
    }

    /// A spec for the embedded cluster. Its container tells the context and, where there is one, the file.
    fn spec(self) -> Value {
        let script =
            "echo $VERSION $GREETING; cat /data/mine 2>/dev/null; trap 'exit 0' TERM; sleep 3600 & wait";
        let volume = match self {
            Self::Beside => json!({ "name": "data", "emptyDir": {} }),
            Self::Recreate => json!({ "name": "data", "persistentVolumeClaim": { "claimName": "notes" } }),
        };
        json!({
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "agent", "image": "busybox", "command": ["sh", "-c", script],
                "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
            }],
            "volumes": [volume],
        })
    }
}

/// Workspaces that are upgraded, one in each style, as a server and kubectl show them.
pub(crate) struct Workspaces {
    pub(crate) rpc: Rpc,
    pub(crate) kubectl: Kubectl,
    /// What the template of a style begins with: a version and the context `GREETING`, which its container logs as a line,
    /// are added.
    pub(crate) spec: fn(Style) -> Value,
    /// What the container logs after that, when nothing is lost.
    pub(crate) logged: fn(Style) -> &'static str,
}

impl Workspaces {
    /// A version of a template, which the variable `VERSION` tells.
    fn template(&self, style: Style, version: u64) -> Value {
        let mut spec = (self.spec)(style);
        spec["containers"][0]["env"] = json!([{ "name": "VERSION", "value": format!("v{version}") }]);
        let annotations =
            json!({ "nogoo9/template-version": version.to_string(), "nogoo9/required-context": "GREETING" });
        json!({ "name": style.name(), "annotations": annotations, "spec": spec })
    }

    pub(crate) async fn spawn(&self, style: Style) {
        self.rpc.call("create_template", self.template(style, 1)).await;
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
    pub(crate) async fn upgrade(&self, style: Style, version: u64) {
        self.rpc.call("update_template", self.template(style, version)).await;
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
    pub(crate) async fn is_upgrading(&self, style: Style) -> bool {
        let workspace = self.rpc.call("get_workspace", json!({ "id": style.name() })).await;
        workspace["upgrade"].is_object()
    }

    /// Waits for the end of an upgrade, and checks what has come of it: one pod, of the new version, or of the old one and
    /// with the reason, and nothing is lost.
    pub(crate) async fn check(&self, style: Style, version: u64) {
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
        let mut pods = self.pods(style);
        // The other one has its time to stop.
        while pods.len() > 1 {
            assert!(Instant::now() < deadline, "not one pod: {pods:#?}");
            sleep(Duration::from_millis(20)).await;
            pods = self.pods(style);
        }
        let [pod] = &pods[..] else { panic!("no pod: {workspace:#}") };
        let name = &workspace["podName"];
        assert_eq!(&pod["metadata"]["name"], name);
        let notes = ["nogoo9/upgrade", "nogoo9/upgrade-from", "nogoo9/upgrade-rollback"];
        let annotations = &pod["metadata"]["annotations"];
        assert!(notes.iter().all(|note| annotations.get(note).is_none()), "{annotations:#}");
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        assert!(conditions.iter().any(is_ready), "{conditions:#?}");
        // A pod is ready before it has logged.
        let wanted = format!("v{runs} hello\n") + (self.logged)(style);
        loop {
            let logs = self.rpc.call("get_pod_logs", json!({ "name": name })).await;
            let text = logs["logs"].as_str().unwrap_or_else(|| panic!("{logs}")).to_owned();
            if text == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{style:?}: {text:?} is not {wanted:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn pods(&self, style: Style) -> Vec<Value> {
        let selector = format!("nogoo9/workspace-id={}", style.name());
        let listed = self.kubectl.run(&["get", "pods", "-l", &selector, "-o", "json"]);
        serde_json::from_str::<Value>(&listed).unwrap()["items"].as_array().unwrap().clone()
    }
}

/// A server that can be killed and started again on what it has kept.
struct Stage {
    directory: TempDir,
    dev: Program,
    workspaces: Workspaces,
}

impl Stage {
    fn start(directory: TempDir) -> Self {
        let (kubeconfig, data) = (directory.path().join("kubeconfig"), directory.path().join("data"));
        let dev =
            Program::dev(&kubeconfig, &["--data-dir", data.to_str().unwrap()], &[("STATELESS", "true")]);
        let workspaces = Workspaces {
            rpc: Rpc::new(&dev.base()),
            kubectl: Kubectl::at(kubeconfig),
            spec: Style::spec,
            // Whoever is upgraded beside has no file.
            logged: |style| if style == Style::Recreate { "kept\n" } else { "" },
        };
        dev.says("ready");
        Self { directory, dev, workspaces }
    }

    fn kill(self) -> TempDir {
        self.dev.signal(Signal::KILL);
        assert!(!self.dev.end().status.success());
        self.directory
    }
}

#[tokio::test]
async fn whenever_the_server_is_killed_an_upgrade_comes_to_its_end() {
    let mut stage = Stage::start(tempfile::tempdir().unwrap());
    let kubectl = &stage.workspaces.kubectl;
    kubectl.apply(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "notes" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
    }));
    for style in Style::ALL {
        stage.workspaces.spawn(style).await;
    }
    let pod = stage.workspaces.pods(Style::Recreate).remove(0);
    let pod = pod["metadata"]["name"].as_str().unwrap();
    kubectl.run(&["exec", pod, "--", "sh", "-c", "echo kept > /data/mine"]);

    let mut interrupted = 0;
    for (version, after) in (2..).zip(KILLED_AFTER) {
        for style in Style::ALL {
            stage.workspaces.upgrade(style, version).await;
        }
        sleep(Duration::from_millis(after)).await;
        if after > 0 {
            for style in Style::ALL {
                interrupted += usize::from(stage.workspaces.is_upgrading(style).await);
            }
        }
        let family = processes::descendants(stage.dev.id());
        stage = Stage::start(stage.kill());
        for style in Style::ALL {
            stage.workspaces.check(style, version).await;
        }
        let left = processes::still_alive(&family);
        assert!(left.is_empty(), "processes of the killed server live on: {}", left.join(", "));
    }
    // That was no test if each upgrade was over before the server was killed.
    assert!(interrupted > 0);
    let kubectl = &stage.workspaces.kubectl;
    let deadline = Instant::now() + PATIENCE;
    while !half_done(kubectl).is_empty() {
        assert!(Instant::now() < deadline, "left behind: {:?}", half_done(kubectl));
        sleep(Duration::from_millis(50)).await;
    }
    let family = processes::descendants(stage.dev.id());
    stage.dev.stop();
    let left = processes::still_alive(&family);
    assert!(left.is_empty(), "processes were left behind: {}", left.join(", "));
}
