//! A template with all that the spawner can do to a pod: required context, an init container that shares the volumes, a
//! command before the stop, a grace period, a service account with a cloud role.

use std::{
    io::Read,
    net::{Ipv4Addr, TcpListener},
};

use serde_json::{Value, json};

use crate::{dev::Dev, kubectl::Kubectl, mcp::Client};

const TEMPLATE: &str = "node-workspace-template";
const ID: &str = "demo";
const REPOSITORY: &str = "https://git.example/team/app.git";

/// The Node.js sandbox of the documentation, with images the embedded cluster can run. Instead of cloning a repository it
/// writes down which; instead of copying its files to a bucket it sends them to `port`.
fn template(port: u16) -> Value {
    let spec = json!({
        "containers": [{
            "name": "workspace",
            "image": "busybox",
            "command": ["sleep", "infinity"],
            "volumeMounts": [{ "name": "workspace-storage", "mountPath": "/workspace" }],
        }],
        "volumes": [{ "name": "workspace-storage", "emptyDir": {} }],
    });
    let init =
        "mkdir /workspace/$PROJECT_NAME && echo \"cloned $REPO_URL\" > /workspace/$PROJECT_NAME/origin";
    // The shell of Debian can't open sockets; bash can.
    let pre_stop = format!("bash -c 'cat /workspace/$PROJECT_NAME/* > /dev/tcp/127.0.0.1/{port}'");
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": TEMPLATE,
            "namespace": "nogoo9",
            "labels": { "nogoo9/pod-template": "true" },
            "annotations": {
                "nogoo9/description": "A standard Node.js development sandbox with S3 storage sync",
                "nogoo9/tag": "node-20",
                "nogoo9/required-context": "PROJECT_NAME,REPO_URL",
                "nogoo9/iam-role-arn": "arn:aws:iam::123456789012:role/workspace-s3-access",
                "nogoo9/init-image": "alpine",
                "nogoo9/init-command": init,
                "nogoo9/pre-stop-command": pre_stop,
                "nogoo9/default-grace-period": "120",
            },
        },
        "data": { "spec": spec.to_string() },
    })
}

#[tokio::test]
async fn a_workspace_lives_as_its_template_says() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    let backup = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    kubectl.apply(&template(backup.local_addr().unwrap().port()));
    let mut client = Client::connect(&dev).await;
    let template = client.until("get_template", json!({ "name": TEMPLATE })).await;
    assert_eq!(template["requiredContext"], json!(["PROJECT_NAME", "REPO_URL"]));
    let arguments = json!({
        "id": ID,
        "templateRef": TEMPLATE,
        "context": { "PROJECT_NAME": "app", "REPO_URL": REPOSITORY },
        "wait": true,
    });
    let spawned = client.call("spawn_workspace", arguments).await;
    let pod_name = spawned["podName"].as_str().unwrap();

    // The init container's file is in the volume of the main one.
    let origin = format!("cloned {REPOSITORY}\n");
    assert_eq!(kubectl.run(&["exec", pod_name, "--", "cat", "/workspace/app/origin"]), origin);
    let pod = kubectl.get(&format!("pod/{pod_name}"));
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 120);
    // Context travels in a Secret, not in the pod.
    assert!(!pod.to_string().contains(REPOSITORY), "{pod:#}");
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
    let account = kubectl.get(&format!("serviceaccount/{account}"));
    let role = &account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"];
    assert_eq!(role, "arn:aws:iam::123456789012:role/workspace-s3-access");

    let edit = "echo edited > /workspace/app/work";
    kubectl.run(&["exec", pod_name, "--", "sh", "-c", edit]);
    client.call("stop_workspace", json!({ "id": ID })).await;
    kubectl.run(&["wait", "--for=delete", &format!("pod/{pod_name}"), "--timeout=120s"]);
    // The kernel has kept what the command sent. If it sent nothing by now, it never will.
    backup.set_nonblocking(true).unwrap();
    let (mut sent, _) = backup.accept().expect("the work is saved before the workspace is gone");
    sent.set_nonblocking(false).unwrap();
    let mut saved = String::new();
    sent.read_to_string(&mut saved).unwrap();
    assert_eq!(saved, format!("{origin}edited\n"));
    client.until_gone(ID).await;
    dev.stop();
}

#[tokio::test]
async fn missing_context_is_named_and_nothing_is_made() {
    let dev = Dev::start();
    let kubectl = Kubectl::new(&dev);
    kubectl.apply(&template(1));
    let mut client = Client::connect(&dev).await;
    client.until("get_template", json!({ "name": TEMPLATE })).await;
    let kinds = "pods,secrets,serviceaccounts,configmaps";
    let before = kubectl.names(kinds);
    for (context, missing, given) in [
        (json!({}), &["PROJECT_NAME", "REPO_URL"][..], None),
        (json!({ "PROJECT_NAME": "app" }), &["REPO_URL"][..], Some("PROJECT_NAME")),
    ] {
        let arguments = json!({ "id": ID, "templateRef": TEMPLATE, "context": context, "wait": true });
        let error = client.refusal("spawn_workspace", arguments).await;
        let message = error["message"].as_str().unwrap();
        assert!(missing.iter().all(|name| message.contains(name)), "{error}");
        assert!(given.is_none_or(|name| !message.contains(name)), "{error}");
        assert_eq!(kubectl.names(kinds), before);
    }
    dev.stop();
}
