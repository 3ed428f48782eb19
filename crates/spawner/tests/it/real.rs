//! Against the cluster of the current kubeconfig. Pods use the image `NOCRD_TEST_IMAGE` (busybox) and run on the node
//! `NOCRD_TEST_NODE`, where that is set.

use std::{env, time::Duration};

use nocrd_spawner::{
    Cluster, Config, Source, SpawnRequest, Spawner, TemplateSources, WaitOptions, WorkspaceId,
    cluster::{Config as ClusterConfig, ConnectOptions, Scope, connect},
};
use serde_json::json;

use crate::world::{PATIENCE, role_template, shell};

async fn spawner(templates: TemplateSources) -> Spawner {
    let paths = env::var_os("KUBECONFIG").map(|paths| env::split_paths(&paths).collect()).unwrap_or_default();
    let home = env::var_os("HOME").map(Into::into);
    let found =
        connect(&ConnectOptions { kubeconfig: paths, home, ..ConnectOptions::default() }).await.unwrap();
    let config = ClusterConfig::new(Scope::Cluster, found.namespace.parse().unwrap());
    let cluster = Cluster::start(found.client, config).await.unwrap();
    tokio::time::timeout(PATIENCE, cluster.synced()).await.unwrap();
    Spawner::new(cluster, templates, Config::default())
}

fn wish(id: &WorkspaceId, script: &str) -> SpawnRequest {
    let mut spec = shell(script);
    spec["containers"][0]["image"] = env::var("NOCRD_TEST_IMAGE").unwrap_or_else(|_| "busybox".into()).into();
    if let Ok(node) = env::var("NOCRD_TEST_NODE") {
        spec["nodeName"] = node.into();
    }
    SpawnRequest::builder().id(id.clone()).source(Source::Inline(spec)).build()
}

fn unique(prefix: &str) -> WorkspaceId {
    let now = jiff::Timestamp::now().as_nanosecond();
    WorkspaceId::parse(&format!("{prefix}-{}-{now}", std::process::id())).unwrap()
}

async fn gone(spawner: &Spawner, id: &WorkspaceId) {
    let waiting = async {
        while spawner.get(id, None).is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
#[ignore = "needs cluster (creates pods, secrets and service accounts)"]
async fn cluster_spawn_wait_and_stop() {
    let spawner = spawner(TemplateSources::default()).await;
    let id = unique("it");
    let mut request = wish(&id, "echo ${#TOKEN}; trap 'exit 0' TERM; sleep 3600 & wait");
    request.context = [("TOKEN", "s3cret")].into_iter().collect();
    request.annotations = [
        ("nogoo9/pre-stop-command".to_owned(), "true".to_owned()),
        ("nogoo9/default-grace-period".to_owned(), "7".to_owned()),
    ]
    .into();
    let before = spawner.cluster().api_calls();
    let spawned = spawner.spawn(request.clone()).await.unwrap();
    assert_eq!(spawner.cluster().api_calls() - before, 2, "one pod and one Secret");
    assert_eq!(spawner.spawn(request).await.unwrap_err().code().reason, "WorkspaceExists");
    let options =
        WaitOptions { timeout: 3 * PATIENCE, settle: Duration::from_secs(30), ..WaitOptions::default() };
    let workspace = spawner.wait_ready(&id, None, options, |_| {}).await.unwrap();
    assert!(workspace.pod().ip.is_some());
    let pod = spawner.cluster().get_pod(&spawned.namespace, &spawned.pod_name).await.unwrap();
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], json!(7));
    assert!(!pod.to_string().contains("s3cret"));
    let log = spawner
        .cluster()
        .pod_logs(&spawned.namespace, &spawned.pod_name, Default::default())
        .await
        .unwrap()
        .text;
    assert_eq!(log.trim(), "6", "the context reached the container");
    spawner.stop(&id, None, Default::default()).await.unwrap();
    gone(&spawner, &id).await;
}

#[tokio::test]
#[ignore = "needs cluster (creates pods and service accounts)"]
async fn cluster_iam_role_account_comes_and_goes() {
    let (_directory, sources) = role_template();
    let spawner = spawner(sources).await;
    let janitor = tokio::spawn({
        let spawner = spawner.clone();
        async move { spawner.janitor().await }
    });
    let id = unique("sa");
    let mut request = wish(&id, "true");
    let Source::Inline(inline) = &request.source else { panic!("inline") };
    let image = inline["containers"][0]["image"].as_str().map(str::to_owned);
    request.source = "role".parse::<nocrd_spawner::TemplateRef>().unwrap().into();
    request.container_overrides = vec![nocrd_spawner::templates::overrides::ContainerOverride {
        name: "agent".into(),
        image,
        ..Default::default()
    }];
    let spawned = spawner.spawn(request).await.unwrap();
    let ours = async || {
        let accounts = spawner.cluster().list_service_accounts(Some(&spawned.namespace)).await.unwrap();
        accounts.iter().filter(|account| account.workspace_id.as_ref() == Some(&id)).count()
    };
    assert_eq!(ours().await, 1);
    spawner.stop(&id, None, nocrd_spawner::StopOptions { grace_period_seconds: Some(1) }).await.unwrap();
    gone(&spawner, &id).await;
    let removed = async {
        while ours().await > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, removed).await.unwrap();
    janitor.abort();
}

#[tokio::test]
#[ignore = "needs cluster (creates pods)"]
async fn cluster_pod_that_fits_no_node_is_diagnosed() {
    let spawner = spawner(TemplateSources::default()).await;
    let id = unique("nofit");
    let mut request = wish(&id, "true");
    let Source::Inline(spec) = &mut request.source else { panic!("inline") };
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("nodeName");
    }
    spec["nodeSelector"] = json!({"kubernetes.io/hostname": "nowhere"});
    spawner.spawn(request).await.unwrap();
    let options = WaitOptions { timeout: PATIENCE, settle: Duration::from_secs(1), ..WaitOptions::default() };
    let error = spawner.wait_ready(&id, None, options, |_| {}).await.unwrap_err();
    spawner.stop(&id, None, Default::default()).await.unwrap();
    gone(&spawner, &id).await;
    // A cluster without a scheduler never says so; then the time limit ends the wait.
    assert!(matches!(error.code().reason, "WorkspaceStartFailed" | "WorkspaceStartTimeout"), "{error}");
}
