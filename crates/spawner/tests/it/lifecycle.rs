use std::time::Duration;

use nocrd_spawner::{Config, Error, Source, SpawnRequest, Spawner, WaitOptions, cluster::State};
use serde_json::json;

use crate::world::{PATIENCE, World, id, request, shell, template_directory, until};

fn patient() -> WaitOptions {
    WaitOptions { timeout: PATIENCE, ..WaitOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn context_init_and_readiness() {
    let world = World::running().await;
    let text = r#"
metadata:
  annotations:
    nogoo9/required-context: PROJECT_NAME
    nogoo9/init-image: alpine/git
    nogoo9/init-command: echo "$PROJECT_NAME for ${{user}}" > /workspace/made
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: agent
      image: busybox
      command: [/bin/sh, -c, "trap 'exit 0' TERM; cat /workspace/made; echo $PROJECT_NAME >&2; sleep 3600 & wait"]
      readinessProbe: {exec: {command: [/bin/sh, -c, "test -f /workspace/made"]}, periodSeconds: 1}
      volumeMounts: [{name: w, mountPath: /workspace}]
  volumes: [{name: w, emptyDir: {}}]
"#;
    let (_directory, sources) = template_directory("flow", &text.replace("alpine/git", "alpine"));
    let spawner = Spawner::new(world.cluster(true).await, sources, Config::default());
    let mut wish = request("w1", "ada@example.com");
    wish.source = "flow".parse::<nocrd_spawner::TemplateRef>().unwrap().into();
    wish.context = [("PROJECT_NAME", "apollo $(HOME)")].into_iter().collect();
    spawner.spawn(wish).await.unwrap();

    let mut steps = Vec::new();
    let workspace = spawner.wait_ready(&id("w1"), None, patient(), |step| steps.push(step)).await.unwrap();
    assert!(workspace.is_ready() && workspace.status().state == State::Running, "{:?}", workspace.status());
    assert!(steps.windows(2).all(|pair| pair[0].step < pair[1].step) && !steps.is_empty(), "{steps:?}");
    let log = spawner
        .cluster()
        .pod_logs(&workspace.pod().namespace, "ws-w1", Default::default())
        .await
        .unwrap()
        .text;
    assert!(log.contains("apollo $(HOME) for ada@example.com") && log.lines().count() == 2, "{log}");
    let events = spawner.events(&id("w1"), None).await.unwrap();
    assert!(events.iter().any(|event| event.reason == "Started"), "{events:?}");

    spawner.stop(&id("w1"), None, Default::default()).await.unwrap();
    until("it is gone", || spawner.get(&id("w1"), None).is_err()).await;
    world.stop().await;
}

async fn diagnosis(spec: serde_json::Value) -> Vec<String> {
    let world = World::running().await;
    let spawner = world.spawner(Config::default()).await;
    spawner.spawn(SpawnRequest { source: Source::Inline(spec), ..request("w1", "ada") }).await.unwrap();
    let options = WaitOptions { settle: Duration::from_millis(200), ..patient() };
    let error = spawner.wait_ready(&id("w1"), None, options, |_| {}).await.unwrap_err();
    world.stop().await;
    match error {
        Error::StartFailed { diagnosis, .. } => diagnosis,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_cannot_be_pulled_is_diagnosed() {
    let spec = json!({"containers": [{"name": "a", "image": "no.such/image:1"}]});
    let diagnosis = diagnosis(spec).await.join("\n");
    assert!(diagnosis.contains("no.such/image:1") && diagnosis.contains("Pull"), "{diagnosis}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loop_is_diagnosed() {
    let diagnosis = diagnosis(shell("echo broken; exit 3")).await.join("\n");
    assert!(diagnosis.contains("CrashLoopBackOff") || diagnosis.contains("exit"), "{diagnosis}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_fits_no_node_is_diagnosed() {
    let mut spec = shell("sleep 1");
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": "nowhere"});
    let diagnosis = diagnosis(spec).await.join("\n");
    assert!(diagnosis.contains("Unschedulable"), "{diagnosis}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_limit_and_a_stop_end_the_wait() {
    let world = World::running().await;
    let spawner = world.spawner(Config::default()).await;
    let mut spec = shell("trap 'exit 0' TERM; sleep 3600 & wait");
    spec["containers"][0]["readinessProbe"] = json!({"exec": {"command": ["false"]}});
    spawner.spawn(SpawnRequest { source: Source::Inline(spec), ..request("w1", "ada") }).await.unwrap();
    let short = WaitOptions { timeout: Duration::from_millis(300), ..WaitOptions::default() };
    let error = spawner.wait_ready(&id("w1"), None, short, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::StartTimeout { .. }), "{error}");

    let waiting = tokio::spawn({
        let spawner = spawner.clone();
        async move { spawner.wait_ready(&id("w1"), None, patient(), |_| {}).await.map(drop) }
    });
    spawner.stop(&id("w1"), None, Default::default()).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Error::NotFound { .. })));
    assert!(matches!(
        spawner.wait_ready(&id("none"), None, patient(), |_| {}).await,
        Err(Error::NotFound { .. })
    ));
    world.stop().await;
}
