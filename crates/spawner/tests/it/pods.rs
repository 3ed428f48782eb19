//! Pods that are no workspaces.

use std::num::NonZeroU32;

use nocrd_devcluster::kind::Kind;
use nocrd_spawner::{
    Caller, Config, Error, ListFilter, PodFilter, PodList, PodName, PodPatch, PodRequest, Source, Spawner,
    StartedPod,
    cluster::LogOptions,
    model::{LabelSelector, Role},
};
use serde_json::{Value, json};

use crate::world::{World, id, request, shell, template_directory, until};

fn user(name: &str) -> Caller {
    Caller::verified(name.into(), Role::User)
}

fn admin() -> Caller {
    Caller::verified("root".into(), Role::Admin)
}

fn wish(name: &str, caller: Caller) -> PodRequest {
    PodRequest::builder()
        .id(PodName::parse(name).unwrap())
        .source(Source::Inline(shell("trap 'exit 0' TERM; echo hello; sleep 3600 & wait")))
        .caller(caller)
        .may_write(true)
        .build()
}

fn namespace() -> nocrd_spawner::Namespace {
    "nogoo9".parse().unwrap()
}

async fn start(spawner: &Spawner, name: &str, caller: Caller) -> StartedPod {
    spawner.start_pod(wish(name, caller)).await.unwrap()
}

async fn list(spawner: &Spawner, caller: &Caller, labels: &str) -> PodList {
    let filter = PodFilter {
        namespace: namespace(),
        labels: LabelSelector::parse(labels).unwrap(),
        fields: Default::default(),
        after: None,
        limit: 100,
    };
    spawner.pods(caller, &filter).await.unwrap()
}

fn names(list: &PodList) -> Vec<&str> {
    list.items.iter().map(|pod| pod.name.as_str()).collect()
}

/// A pod that somebody has made by other means.
fn foreign(world: &World, name: &str, labels: Value) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "nogoo9", "labels": labels},
        "spec": shell("sleep 1")});
    world.create(Kind::Pod, &pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k20_pods_are_stamped_and_seen_by_their_owners() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let started = start(&spawner, "build.1", user("ada")).await;
    assert_eq!((started.name.as_str(), started.namespace.as_str()), ("build.1", "nogoo9"));
    let pods = world.objects(Kind::Pod, "nogoo9");
    let metadata = &pods[0]["metadata"];
    assert_eq!(metadata["labels"], json!({"nogoo9/managed-by": "nogoo9-spawner", "nogoo9/user-sub": "ada"}));
    assert_eq!(metadata["annotations"], json!({"nogoo9/user-sub": "ada"}));
    // It is no workspace.
    until("the pod is known", || spawner.cluster().pods().len() == 1).await;
    assert_eq!(spawner.list(&ListFilter::default()).unwrap().total, 0);
    assert_eq!(names(&list(&spawner, &user("ada"), "").await), ["build.1"]);
    assert_eq!(names(&list(&spawner, &admin(), "").await), ["build.1"]);
    let others = list(&spawner, &user("bob"), "").await;
    assert_eq!((names(&others), others.total), (vec![], 0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k36_not_there_not_yours_and_not_managed_look_the_same() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    start(&spawner, "hers", user("ada")).await;
    foreign(&world, "foreign", json!({"nogoo9/user-sub": "bob"}));
    foreign(&world, "look-alike", json!({"nogoo9/user-sub": "bob", "nogoo9/managed-by": "somebody"}));
    let find = async |caller: &Caller, name: &str| spawner.find_pod(caller, &namespace(), name).await;
    for name in ["hers", "foreign", "look-alike", "none", "../pods/hers", "", "HERS"] {
        let error = find(&user("bob"), name).await.unwrap_err();
        assert!(matches!(error, Error::PodNotFound { .. }), "{name}: {error}");
        assert_eq!(error.to_string(), format!("Pod {name} not found or access denied"));
    }
    // Nobody gets round "managed only".
    for caller in [admin(), Caller::local()] {
        assert!(matches!(find(&caller, "foreign").await, Err(Error::PodNotFound { .. })));
        assert!(find(&caller, "hers").await.is_ok());
    }
    let open = world.spawner(Config { managed_only: false, ..Config::default() }).await;
    let find = async |caller: &Caller, name: &str| open.find_pod(caller, &namespace(), name).await.is_ok();
    assert!(find(&admin(), "foreign").await && find(&user("bob"), "foreign").await);
    assert!(!find(&user("bob"), "hers").await && !find(&user("ada"), "foreign").await);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k37_unmanaged_pods_are_counted_under_selectors_and_for_those_who_may_know() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    start(&spawner, "hers", user("ada")).await;
    foreign(&world, "one", json!({"app": "web"}));
    foreign(&world, "two", json!({"app": "db", "nogoo9/user-sub": "bob"}));
    let count = async |caller: &Caller, labels: &str| list(&spawner, caller, labels).await.unmanaged;
    // The first question starts the watch.
    let waiting = async {
        while count(&admin(), "").await != Some(2) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, waiting).await.unwrap();
    for (caller, labels, expected) in [
        (admin(), "app", 2),
        (admin(), "app=web", 1),
        (admin(), "app=none", 0),
        (Caller::local(), "", 2),
        (user("ada"), "", 0),
        (user("bob"), "", 1),
        (user("bob"), "app=web", 0),
    ] {
        assert_eq!(count(&caller, labels).await, Some(expected), "{caller:?} {labels}");
    }
    // Where they are shown there is nothing to count.
    let open = world.spawner(Config { managed_only: false, ..Config::default() }).await;
    let all = list(&open, &admin(), "").await;
    assert_eq!((names(&all), all.total, all.unmanaged), (vec!["hers", "one", "two"], 3, None));
    assert_eq!(names(&list(&open, &user("bob"), "").await), ["two"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_workspaces_are_kept_and_names_are_taken_once() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    for caller in [user("ada"), admin(), Caller::local()] {
        let error = spawner.start_pod(wish("ws-hers", caller)).await.unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument(text) if text.contains("ws-")), "{error}");
    }
    start(&spawner, "p", user("ada")).await;
    // Once by the API server's answer, once by what is known.
    let other = world.spawner(Config::default()).await;
    for spawner in [&other, &spawner] {
        until("the pod is known", || spawner.cluster().pods().len() == 1).await;
        let error = spawner.start_pod(wish("p", user("bob"))).await.unwrap_err();
        assert!(matches!(error, Error::PodExists { .. }), "{error}");
    }
    assert_eq!(world.count(Kind::Pod, "nogoo9"), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k31_workspaces_and_pods_count_together() {
    let world = World::idle().await;
    let config = Config { max_workspaces_per_user: NonZeroU32::new(3), ..Config::default() };
    let replicas = [world.spawner(config.clone()).await, world.spawner(config).await];
    let outcomes = futures::future::join_all((0..12).map(|n| {
        let spawner = &replicas[n % 2];
        async move {
            let ada = user("ada");
            if n % 3 == 0 {
                let spawn = nocrd_spawner::SpawnRequest { caller: ada, ..request(&format!("w{n}"), "ada") };
                spawner.spawn(spawn).await.map(drop)
            } else {
                spawner.start_pod(wish(&format!("p{n}"), ada)).await.map(drop)
            }
        }
    }));
    let outcomes = outcomes.await;
    let refusals: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(refusals.iter().all(|error| matches!(error, Error::Quota { limit: 3 })), "{refusals:?}");
    assert_eq!(refusals.len(), 9);
    until("those over the limit are gone", || world.count(Kind::Pod, "nogoo9") == 3).await;
    // What an administrator makes for her counts as hers; what they make for themselves is not limited.
    let for_ada = nocrd_spawner::SpawnRequest { caller: admin(), ..request("more", "ada") };
    assert!(matches!(replicas[0].spawn(for_ada).await, Err(Error::Quota { .. })));
    for n in 0..4 {
        start(&replicas[0], &format!("r{n}"), admin()).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k16_templates_mean_for_pods_what_they_mean_for_workspaces() {
    let text = "metadata:\n  annotations:\n    nogoo9/required-context: TOKEN\n    nogoo9/init-image: busybox\n    \
                nogoo9/init-command: echo ${{workspace}}\n    nogoo9/template-version: '2'\n    nogoo9/workspace-port: '81'\n\
                spec:\n  labels: {team: x}\n  containers: [{name: agent, image: busybox, \
                args: ['${{user}}', '${{workspace_id}}']}]";
    let (_kept, sources) = template_directory("t", text);
    let world = World::idle().await;
    let spawner = Spawner::new(world.cluster(true).await, sources, Config::default());
    let source: Source = "t".parse::<nocrd_spawner::TemplateRef>().unwrap().into();
    let without = PodRequest { source: source.clone(), ..wish("p", user("ada")) };
    assert!(matches!(spawner.start_pod(without.clone()).await, Err(Error::MissingContext { .. })));
    let with = PodRequest { context: [("TOKEN", "s3cret")].into_iter().collect(), ..without };
    spawner.start_pod(with).await.unwrap();
    let pod = &world.objects(Kind::Pod, "nogoo9")[0];
    assert!(!pod.to_string().contains("s3cret"), "{pod}");
    assert_eq!(pod["spec"]["containers"][0]["args"], json!(["ada", "pod.p"]));
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "spawner-init");
    assert_eq!(pod["metadata"]["labels"]["team"], "x");
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(
        (&annotations["nogoo9/template-ref"], &annotations["nogoo9/template-version"]),
        (&json!("t"), &json!("2"))
    );
    let secret = &world.objects(Kind::Secret, "nogoo9")[0];
    assert_eq!(secret["metadata"]["name"], "ws---p-context");
    assert_eq!(annotations["nogoo9/context-secret"], "ws---p-context");
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], pod["metadata"]["uid"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k02_k06_users_bring_no_more_into_pods_than_into_workspaces() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let with = |change: Value| {
        let mut spec = shell("sleep 1");
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        PodRequest { source: Source::Inline(spec), ..wish("p", user("ada")) }
    };
    for (change, code) in [
        (json!({"hostNetwork": true}), "PolicyViolation"),
        (json!({"serviceAccountName": "admin"}), "PolicyViolation"),
        (json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}), "PolicyViolation"),
        (json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), "PolicyViolation"),
        (json!({"nodeName": "n"}), "PolicyViolation"),
        (json!({"tolerations": [{"operator": "Exists"}]}), "PolicyViolation"),
        (json!({"labels": {"nogoo9/type": "workspace"}}), "ReservedKey"),
        (json!({"labels": {"nogoo9/workspace-id": "w1"}}), "ReservedKey"),
        (json!({"labels": {"app": "no-crd"}}), "ReservedKey"),
        (json!({"annotations": {"nogoo9/user-sub": "bob"}}), "ReservedKey"),
        (json!({"container": []}), "InvalidPodSpec"),
    ] {
        let error = spawner.start_pod(with(change.clone())).await.unwrap_err();
        assert_eq!(error.code().reason, code, "{change}: {error}");
    }
    for labels in [[("nogoo9/managed-by", "me")], [("nogoo9/user-sub", "bob")]] {
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let error = spawner.start_pod(PodRequest { labels, ..wish("p", user("ada")) }).await.unwrap_err();
        assert_eq!(error.code().reason, "ReservedKey");
    }
    assert_eq!(world.count(Kind::Pod, "nogoo9"), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k18_patches_change_labels_annotations_and_resources() {
    let world = World::idle().await;
    let config = Config { allowed_metadata_prefixes: ["example.com".to_owned()].into(), ..Config::default() };
    let spawner = world.spawner(config).await;
    let mut spec = shell("sleep 3600");
    spec["containers"][0]["resources"] = json!({"requests": {"memory": "8Mi"}});
    let wish = PodRequest { source: Source::Inline(spec), ..wish("p", user("ada")) };
    spawner.start_pod(wish).await.unwrap();
    let patch = async |caller: &Caller, patch: Value| {
        let pod = spawner.find_pod(caller, &namespace(), "p").await?;
        spawner.patch_pod(caller, &pod, &PodPatch::parse(patch.as_object().unwrap())?).await
    };
    let ada = user("ada");
    for (change, code) in [
        (json!({"labels": {"nogoo9/user-sub": "bob"}}), "ReservedKey"),
        (json!({"labels": {"nogoo9/user-sub": null}}), "ReservedKey"),
        (json!({"labels": {"nogoo9/managed-by": null}}), "ReservedKey"),
        (json!({"labels": {"nogoo9/type": "workspace"}}), "ReservedKey"),
        (json!({"labels": {"nogoo9/workspace-id": "w"}}), "ReservedKey"),
        (json!({"labels": {"app": "no-crd"}}), "ReservedKey"),
        (json!({"labels": {"app.kubernetes.io/name": "x"}}), "ReservedKey"),
        (json!({"annotations": {"nogoo9/user-sub": "bob"}}), "ReservedKey"),
        (json!({"annotations": {"nogoo9/user-sub": null}}), "ReservedKey"),
        (json!({"annotations": {"nogoo9/workspace-port": "22"}}), "ReservedKey"),
        (json!({"annotations": {"eks.amazonaws.com/role-arn": "x"}}), "ReservedKey"),
    ] {
        for caller in [&ada, &admin(), &Caller::local()] {
            let error = patch(caller, json!({"metadata": change})).await.unwrap_err();
            assert_eq!(error.code().reason, code, "{change}: {error}");
        }
    }
    let unlisted = json!({"metadata": {"labels": {"team": "x"}}});
    assert_eq!(patch(&ada, unlisted.clone()).await.unwrap_err().code().reason, "ReservedKey");
    patch(&admin(), unlisted).await.unwrap();
    patch(
        &ada,
        json!({"metadata": {"labels": {"example.com/a": "1"}, "annotations": {"example.com/b": "2"}}}),
    )
    .await
    .unwrap();
    let version = patch(
        &ada,
        json!({"metadata": {"labels": {"example.com/a": null}},
            "spec": {"containers": [{"name": "agent", "resources": {"requests": {"memory": "16Mi"}}}]}}),
    );
    let version = version.await.unwrap();
    let pod = &world.objects(Kind::Pod, "nogoo9")[0];
    assert_eq!(pod["metadata"]["resourceVersion"], version);
    assert_eq!(
        pod["metadata"]["labels"],
        json!({"nogoo9/managed-by": "nogoo9-spawner", "nogoo9/user-sub": "ada", "team": "x"})
    );
    assert_eq!(pod["metadata"]["annotations"]["example.com/b"], "2");
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["memory"], "16Mi");
    let unknown = json!({"spec": {"containers": [{"name": "other", "resources": {}}]}});
    assert_eq!(patch(&ada, unknown).await.unwrap_err().code().reason, "InvalidArgument");
    assert_eq!(
        patch(&user("bob"), json!({"metadata": {"labels": {"example.com/a": "9"}}}))
            .await
            .unwrap_err()
            .code()
            .reason,
        "PodNotFound"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t57_what_is_done_is_done_to_the_pod_that_was_looked_up() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    start(&spawner, "p", user("ada")).await;
    let old = spawner.find_pod(&user("ada"), &namespace(), "p").await.unwrap();
    spawner.delete_pod(&old, Some(0)).await.unwrap();
    until("it is gone", || world.count(Kind::Pod, "nogoo9") == 0).await;
    until("that is known", || spawner.cluster().pods().is_empty()).await;
    start(&spawner, "p", user("bob")).await;
    let patch = json!({"metadata": {"annotations": {"a/b": "c"}}});
    let patch = PodPatch::parse(patch.as_object().unwrap()).unwrap();
    assert!(matches!(spawner.delete_pod(&old, Some(0)).await, Err(Error::PodNotFound { .. })));
    assert!(matches!(spawner.patch_pod(&admin(), &old, &patch).await, Err(Error::PodNotFound { .. })));
    let logs = spawner.pod_logs(&old, LogOptions::default()).await;
    assert!(logs.is_err(), "{logs:?}");
    let other = json!({"metadata": {"name": "q", "annotations": {"a/b": "c"}}});
    let other = PodPatch::parse(other.as_object().unwrap()).unwrap();
    let new = spawner.find_pod(&admin(), &namespace(), "p").await.unwrap();
    assert!(matches!(spawner.patch_pod(&admin(), &new, &other).await, Err(Error::InvalidArgument(_))));
    let pods = world.objects(Kind::Pod, "nogoo9");
    assert_eq!(pods[0]["metadata"]["annotations"], json!({"nogoo9/user-sub": "bob"}));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_those_of_the_main_container_and_bounded() {
    let world = World::running().await;
    let spawner = world.spawner(Config::default()).await;
    let mut spec = shell("echo from-agent; sleep 3600");
    let mut sidecar = spec["containers"][0].clone();
    sidecar["name"] = json!("sidecar");
    sidecar["command"] = json!(["/bin/sh", "-c", "yes x | head -c 200000; sleep 3600"]);
    spec["containers"].as_array_mut().unwrap().insert(0, sidecar);
    spawner.start_pod(PodRequest { source: Source::Inline(spec), ..wish("p", user("ada")) }).await.unwrap();
    let ready =
        || spawner.cluster().pods().get(&namespace(), "p").is_some_and(|pod| pod.ready_containers == 2);
    until("both containers run", ready).await;
    let pod = spawner.find_pod(&user("ada"), &namespace(), "p").await.unwrap();
    let read = async |options: LogOptions| spawner.pod_logs(&pod, options).await;
    let waiting = async {
        loop {
            let logs = read(LogOptions::default()).await.unwrap();
            assert_eq!((logs.container.as_str(), logs.truncated), ("agent", false));
            if logs.text == "from-agent\n" {
                break;
            }
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, waiting).await.unwrap();
    let of_sidecar =
        LogOptions { container: Some("sidecar".into()), tail_lines: Some(100_000), ..LogOptions::default() };
    let waiting = async {
        // It may still be writing.
        while !read(of_sidecar.clone()).await.unwrap().truncated {}
    };
    tokio::time::timeout(crate::world::PATIENCE, waiting).await.unwrap();
    // Whole lines.
    let kept = read(of_sidecar.clone()).await.unwrap().text.len();
    assert!((63 * 1024..=64 * 1024).contains(&kept), "{kept}");
    let logs = read(LogOptions { limit_bytes: Some(7), ..of_sidecar }).await.unwrap();
    assert_eq!((logs.text.len(), logs.truncated), (7, true));
    let unknown = LogOptions { container: Some("none".into()), ..LogOptions::default() };
    assert!(matches!(read(unknown).await, Err(Error::Cluster(_))));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k46_an_id_whose_workspace_has_finished_can_be_used_again_by_its_owner() {
    let world = World::running().await;
    let spawner = world.spawner(Config::default()).await;
    let mut spec = shell("exit 0");
    spec["restartPolicy"] = json!("Never");
    let ada = |spec: Value| nocrd_spawner::SpawnRequest {
        source: Source::Inline(spec),
        caller: user("ada"),
        ..request("w1", "ada")
    };
    spawner.spawn(ada(spec.clone())).await.unwrap();
    let finished = || {
        let pods = spawner.cluster().workspaces().get(&id("w1"));
        pods.len() == 1 && pods[0].phase == nocrd_spawner::cluster::Phase::Succeeded
    };
    until("it has finished", finished).await;
    let bobs = nocrd_spawner::SpawnRequest { caller: user("bob"), ..request("w1", "bob") };
    assert!(matches!(spawner.spawn(bobs).await, Err(Error::Exists { .. })));
    // What can't be carried out removes nothing.
    let impossible = ada(json!({"containers": [], "hostNetwork": true}));
    assert!(spawner.spawn(impossible).await.is_err());
    assert!(finished());
    let spawned = spawner.spawn(ada(spec)).await.unwrap();
    assert!(spawned.warnings[0].contains("had finished"), "{:?}", spawned.warnings);
    assert_eq!(world.count(Kind::Pod, "nogoo9"), 1);
    world.stop().await;
}

/// The storage of `${{workspace_id}}` is that of the workspace of this id, and of no pod that is called like it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t50_a_pod_s_name_does_not_pass_for_a_workspace_s_id() {
    let text = "spec:\n  containers: [{name: agent, image: busybox, volumeMounts: [{name: v, mountPath: /v, subPath: '${{workspace}}'}]}]\n  \
                volumes: [{name: v, persistentVolumeClaim: {claimName: 'data-${{workspace_id}}'}}]";
    let (_kept, sources) = template_directory("t", text);
    let world = World::idle().await;
    let spawner = Spawner::new(world.cluster(true).await, sources, Config::default());
    let source: Source = "t".parse::<nocrd_spawner::TemplateRef>().unwrap().into();
    let wish = PodRequest { source, ..wish("alice-dev", user("mallory")) };
    spawner.start_pod(wish).await.unwrap();
    let pod = &world.objects(Kind::Pod, "nogoo9")[0];
    let claim = pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"].as_str().unwrap();
    assert_eq!(claim, "data-pod.alice-dev");
    let path = pod["spec"]["containers"][0]["volumeMounts"][0]["subPath"].as_str().unwrap();
    assert!(nocrd_spawner::WorkspaceId::parse(path).is_err(), "{path}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_a_pod_goes_with_it() {
    let (_kept, sources) = crate::world::role_template();
    let world = World::idle().await;
    let config = Config { left_behind_after: std::time::Duration::ZERO, ..Config::default() };
    let spawner = Spawner::new(world.cluster(true).await, sources, config);
    let source: Source = "role".parse::<nocrd_spawner::TemplateRef>().unwrap().into();
    spawner.start_pod(PodRequest { source, ..wish("p", user("ada")) }).await.unwrap();
    until("the pod is known", || spawner.cluster().pods().len() == 1).await;
    let accounts = || world.count(Kind::ServiceAccount, "nogoo9");
    let janitor = async |spawner: Spawner| spawner.janitor().await;
    let cleaning = tokio::spawn(janitor(spawner.clone()));
    assert_eq!(accounts(), 1);
    let pod = spawner.find_pod(&user("ada"), &namespace(), "p").await.unwrap();
    spawner.delete_pod(&pod, Some(0)).await.unwrap();
    until("the pod is gone", || spawner.cluster().pods().is_empty()).await;
    cleaning.abort();
    // A janitor that begins sweeps at once.
    let again = tokio::spawn(janitor(spawner.clone()));
    until("its account is gone", || accounts() == 0).await;
    again.abort();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t64_a_finished_workspace_stays_where_it_may_not_be_replaced() {
    let world = World::running().await;
    let spawner = world.spawner(Config::default()).await;
    let mut spec = shell("exit 0");
    spec["restartPolicy"] = json!("Never");
    let wish = nocrd_spawner::SpawnRequest { source: Source::Inline(spec), ..request("w1", "ada") };
    spawner.spawn(wish.clone()).await.unwrap();
    let finished = || {
        let pods = spawner.cluster().workspaces().get(&id("w1"));
        pods.len() == 1 && pods[0].phase == nocrd_spawner::cluster::Phase::Succeeded
    };
    until("it has finished", finished).await;
    let careful = nocrd_spawner::SpawnRequest { replaces_finished: false, ..wish };
    assert!(matches!(spawner.spawn(careful).await, Err(Error::Exists { .. })));
    assert!(finished());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_namespaces_watched_that_are_not_for_them() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let count = async |caller: &Caller, namespace: &str| {
        let filter = PodFilter {
            namespace: namespace.parse().unwrap(),
            labels: Default::default(),
            fields: Default::default(),
            after: None,
            limit: 1,
        };
        spawner.pods(caller, &filter).await.unwrap().unmanaged
    };
    let before = spawner.cluster().api_calls();
    for n in 0..20 {
        assert_eq!(count(&user("mallory"), &format!("ns-{n}")).await, None);
    }
    assert_eq!(spawner.cluster().api_calls(), before);
    world.stop().await;
}
