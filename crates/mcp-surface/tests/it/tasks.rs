//! Work that goes on when its call has been answered.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use nocrd_devcluster::{Config as DevConfig, DevCluster, kind::Kind};
use nocrd_mcp_surface::{Observer, Options, Report};
use nocrd_model::{Caller, Role};
use nocrd_spawner::UpgradeConfig;
use rmcp::{
    ClientHandler, RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, ClientConfig,
        DetailedTask, GetTaskParams, Implementation, ProtocolVersion, TaskPayload, TaskStatus,
        UpdateTaskParams,
    },
    service::{ClientLifecycleMode, RunningService, serve_client_with_lifecycle},
};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    dev::DevWorld,
    world::{connect, until},
};

struct Patient {
    knows_tasks: bool,
}

impl ClientHandler for Patient {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.knows_tasks {
            capabilities = ClientCapabilities::builder().enable_tasks().build();
        }
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }
}

type Client = RunningService<RoleClient, Patient>;

async fn client(world: &DevWorld, caller: Caller, knows_tasks: bool) -> Client {
    let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let stream = connect(&world.surface, caller);
    serve_client_with_lifecycle(Patient { knows_tasks }, stream, lifecycle).await.unwrap()
}

fn ada() -> Caller {
    Caller::verified("ada".into(), Role::User)
}

/// What was cancelled.
#[derive(Debug, Default)]
struct Cancelled(Mutex<Vec<String>>);

impl Observer for Cancelled {
    fn called(&self, report: &Report<'_>) {
        if report.cancels {
            let who = report.caller.unwrap().subject.as_str();
            let line = format!("{} {:?} {who} {:?}", report.tool, report.workspace, report.outcome);
            self.0.lock().unwrap().push(line);
        }
    }
}

async fn world() -> (DevWorld, AbortOnDropHandle<()>) {
    observed(None).await
}

async fn observed(observer: Option<Arc<dyn Observer>>) -> (DevWorld, AbortOnDropHandle<()>) {
    let dev = DevCluster::start(DevConfig::default()).await.unwrap();
    let upgrade = UpgradeConfig { settle: Duration::from_secs(2), ..UpgradeConfig::default() };
    let limits = nocrd_spawner::Config { upgrade, ..nocrd_spawner::Config::default() };
    let world = DevWorld::over(dev, limits, Options { observer, ..Options::default() }, |_| {}).await;
    let spawner = world.spawner.clone();
    let upgrader = AbortOnDropHandle::new(tokio::spawn(async move { spawner.upgrader().await }));
    (world, upgrader)
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> CallToolResponse {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = arguments.as_object().cloned();
    client.call_tool_once(params).await.unwrap()
}

/// The id of the task that a call leaves.
async fn begun(client: &Client, tool: &'static str, arguments: Value) -> String {
    match call(client, tool, arguments).await {
        CallToolResponse::Task(created) => {
            assert_eq!(created.task.status, TaskStatus::Working);
            assert!(created.task.ttl_ms.is_some() && created.task.poll_interval_ms.is_some());
            created.task.task_id
        }
        other => panic!("{other:?}"),
    }
}

async fn ask(client: &Client, id: &str) -> Result<DetailedTask, String> {
    client.get_task(GetTaskParams::new(id)).await.map(|got| got.task).map_err(|error| error.to_string())
}

/// What comes of a task: how it ended, and the result of the tool.
async fn end(client: &Client, id: &str) -> (TaskStatus, Value) {
    let waiting = async {
        loop {
            let task = ask(client, id).await.unwrap();
            match task.payload {
                TaskPayload::Working => assert!(task.task.status_message.is_some()),
                TaskPayload::Completed { result } => break (TaskStatus::Completed, Value::Object(result)),
                other => break (other.status(), Value::Null),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.unwrap()
}

fn spec(command: &str) -> Value {
    json!({"terminationGracePeriodSeconds": 1,
        "containers": [{"name": "agent", "image": "busybox", "command": ["/bin/sh", "-c", command]}]})
}

const RUNS: &str = "exec sleep 3600";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spawn_that_waits_is_a_task_for_those_who_know_tasks() {
    let (world, _upgrader) = world().await;
    let (knows, other) = (client(&world, ada(), true).await, client(&world, ada(), false).await);
    let arguments = |id: &str, command: &str| json!({"id": id, "spec": spec(command), "wait": true});
    let id = begun(&knows, "spawn_workspace", arguments("w1", RUNS)).await;
    let (status, result) = end(&knows, &id).await;
    assert_eq!(status, TaskStatus::Completed);
    assert_eq!(
        (&result["structuredContent"]["id"], &result["structuredContent"]["status"]),
        (&json!("w1"), &json!("running"))
    );
    // Asked again it says the same.
    assert_eq!(end(&knows, &id).await.0, TaskStatus::Completed);
    assert!(matches!(
        call(&other, "spawn_workspace", arguments("w2", RUNS)).await,
        CallToolResponse::Complete(_)
    ));
    let not_waiting = call(&knows, "spawn_workspace", json!({"id": "w3", "spec": spec(RUNS)})).await;
    assert!(matches!(not_waiting, CallToolResponse::Complete(_)));
    // What can't be begun is no task, and what fails later is the tool's failure.
    let refused = call(&knows, "spawn_workspace", arguments("w1", RUNS)).await;
    assert!(matches!(refused, CallToolResponse::Complete(result) if result.is_error == Some(true)));
    let id = begun(&knows, "spawn_workspace", arguments("w4", "exit 7")).await;
    let (status, result) = end(&knows, &id).await;
    assert_eq!((status, &result["isError"]), (TaskStatus::Completed, &json!(true)));
    assert_eq!(result["structuredContent"]["error"]["id"], "NCR0305", "{result}");
    // Stopped while it was waited for.
    let id = begun(&knows, "spawn_workspace", arguments("w5", RUNS)).await;
    call(&knows, "stop_workspace", json!({"id": "w5"})).await;
    until("it is gone", || world.cluster.workspaces().get(&"w5".parse().unwrap()).is_empty()).await;
    assert_eq!(end(&knows, &id).await.1["structuredContent"]["error"]["id"], "NCR0301");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t61_a_task_is_nobody_else_s() {
    let (world, _upgrader) = world().await;
    let owner = client(&world, ada(), true).await;
    let id = begun(&owner, "spawn_workspace", json!({"id": "w1", "spec": spec(RUNS), "wait": true})).await;
    for caller in [
        Caller::verified("bob".into(), Role::User),
        Caller::verified("root".into(), Role::Admin),
        Caller::local(),
    ] {
        let stranger = client(&world, caller, true).await;
        let asked = ask(&stranger, &id).await.unwrap_err();
        assert!(asked.contains("-32602"), "{asked}");
        assert_eq!(asked, ask(&stranger, "none").await.unwrap_err());
        let cancelled = stranger.cancel_task(CancelTaskParams::new(&id)).await;
        assert!(cancelled.unwrap_err().to_string().contains("-32602"));
        let updated = stranger.update_task(UpdateTaskParams::new(&id, Default::default())).await;
        assert!(updated.unwrap_err().to_string().contains("-32602"));
    }
    assert_eq!(end(&owner, &id).await.0, TaskStatus::Completed);
    // Another replica with the same key, or none of it: here it has another.
    let again = world.again(|_| {}).await;
    let other_key = serve_client_with_lifecycle(
        Patient { knows_tasks: true },
        connect(&again, ada()),
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
    );
    assert!(ask(&other_key.await.unwrap(), &id).await.unwrap_err().contains("-32602"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t62_a_task_that_is_cancelled_stops_what_can_be_stopped() {
    let book = Arc::new(Cancelled::default());
    let (world, _upgrader) = observed(Some(book.clone())).await;
    let (admin, owner) = (
        client(&world, Caller::verified("root".into(), Role::Admin), true).await,
        client(&world, ada(), true).await,
    );
    let store = async |tool: &'static str, version: &str, spec: Value| {
        let annotations = json!({"nogoo9/template-version": version});
        let stored = call(&admin, tool, json!({"name": "t", "spec": spec, "annotations": annotations})).await;
        assert!(matches!(stored, CallToolResponse::Complete(result) if result.is_error != Some(true)));
    };
    store("create_template", "1", spec(RUNS)).await;
    let id = begun(&owner, "spawn_workspace", json!({"id": "w1", "templateRef": "t", "wait": true})).await;
    assert_eq!(end(&owner, &id).await.0, TaskStatus::Completed);
    let mut never = spec(RUNS);
    never["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["/bin/false"]}, "periodSeconds": 1});
    store("update_template", "2", never).await;
    let id = begun(&owner, "upgrade_workspace", json!({"id": "w1", "wait": true})).await;
    assert_eq!(ask(&owner, &id).await.unwrap().status(), TaskStatus::Working);
    owner.cancel_task(CancelTaskParams::new(&id)).await.unwrap();
    assert_eq!(end(&owner, &id).await.0, TaskStatus::Cancelled);
    until("the old pod is alone", || world.objects(Kind::Pod).len() == 1).await;

    // A workspace that has been started stays.
    let mut never = spec(RUNS);
    never["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["/bin/false"]}, "periodSeconds": 1});
    let id = begun(&owner, "spawn_workspace", json!({"id": "w2", "spec": never, "wait": true})).await;
    owner.cancel_task(CancelTaskParams::new(&id)).await.unwrap();
    assert_eq!(end(&owner, &id).await.0, TaskStatus::Cancelled);
    assert_eq!(world.objects(Kind::Pod).len(), 2);
    // Of these the first has changed something.
    assert_eq!(*book.0.lock().unwrap(), ["upgrade_workspace Some(\"w1\") ada Done"]);

    // All of them, to a version that starts, and to one that can't be begun. What an owner's own template has become is
    // the owner's affair.
    let own = json!({"name": "own", "spec": spec(RUNS)});
    call(&owner, "create_template", own).await;
    call(&owner, "spawn_workspace", json!({"id": "w3", "templateRef": "own"})).await;
    let newer = json!({"name": "own", "spec": spec("true"), "annotations": {"nogoo9/template-version": "9"}});
    call(&owner, "update_template", newer).await;
    store("update_template", "3", spec(RUNS)).await;
    let wish = json!({"name": "needs", "spec": spec(RUNS), "annotations": {"nogoo9/template-version": "1"}});
    call(&admin, "create_template", wish).await;
    call(&owner, "spawn_workspace", json!({"id": "w4", "templateRef": "needs"})).await;
    let wish = json!({"name": "needs", "spec": spec(RUNS),
        "annotations": {"nogoo9/template-version": "2", "nogoo9/required-context": "KEY"}});
    call(&admin, "update_template", wish).await;
    let id = begun(&admin, "upgrade_all_workspaces", json!({"wait": true})).await;
    let (status, result) = end(&admin, &id).await;
    let told = &result["structuredContent"];
    assert_eq!(
        (status, &told["upgraded"], &told["failed"][0]["id"], &told["failed"][1]),
        (TaskStatus::Completed, &json!(["w1"]), &json!("w4"), &Value::Null),
        "{result}"
    );
    world.stop().await;
}
