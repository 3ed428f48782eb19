use nocrd_model::{Namespace, Subject, WorkspaceId};
use serde_json::{Value, json};

use super::*;

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

    fn pod(&self) -> WorkspacePod {
        WorkspacePod::parse(serde_json::from_value(self.json()).unwrap()).unwrap()
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
    let index = WorkspaceIndex::default();
    index.apply(Given::default().pod());
    assert_eq!(names(&index.get(&id("w1"))), ["p1"]);
    assert_eq!(names(&index.by_owner(&Subject::from("alice"))), ["p1"]);
    assert_eq!(names(&index.by_template("t")), ["p1"]);
    assert_eq!(names(&index.all()), ["p1"]);
    assert!(index.by_pod(&namespace(), "p1").is_some());
    assert_eq!((index.len(), index.generation()), (1, 1));

    index.remove(&namespace(), "p1");
    assert!(index.get(&id("w1")).is_empty() && index.by_owner(&Subject::from("alice")).is_empty());
    assert!(index.by_template("t").is_empty() && index.all().is_empty() && index.is_empty());
    assert!(index.by_pod(&namespace(), "p1").is_none());
    index.remove(&namespace(), "p1");
    assert_eq!((index.len(), index.generation()), (0, 2));
}

#[test]
fn arrival_is_the_order_of_the_watch_and_stays() {
    let index = WorkspaceIndex::default();
    index.apply(Given { name: "p2", ..Given::default() }.pod());
    index.apply(Given { name: "p1", created: "2020-01-01T00:00:00Z", ..Given::default() }.pod());
    index.apply(Given { name: "p2", version: 9, ready: true, ..Given::default() }.pod());
    assert_eq!(names(&index.get(&id("w1"))), ["p2", "p1"]);
    assert_eq!(index.len(), 2);
}

#[test]
fn a_state_that_is_known_is_no_change() {
    let index = WorkspaceIndex::default();
    index.apply(Given::default().pod());
    index.apply(Given::default().pod());
    assert_eq!(index.generation(), 1);
}

#[test]
fn a_listing_keeps_places_gives_new_ones_by_age_and_drops_what_is_gone() {
    let index = WorkspaceIndex::default();
    index.apply(Given { name: "known", id: "a", ..Given::default() }.pod());
    index.apply(Given { name: "gone", id: "b", ..Given::default() }.pod());
    let mut changes = index.changes();
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
    assert_eq!(index.get(&id("a")).first().unwrap().arrival, 0);
    assert_eq!(names(&index.get(&id("c"))), ["same-second-first", "same-second-later", "younger"]);
    assert!(index.get(&id("b")).is_empty());
    let gone = changes.try_recv().unwrap();
    assert_eq!((gone.kind, gone.id.as_str()), (ChangeKind::Deleted, "b"));
    assert_eq!(std::iter::from_fn(|| changes.try_recv().ok()).count(), 3);
}

#[test]
fn a_pod_of_the_same_name_is_another_pod() {
    let index = WorkspaceIndex::default();
    index.apply(Given { ready: true, ..Given::default() }.pod());
    index.apply(Given { name: "p2", id: "w2", ..Given::default() }.pod());
    index.apply(Given { uid: "second".into(), version: 7, ..Given::default() }.pod());
    let pods = index.get(&id("w1"));
    let [pod] = pods.as_slice() else { panic!("{pods:?}") };
    assert_eq!((pod.uid.as_str(), pod.arrival), ("second", 2));
    assert!(index.routable(&id("w1")).is_none());
    assert_eq!((index.len(), index.by_owner(&Subject::from("alice")).len()), (2, 2));
}

#[test]
fn keys_that_change_by_hand_leave_nothing_behind() {
    let index = WorkspaceIndex::default();
    index.apply(Given::default().pod());
    index.apply(Given { id: "w2", owner: "bob", version: 2, ..Given::default() }.pod());
    assert!(index.get(&id("w1")).is_empty() && index.by_owner(&Subject::from("alice")).is_empty());
    assert_eq!((names(&index.get(&id("w2"))), index.len()), (vec!["p1"], 1));
    assert_eq!(names(&index.by_template("t")), ["p1"]);
}

#[test]
fn d65_only_ready_pods_are_routed_and_the_newest_of_them() {
    let index = WorkspaceIndex::default();
    index.apply(Given { ready: true, ..Given::default() }.pod());
    assert_eq!(index.routable(&id("w1")).unwrap().pod_name, "p1");

    let newer = Given { name: "p2", created: "2026-11-22T12:30:00Z", ..Given::default() };
    index.apply(newer.pod());
    assert_eq!(index.routable(&id("w1")).unwrap().pod_name, "p1");
    index.apply(Given { ready: true, version: 2, ..newer }.pod());
    assert_eq!(index.routable(&id("w1")).unwrap().pod_name, "p2");

    index.apply(Given { name: "p2", ready: true, deleting: true, version: 3, ..Given::default() }.pod());
    assert_eq!(index.routable(&id("w1")).unwrap().pod_name, "p1");
    index.remove(&namespace(), "p1");
    assert!(index.routable(&id("w1")).is_none());
}

#[test]
fn t57_d04_somebody_elses_pod_does_not_take_over_an_id() {
    let index = WorkspaceIndex::default();
    index.apply(Given { ready: true, ..Given::default() }.pod());
    let intruder = Given {
        name: "p2",
        owner: "mallory",
        created: "2026-11-22T12:30:00Z",
        ready: true,
        ..Given::default()
    };
    index.apply(intruder.pod());
    assert_eq!(index.routable(&id("w1")).unwrap().pod_name, "p1");
    // Not even while the owner's own pod is not ready.
    index.apply(Given { version: 2, ..Given::default() }.pod());
    assert!(index.routable(&id("w1")).is_none());
}

#[test]
fn pods_of_another_listing_are_placed_after_those_that_are_known() {
    let index = WorkspaceIndex::default();
    index.apply(Given { name: "p1", ..Given::default() }.pod());
    index.apply(Given { name: "p2", ..Given::default() }.pod());
    let mut listed = vec![
        Given { name: "young", created: "2026-11-22T12:00:09Z", ..Given::default() }.pod(),
        Given { name: "old", created: "2020-11-22T12:00:00Z", ..Given::default() }.pod(),
        Given { name: "p2", ..Given::default() }.pod(),
    ];
    index.place(&mut listed);
    let order: Vec<&str> = listed.iter().map(|pod| pod.pod_name.as_str()).collect();
    assert_eq!(order, ["p2", "old", "young"]);
    assert!(listed.windows(2).all(|pair| pair[0].arrival < pair[1].arrival));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_state() {
    let index = Arc::new(WorkspaceIndex::default());
    let waiter = Arc::clone(&index);
    let waiting = tokio::spawn(async move {
        let ready = |pods: &[Arc<WorkspacePod>]| pods.iter().any(|pod| pod.ready);
        waiter.wait_for(&id("w1"), Duration::from_secs(60), ready).await
    });
    tokio::task::yield_now().await;
    index.apply(Given::default().pod());
    index.apply(Given { ready: true, version: 2, ..Given::default() }.pod());
    assert_eq!(names(&waiting.await.unwrap().unwrap()), ["p1"]);

    let never = index.wait_for(&id("none"), Duration::from_secs(5), |pods| !pods.is_empty()).await;
    assert_eq!(never.unwrap_err(), Elapsed { after: Duration::from_secs(5) });
    let gone = index.wait_for(&id("none"), Duration::ZERO, <[_]>::is_empty).await;
    assert_eq!(gone.unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_pod_just_created() {
    let index = Arc::new(WorkspaceIndex::default());
    let waiter = Arc::clone(&index);
    let timeout = Duration::from_secs(60);
    let waiting =
        tokio::spawn(async move { waiter.wait_for_uid(&namespace(), "p1", "uid-p1", timeout).await });
    tokio::task::yield_now().await;
    index.apply(Given { name: "p0", ..Given::default() }.pod());
    index.apply(Given::default().pod());
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().pod_name, "p1");

    // Gone before anybody looked.
    index.remove(&namespace(), "p1");
    let gone = index.wait_for_uid(&namespace(), "p1", "uid-p1", timeout).await;
    assert_eq!(gone.unwrap().map(|pod| pod.pod_name.clone()), None);
    assert!(index.wait_for_uid(&namespace(), "p1", "never", timeout).await.is_err());
}

/// Ten thousand workspaces as they come from a real cluster.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "measures the memory of its process, so it must run alone"]
fn ten_thousand_workspaces_fit_into_sixty_megabytes() {
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }
    fn pod(n: usize) -> WorkspacePod {
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
        WorkspacePod::parse(serde_json::from_value(pod).unwrap()).unwrap()
    }
    let index = WorkspaceIndex::default();
    index.apply(pod(0));
    let before = resident();
    for n in 1..10_000 {
        index.apply(pod(n));
    }
    let grown = resident().saturating_sub(before);
    assert_eq!(index.len(), 10_000);
    assert!(grown < 60 << 20, "{} KiB", grown >> 10);
    #[expect(clippy::print_stderr, reason = "the measurement is what the test is run for")]
    {
        eprintln!("10,000 workspaces: {} KiB", grown >> 10);
    }
}
