//! What people do with kubectl on a cluster, one thing after the other.

use serde_json::{Value, json};

use super::Kubectl;
use crate::dev::Dev;

/// A pod that counts, says goodbye when it is told to stop, and is ready as soon as there is a certain file.
fn counter(name: &str) -> Value {
    let script =
        "trap 'echo goodbye; exit 0' TERM; i=0; while :; do echo count $i; i=$((i+1)); sleep 0.1; done";
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "containers": [{
                "name": "main",
                "image": "busybox",
                "command": ["sh", "-c", script],
                "env": [{ "name": "GREETING", "value": "hello" }],
                "readinessProbe": { "exec": { "command": ["test", "-f", "/scratch/ready"] }, "periodSeconds": 1 },
                "volumeMounts": [{ "name": "work", "mountPath": "/scratch" }],
            }],
            "volumes": [{ "name": "work", "emptyDir": {} }],
        },
    })
}

#[test]
fn objects_are_applied_patched_and_labelled() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    let mut config = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "settings" },
        "data": { "colour": "green", "shape": "round" },
    });
    assert_eq!(kubectl.apply(&config), "configmap/settings created");
    assert_eq!(kubectl.apply(&config), "configmap/settings unchanged");
    config["data"] = json!({ "colour": "blue" });
    assert_eq!(kubectl.apply(&config), "configmap/settings configured");
    // What is gone from the manifest is gone from the object.
    assert_eq!(kubectl.get("configmap/settings")["data"], json!({ "colour": "blue" }));

    let mut pod = counter("patched");
    assert_eq!(kubectl.apply(&pod), "pod/patched created");
    assert_eq!(kubectl.apply(&pod), "pod/patched unchanged");
    pod["metadata"]["annotations"] = json!({ "note": "first" });
    assert_eq!(kubectl.apply(&pod), "pod/patched configured");

    // A strategic merge finds the container by its name; it is the one whose image may change.
    let image = json!({ "spec": { "containers": [{ "name": "main", "image": "busybox:1.36" }] } });
    kubectl.run(&["patch", "pod", "patched", "--patch", &image.to_string()]);
    let containers = kubectl.get("pod/patched")["spec"]["containers"].clone();
    assert_eq!(containers.as_array().unwrap().len(), 1);
    assert_eq!(containers[0]["image"], "busybox:1.36");
    assert_eq!(containers[0]["env"][0]["value"], "hello");

    let note = json!({ "metadata": { "annotations": { "note": null, "other": "second" } } });
    kubectl.run(&["patch", "pod", "patched", "--type=merge", "--patch", &note.to_string()]);
    let annotations = kubectl.get("pod/patched")["metadata"]["annotations"].clone();
    assert_eq!((&annotations["note"], &annotations["other"]), (&Value::Null, &json!("second")));

    assert_eq!(kubectl.line("label pod patched tier=front").trim(), "pod/patched labeled");
    let refused = kubectl.attempt(&["label", "pod", "patched", "tier=back"], "");
    assert!(refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    kubectl.line("label pod patched tier=back --overwrite");
    assert_eq!(kubectl.get("pod/patched")["metadata"]["labels"]["tier"], "back");
    assert_eq!(kubectl.line("label pod patched tier-").trim(), "pod/patched unlabeled");
    assert_eq!(kubectl.get("pod/patched")["metadata"]["labels"], json!({ "app": "patched" }));
    dev.stop();
}

#[test]
fn a_pod_is_watched_from_beginning_to_end() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    let mut watch = kubectl.follow("get pods --watch --output-watch-events");
    kubectl.apply(&counter("watched"));
    watch.until(|line| line.starts_with("ADDED") && line.contains(" watched "));
    watch.until(|line| line.contains(" 0/1 ") && line.contains("Running"));

    let mut logs = kubectl.follow("logs --follow watched");
    logs.until(|line| line == "count 0");
    logs.until(|line| line == "count 5");

    let mut ready = kubectl.follow("wait --for=condition=Ready pod/watched --timeout=120s");
    kubectl.line("exec watched -- touch /scratch/ready");
    ready.until(|line| line == "pod/watched condition met");
    assert_eq!(ready.end(), "");
    watch.until(|line| line.contains(" 1/1 ") && line.contains("Running"));

    assert_eq!(kubectl.line("delete pod watched --grace-period=60").trim(), "pod \"watched\" deleted");
    assert!(!kubectl.has("pod/watched"));
    watch.until(|line| line.contains("Terminating"));
    watch.until(|line| line.starts_with("DELETED"));
    // It had the time to say goodbye, and whoever followed its log has heard it.
    let rest = logs.end();
    assert!(rest.lines().any(|line| line == "goodbye"), "{rest}");
    dev.stop();
}

#[test]
fn commands_run_in_pods() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    kubectl.apply(&counter("host"));
    kubectl.line("wait --for=jsonpath={.status.phase}=Running pod/host --timeout=120s");

    let script = "echo out; echo err >&2; exit 7";
    let ended = kubectl.attempt(&["exec", "host", "--", "sh", "-c", script], "");
    assert_eq!(ended.status.code(), Some(7));
    assert_eq!(ended.stdout, "out\n");
    assert!(ended.stderr.starts_with("err\n"), "{}", ended.stderr);

    // A larger input than any buffer between us.
    let input = "0123456789abcdef".repeat(1 << 16);
    assert_eq!(kubectl.feed(&["exec", "--stdin", "host", "--", "cat"], &input), input);
    let script = "echo $GREETING > /scratch/file; cat /scratch/file";
    assert_eq!(kubectl.run(&["exec", "host", "--", "sh", "-c", script]), "hello\n");

    let missing = kubectl.attempt(&["exec", "host", "--", "no-such-program"], "");
    assert!(!missing.status.success() && missing.stderr.contains("no-such-program"), "{}", missing.stderr);
    let missing = kubectl.attempt(&["exec", "host", "--container=other", "--", "true"], "");
    assert!(missing.stderr.contains("container other is not valid for pod host"), "{}", missing.stderr);
    dev.stop();
}

#[test]
fn lists_are_narrowed_by_selectors() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    for name in ["one", "two"] {
        kubectl.apply(&counter(name));
        let phase = "--for=jsonpath={.status.phase}=Running";
        kubectl.run(&["wait", phase, &format!("pod/{name}"), "--timeout=120s"]);
    }
    kubectl.line("label pod two tier=front");
    let select = |selector: &str| kubectl.run(&["get", "pods", selector, "--output=name"]);
    assert_eq!(select("--selector=app=one"), "pod/one\n");
    assert_eq!(select("--selector=app in (one,two)"), "pod/one\npod/two\n");
    assert_eq!(select("--selector=app!=one,tier"), "pod/two\n");
    assert_eq!(select("--selector=!tier"), "pod/one\n");
    assert_eq!(select("--field-selector=metadata.name=two"), "pod/two\n");
    assert_eq!(select("--field-selector=status.phase=Running"), "pod/one\npod/two\n");
    assert_eq!(select("--field-selector=status.phase!=Running"), "");
    let unknown = kubectl.attempt(&["get", "pods", "--field-selector=spec.colour=blue"], "");
    assert!(unknown.stderr.contains("field label not supported"), "{}", unknown.stderr);
    dev.stop();
}

#[test]
fn events_tell_what_happened() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    let mut events =
        kubectl.follow("get events --watch --output=custom-columns=REASON:.reason,NAME:.involvedObject.name");
    kubectl.apply(&counter("told"));
    let mut missing = counter("missing");
    missing["spec"]["containers"][0]["image"] = json!("no-such-image");
    kubectl.apply(&missing);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut left = vec!["Scheduled told", "Pulled told", "Created told", "Started told", "Failed missing"];
    while !left.is_empty() {
        let event = words(&events.until(|line| left.contains(&words(line).as_str())));
        left.retain(|expected| *expected != event);
    }
    let told = kubectl.line("get events --field-selector=involvedObject.name=told,reason=Started");
    assert!(told.contains("pod/told") && !told.contains("missing"), "{told}");
    let described = kubectl.line("describe pod missing");
    assert!(described.contains("ErrImagePull") || described.contains("ImagePullBackOff"), "{described}");
    assert!(described.contains("no-such-image"), "{described}");
    dev.stop();
}

#[test]
fn objects_are_made_by_commands() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    assert_eq!(kubectl.line("create namespace team"), "namespace/team created\n");
    kubectl.line("create configmap settings --namespace=team --from-literal=colour=green");
    kubectl.line("create secret generic token --namespace=team --from-literal=token=abc");
    kubectl.line("create serviceaccount robot --namespace=team");
    kubectl.line("create quota few --namespace=team --hard=pods=1");
    let get = |what: &str, path: &str| {
        kubectl.run(&["get", what, "--namespace=team", &format!("--output=jsonpath={path}")])
    };
    assert_eq!(get("configmap/settings", "{.data.colour}"), "green");
    assert_eq!(get("secret/token", "{.data.token} {.type}"), "YWJj Opaque");
    assert_eq!(get("serviceaccount/robot", "{.metadata.name}"), "robot");
    kubectl.line("run first --namespace=team --image=busybox -- sleep infinity");
    let second = "run second --namespace=team --image=busybox -- sleep infinity";
    let refused = kubectl.attempt(&second.split(' ').collect::<Vec<_>>(), "");
    assert!(refused.stderr.contains("exceeded quota: few"), "{}", refused.stderr);
    assert!(kubectl.line("delete namespace team --timeout=120s").contains("deleted"));
    assert!(!kubectl.has("namespace/team"));
    dev.stop();
}

#[test]
fn files_on_a_claim_outlive_pods() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    let user = |name: &str, script: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "main",
                    "image": "busybox",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                }],
                "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
            },
        })
    };
    kubectl.apply(&user("writer", "echo kept > /data/file"));
    kubectl.line("wait --for=condition=PodScheduled=False pod/writer --timeout=120s");
    let conditions = kubectl.get("pod/writer")["status"]["conditions"].to_string();
    assert!(conditions.contains("persistentvolumeclaim \\\"data\\\" not found"), "{conditions}");
    assert_eq!(kubectl.apply(&claim), "persistentvolumeclaim/data created");
    assert_eq!(kubectl.apply(&claim), "persistentvolumeclaim/data unchanged");
    kubectl.line("wait --for=jsonpath={.status.phase}=Succeeded pod/writer --timeout=120s");
    let row = kubectl.line("get pvc data --no-headers");
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!((cells[1], cells[3], cells[4]), ("Bound", "1Gi", "RWO"), "{row}");
    kubectl.line("delete pod writer");

    kubectl.apply(&user("reader", "cat /data/file; sleep 1000"));
    kubectl.line("wait --for=condition=Ready pod/reader --timeout=120s");
    kubectl.follow("logs --follow reader").until(|line| line == "kept");
    kubectl.line("delete pvc data --wait=false");
    assert!(kubectl.line("get pvc data").contains("Terminating"));
    kubectl.line("delete pod reader --grace-period=1");
    kubectl.line("wait --for=delete pvc/data --timeout=120s");
    dev.stop();
}

#[test]
fn kubectl_asks_what_it_may_do() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    assert_eq!(kubectl.line("auth can-i create pods"), "yes\n");
    assert_eq!(kubectl.line("auth can-i get pods --subresource=log"), "yes\n");
    assert_eq!(kubectl.line("auth can-i list secrets --all-namespaces"), "yes\n");
    let list = kubectl.line("auth can-i --list");
    assert!(list.lines().any(|line| line.starts_with("*.*")), "{list}");
    dev.stop();
}
