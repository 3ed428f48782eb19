use nocrd_model::{Namespace, Subject, WorkspaceId};
use serde_json::{Value, json};

use super::*;
use crate::{ManagedPod, workspace_pod::Parsed};

/// A pod's state, with the parts that matter here.
struct Given {
    name: &'static str,
    id: &'static str,
    owner: &'static str,
    uid: String,
    version: u32,
    created: &'static str,
    ready: bool,
    deleting: bool,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            name: "p1",
            id: "w1",
            owner: "alice",
            uid: String::new(),
            version: 1,
            created: "2026-11-22T12:00:00Z",
            ready: false,
            deleting: false,
        }
    }
}

impl Given {
    fn json(&self) -> Value {
        let uid = if self.uid.is_empty() { format!("uid-{}", self.name) } else { self.uid.clone() };
        let mut pod = json!({
            "metadata": {
                "name": self.name, "namespace": "nogoo9", "uid": uid,
                "resourceVersion": self.version.to_string(), "creationTimestamp": self.created,
                "labels": {
                    "nogoo9/type": "workspace", "nogoo9/managed-by": "nogoo9-spawner",
                    "nogoo9/workspace-id": self.id, "nogoo9/user-sub": self.owner,
                },
                "annotations": {"nogoo9/template-ref": "t"},
            },
            "status": {"conditions": [{"type": "Ready", "status": if self.ready { "True" } else { "False" }}]},
        });
        if self.deleting {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-22T13:00:00Z");
        }
        pod
    }

    fn pod(&self) -> Parsed {
        Parsed::read(serde_json::from_value(self.json()).unwrap()).unwrap()
    }
}

fn id(text: &str) -> WorkspaceId {
    WorkspaceId::parse(text).unwrap()
}

fn namespace() -> Namespace {
    Namespace::parse("nogoo9").unwrap()
}

fn names(pods: &[Arc<WorkspacePod>]) -> Vec<&str> {
    pods.iter().map(|pod| pod.pod_name.as_str()).collect()
}

#[test]
fn a_pod_is_found_by_everything_it_is_known_by() {
    let index = Indexes::default();
    index.apply(Given::default().pod());
    assert_eq!(names(&index.workspaces.get(&id("w1"))), ["p1"]);
    assert_eq!(names(&index.workspaces.by_owner(&Subject::from("alice"))), ["p1"]);
    assert_eq!(names(&index.workspaces.by_template("t")), ["p1"]);
    assert_eq!(names(&index.workspaces.all()), ["p1"]);
    assert!(index.workspaces.by_pod(&namespace(), "p1").is_some());
    assert_eq!((index.workspaces.len(), index.workspaces.generation()), (1, 1));

    index.remove(&namespace(), "p1");
    assert!(
        index.workspaces.get(&id("w1")).is_empty()
            && index.workspaces.by_owner(&Subject::from("alice")).is_empty()
    );
    assert!(
        index.workspaces.by_template("t").is_empty()
            && index.workspaces.all().is_empty()
            && index.workspaces.is_empty()
    );
    assert!(index.workspaces.by_pod(&namespace(), "p1").is_none());
    index.remove(&namespace(), "p1");
    assert_eq!((index.workspaces.len(), index.workspaces.generation()), (0, 2));
}

#[test]
fn arrival_is_the_order_of_the_watch_and_stays() {
    let index = Indexes::default();
    index.apply(Given { name: "p2", ..Given::default() }.pod());
    index.apply(Given { name: "p1", created: "2020-01-01T00:00:00Z", ..Given::default() }.pod());
    index.apply(Given { name: "p2", version: 9, ready: true, ..Given::default() }.pod());
    assert_eq!(names(&index.workspaces.get(&id("w1"))), ["p2", "p1"]);
    assert_eq!(index.workspaces.len(), 2);
}

#[test]
fn a_state_that_is_known_is_no_change() {
    let index = Indexes::default();
    index.apply(Given::default().pod());
    index.apply(Given::default().pod());
    assert_eq!(index.workspaces.generation(), 1);
}

#[test]
fn a_listing_keeps_places_gives_new_ones_by_age_and_drops_what_is_gone() {
    let index = Indexes::default();
    index.apply(Given { name: "known", id: "a", ..Given::default() }.pod());
    index.apply(Given { name: "gone", id: "b", ..Given::default() }.pod());
    let mut changes = index.workspaces.changes();
    let listed = vec![
        Given { name: "younger", id: "c", created: "2026-11-22T11:00:05Z", ..Given::default() }.pod(),
        Given {
            name: "same-second-later",
            id: "c",
            version: 10,
            created: "2026-11-22T11:00:00Z",
            ..Given::default()
        }
        .pod(),
        Given {
            name: "same-second-first",
            id: "c",
            version: 9,
            created: "2026-11-22T11:00:00Z",
            ..Given::default()
        }
        .pod(),
    ];
    index.replace(listed, &["uid-known".to_owned()].into());
    // Older than all of them, yet it was seen first.
    assert_eq!(index.workspaces.get(&id("a")).first().unwrap().arrival, 0);
    assert_eq!(names(&index.workspaces.get(&id("c"))), ["same-second-first", "same-second-later", "younger"]);
    assert!(index.workspaces.get(&id("b")).is_empty());
    let gone = changes.try_recv().unwrap();
    assert_eq!((gone.kind, gone.id.as_str()), (ChangeKind::Deleted, "b"));
    assert_eq!(std::iter::from_fn(|| changes.try_recv().ok()).count(), 3);
}

#[test]
fn a_pod_of_the_same_name_is_another_pod() {
    let index = Indexes::default();
    index.apply(Given { ready: true, ..Given::default() }.pod());
    index.apply(Given { name: "p2", id: "w2", ..Given::default() }.pod());
    index.apply(Given { uid: "second".into(), version: 7, ..Given::default() }.pod());
    let pods = index.workspaces.get(&id("w1"));
    let [pod] = pods.as_slice() else { panic!("{pods:?}") };
    assert_eq!((pod.uid.as_str(), pod.arrival), ("second", 2));
    assert!(index.workspaces.routable(&id("w1")).is_none());
    assert_eq!((index.workspaces.len(), index.workspaces.by_owner(&Subject::from("alice")).len()), (2, 2));
}

#[test]
fn keys_that_change_by_hand_leave_nothing_behind() {
    let index = Indexes::default();
    index.apply(Given::default().pod());
    index.apply(Given { id: "w2", owner: "bob", version: 2, ..Given::default() }.pod());
    assert!(
        index.workspaces.get(&id("w1")).is_empty()
            && index.workspaces.by_owner(&Subject::from("alice")).is_empty()
    );
    assert_eq!((names(&index.workspaces.get(&id("w2"))), index.workspaces.len()), (vec!["p1"], 1));
    assert_eq!(names(&index.workspaces.by_template("t")), ["p1"]);
}

#[test]
fn d65_only_ready_pods_are_routed_and_the_newest_of_them() {
    let index = Indexes::default();
    index.apply(Given { ready: true, ..Given::default() }.pod());
    assert_eq!(index.workspaces.routable(&id("w1")).unwrap().pod_name, "p1");

    let newer = Given { name: "p2", created: "2026-11-22T12:30:00Z", ..Given::default() };
    index.apply(newer.pod());
    assert_eq!(index.workspaces.routable(&id("w1")).unwrap().pod_name, "p1");
    index.apply(Given { ready: true, version: 2, ..newer }.pod());
    assert_eq!(index.workspaces.routable(&id("w1")).unwrap().pod_name, "p2");

    index.apply(Given { name: "p2", ready: true, deleting: true, version: 3, ..Given::default() }.pod());
    assert_eq!(index.workspaces.routable(&id("w1")).unwrap().pod_name, "p1");
    index.remove(&namespace(), "p1");
    assert!(index.workspaces.routable(&id("w1")).is_none());
}

#[test]
fn t57_d04_k02_somebody_elses_pod_does_not_take_over_an_id() {
    let index = Indexes::default();
    index.apply(Given { ready: true, ..Given::default() }.pod());
    let intruder = Given {
        name: "p2",
        owner: "mallory",
        created: "2026-11-22T12:30:00Z",
        ready: true,
        ..Given::default()
    };
    index.apply(intruder.pod());
    assert_eq!(index.workspaces.routable(&id("w1")).unwrap().pod_name, "p1");
    // Not even while the owner's own pod is not ready.
    index.apply(Given { version: 2, ..Given::default() }.pod());
    assert!(index.workspaces.routable(&id("w1")).is_none());
}

#[test]
fn pods_of_another_listing_are_placed_after_those_that_are_known() {
    let index = Indexes::default();
    index.apply(Given { name: "p1", ..Given::default() }.pod());
    index.apply(Given { name: "p2", ..Given::default() }.pod());
    let mut listed = vec![
        Given { name: "young", created: "2026-11-22T12:00:09Z", ..Given::default() }.pod(),
        Given { name: "old", created: "2020-11-22T12:00:00Z", ..Given::default() }.pod(),
        Given { name: "p2", ..Given::default() }.pod(),
    ];
    index.place(&mut listed);
    let order: Vec<&str> = listed.iter().map(|pod| pod.pod().name.as_str()).collect();
    assert_eq!(order, ["p2", "old", "young"]);
    assert!(listed.windows(2).all(|pair| pair[0].pod().arrival < pair[1].pod().arrival));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_state() {
    let index = Arc::new(Indexes::default());
    let waiter = Arc::clone(&index);
    let waiting = tokio::spawn(async move {
        let ready = |pods: &[Arc<WorkspacePod>]| pods.iter().any(|pod| pod.ready);
        waiter.workspaces.wait_for(&id("w1"), Duration::from_secs(60), ready).await
    });
    tokio::task::yield_now().await;
    index.apply(Given::default().pod());
    index.apply(Given { ready: true, version: 2, ..Given::default() }.pod());
    assert_eq!(names(&waiting.await.unwrap().unwrap()), ["p1"]);

    let never = index.workspaces.wait_for(&id("none"), Duration::from_secs(5), |pods| !pods.is_empty()).await;
    assert_eq!(never.unwrap_err(), Elapsed { after: Duration::from_secs(5) });
    let gone = index.workspaces.wait_for(&id("none"), Duration::ZERO, <[_]>::is_empty).await;
    assert_eq!(gone.unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_pod_just_created() {
    let index = Arc::new(Indexes::default());
    let waiter = Arc::clone(&index);
    let timeout = Duration::from_secs(60);
    let waiting =
        tokio::spawn(
            async move { waiter.workspaces.wait_for_uid(&namespace(), "p1", "uid-p1", timeout).await },
        );
    tokio::task::yield_now().await;
    index.apply(Given { name: "p0", ..Given::default() }.pod());
    index.apply(Given::default().pod());
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().pod_name, "p1");

    // Gone before anybody looked.
    index.remove(&namespace(), "p1");
    let gone = index.workspaces.wait_for_uid(&namespace(), "p1", "uid-p1", timeout).await;
    assert_eq!(gone.unwrap().map(|pod| pod.pod_name.clone()), None);
    assert!(index.workspaces.wait_for_uid(&namespace(), "p1", "never", timeout).await.is_err());
}

/// A pod of ours that is no workspace.
fn raw(name: &str, owner: Option<&str>, version: u32) -> Parsed {
    let mut pod = Given { version, ..Given::default() }.json();
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["uid"] = json!(format!("uid-{name}"));
    pod["metadata"]["labels"] = json!({"nogoo9/managed-by": "nogoo9-spawner"});
    pod["metadata"]["annotations"] = match owner {
        Some(owner) => json!({"nogoo9/user-sub": owner}),
        None => json!({}),
    };
    Parsed::read(serde_json::from_value(pod).unwrap()).unwrap()
}

fn managed(pods: &[Arc<ManagedPod>]) -> Vec<&str> {
    pods.iter().map(|pod| pod.name.as_str()).collect()
}

#[test]
fn all_pods_of_ours_are_found_and_workspaces_are_held_once() {
    let index = Indexes::default();
    index.apply(raw("z", Some("alice"), 1));
    index.apply(Given::default().pod());
    index.apply(raw("a", None, 1));
    assert_eq!(managed(&index.pods.in_namespace(&namespace())), ["a", "p1", "z"]);
    assert_eq!(managed(&index.pods.by_owner(&Subject::from("alice"))), ["z", "p1"]);
    assert_eq!((index.pods.len(), index.workspaces.len()), (3, 1));
    let workspace = index.workspaces.by_pod(&namespace(), "p1").unwrap();
    assert!(Arc::ptr_eq(workspace.managed(), &index.pods.get(&namespace(), "p1").unwrap()));
    assert_eq!((workspace.arrival, workspace.managed().workspace.as_ref().unwrap().as_str()), (1, "w1"));
    assert!(index.pods.in_namespace(&Namespace::parse("other").unwrap()).is_empty());

    for name in ["z", "p1", "a", "a"] {
        index.remove(&namespace(), name);
    }
    assert!(index.pods.is_empty() && index.workspaces.is_empty());
    assert!(index.pods.by_owner(&Subject::from("alice")).is_empty());
}

#[test]
fn a_pod_that_becomes_or_ceases_to_be_a_workspace_moves() {
    let index = Indexes::default();
    index.apply(raw("p1", Some("bob"), 1));
    index.apply(Given { version: 2, ..Given::default() }.pod());
    assert_eq!((names(&index.workspaces.get(&id("w1"))), index.pods.len()), (vec!["p1"], 1));
    assert!(index.pods.by_owner(&Subject::from("bob")).is_empty());
    index.apply(raw("p1", None, 3));
    assert!(index.workspaces.is_empty() && index.pods.by_owner(&Subject::from("alice")).is_empty());
    assert_eq!((index.pods.len(), index.pods.get(&namespace(), "p1").unwrap().arrival), (1, 0));
}

#[test]
fn a_listing_counts_for_both_indexes() {
    let index = Indexes::default();
    index.apply(raw("gone", Some("alice"), 1));
    index.apply(raw("known", Some("alice"), 1));
    index.replace(
        vec![raw("new", Some("alice"), 5), Given::default().pod()],
        &["uid-known".to_owned()].into(),
    );
    // Of the same age, but of an earlier version.
    assert_eq!(managed(&index.pods.by_owner(&Subject::from("alice"))), ["known", "p1", "new"]);
    assert_eq!((index.pods.len(), index.workspaces.len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_pod_that_is_no_workspace() {
    let index = Arc::new(Indexes::default());
    let waiter = Arc::clone(&index);
    let timeout = Duration::from_secs(60);
    let waiting =
        tokio::spawn(async move { waiter.pods.wait_for_uid(&namespace(), "a", "uid-a", timeout).await });
    tokio::task::yield_now().await;
    index.apply(Given::default().pod());
    index.apply(raw("a", None, 1));
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().name, "a");
    index.remove(&namespace(), "a");
    assert!(index.pods.wait_for_uid(&namespace(), "a", "uid-a", timeout).await.unwrap().is_none());
    assert!(index.pods.wait_for_uid(&namespace(), "a", "never", timeout).await.is_err());
}

/// Ten thousand workspaces as they come from a real cluster.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "runs alone (measures the memory of its process)"]
fn ten_thousand_workspaces_fit_into_sixty_megabytes() {
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }
    fn pod(n: usize) -> Parsed {
        let mut pod = Given { ready: true, ..Given::default() }.json();
        pod["metadata"]["name"] = json!(format!("ws-user-{}-workspace-{n}", n / 5));
        pod["metadata"]["uid"] = json!(format!("26245288-2a66-4c98-bfd4-{n:012}"));
        pod["metadata"]["labels"]["nogoo9/workspace-id"] = json!(format!("workspace-{n}"));
        pod["metadata"]["labels"]["nogoo9/user-sub"] = json!(format!("user-{}", n / 5));
        pod["metadata"]["annotations"] = json!({
            "nogoo9/user-sub": format!("user-{}", n / 5), "nogoo9/template-ref": "default-agent-workspace",
            "nogoo9/template-version": "1.0.0", "nogoo9/workspace-name": format!("Workspace number {n}"),
            "nogoo9/description": "A workspace with a landing page, files and a terminal.",
            "nogoo9/workspace-port": "3000", "nogoo9/workspace-path": "/", "nogoo9/workspace-type": "html",
            "nogoo9/api.stats.port": "3000", "nogoo9/api.stats.path": "/stats",
            "nogoo9/api.terminal.port": "7681", "nogoo9/api.terminal.path": "/terminal",
            "cni.projectcalico.org/podIP": "10.244.1.17/32", "cni.projectcalico.org/podIPs": "10.244.1.17/32",
        });
        Parsed::read(serde_json::from_value(pod).unwrap()).unwrap()
    }
    let index = Indexes::default();
    index.apply(pod(0));
    let before = resident();
    for n in 1..10_000 {
        index.apply(pod(n));
    }
    let grown = resident().saturating_sub(before);
    assert_eq!(index.workspaces.len(), 10_000);
    assert!(grown < 60 << 20, "{} KiB", grown >> 10);
    #[expect(clippy::print_stderr, reason = "the measurement is what the test is run for")]
    {
        eprintln!("10,000 workspaces: {} KiB", grown >> 10);
    }
}
