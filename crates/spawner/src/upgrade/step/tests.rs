//! A cluster in miniature, in which replicas that see old states take steps in any order, pods do well or badly, and
//! somebody may stop the workspace.

use proptest::prelude::*;

use super::*;
use crate::upgrade::record::{Asker, Style};

#[derive(Debug, Clone)]
struct Pod {
    seen: Seen,
    name: usize,
    version: u32,
    /// The pod it would be made from once more.
    has_record: bool,
}

#[derive(Debug, Clone, Default)]
struct Cluster {
    pods: Vec<Pod>,
    uids: usize,
    versions: u32,
    is_stopped: bool,
}

/// What happens at one moment.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A replica catches up with so many changes, and takes a step.
    Act { replica: usize, changes: usize },
    /// A pod does well or badly.
    Fare { pod: usize, health: Health },
    /// A pod that is being deleted is gone.
    Gone { pod: usize },
    /// Somebody asks for all pods to be deleted that there are.
    Stop,
    /// Somebody cancels the upgrade.
    Cancel,
    /// Somebody begins an upgrade.
    Begin { style: Style },
}

fn mark(style: Style, since: i64) -> Mark {
    Mark { to: "2".into(), style, since: Timestamp::from_second(since).unwrap(), by: Asker::default() }
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self::default();
        cluster.create(0, None, false);
        cluster
    }

    fn create(&mut self, name: usize, link: Option<Link>, has_record: bool) -> bool {
        if self.pods.iter().any(|pod| pod.name == name) {
            return false;
        }
        self.uids += 1;
        self.versions += 1;
        let seen = Seen {
            uid: format!("u{}", self.uids),
            deleting: false,
            mark: None,
            link,
            health: Health::Waiting,
            is_complete: false,
        };
        self.pods.push(Pod { seen, name, version: self.versions, has_record });
        true
    }

    /// Changes the pod as it was seen, if it still is.
    fn change(&mut self, view: &Self, uid: &str, change: impl FnOnce(&mut Seen)) -> bool {
        let version = view.pods.iter().find(|pod| pod.seen.uid == uid).map(|pod| pod.version);
        let Some(pod) = self.pods.iter_mut().find(|pod| pod.seen.uid == uid) else { return false };
        if Some(pod.version) != version {
            return false;
        }
        self.versions += 1;
        pod.version = self.versions;
        change(&mut pod.seen);
        true
    }

    fn seen(&self) -> Vec<Seen> {
        self.pods.iter().map(|pod| pod.seen.clone()).collect()
    }

    fn name_of(&self, uid: &str) -> Option<usize> {
        self.pods.iter().find(|pod| pod.seen.uid == uid).map(|pod| pod.name)
    }

    /// Takes a step that a replica has found in `view`.
    fn take(&mut self, view: &Self, step: &Step) -> bool {
        let pod = |uid: &str| view.pods.iter().find(|pod| pod.seen.uid == uid).unwrap();
        match step {
            Step::Nothing | Step::Wait => false,
            Step::Create { old } => {
                let old = pod(old);
                let mark = old.seen.mark.clone().unwrap();
                let link = Link {
                    uid: old.seen.uid.clone(),
                    since: mark.since,
                    role: if mark.style == Style::Beside { Role::Beside } else { Role::Recreate },
                    from: "1".into(),
                    to: mark.to,
                    cut: false,
                    until: (mark.style == Style::Beside).then(|| Timestamp::from_second(9).unwrap()),
                    account: None,
                };
                self.create(1 - old.name, Some(link), mark.style == Style::Recreate)
            }
            Step::Complete { pod: uid, predecessor } => {
                // Without its predecessor's Secret there is none to copy.
                let alive = |uid: &str| self.name_of(uid).is_some();
                alive(predecessor) && self.change(view, uid, |pod| pod.is_complete = true)
            }
            Step::Cut { pod: uid } => self.relink(view, uid, |link| link.cut = true),
            Step::Retire { pod: uid } | Step::Discard { pod: uid } => {
                self.change(view, uid, |pod| pod.deleting = true)
            }
            Step::Release { pod: uid } => {
                self.relink(view, uid, |link| link.until = Some(Timestamp::from_second(9).unwrap()))
            }
            Step::Strip { pod: uid } => self.change(view, uid, |pod| pod.link = None),
            Step::GiveUp { old, .. } => self.change(view, old, |pod| pod.mark = None),
            Step::GoBack { new } => {
                let new = pod(new);
                assert!(new.has_record, "there is something to go back to");
                let link = new.seen.link.clone().unwrap();
                let link =
                    Link { uid: new.seen.uid.clone(), role: Role::Back, cut: false, until: None, ..link };
                self.create(1 - new.name, Some(link), false)
            }
        }
    }

    fn relink(&mut self, view: &Self, uid: &str, change: impl FnOnce(&mut Link)) -> bool {
        self.change(view, uid, |pod| change(pod.link.as_mut().unwrap()))
    }

    /// Each pod alone may go on being the workspace's when no upgrade is under way, and two of them are one too many.
    fn check(&self) {
        let alive: Vec<&Seen> = self.pods.iter().map(|pod| &pod.seen).filter(|pod| !pod.deleting).collect();
        let unlinked = alive.iter().filter(|pod| pod.link.is_none()).count();
        assert!(unlinked <= 1, "two pods that nothing links: {self:#?}");
        assert!(self.is_stopped || !alive.is_empty(), "nothing holds the id: {self:#?}");
        let is_let_go = |pod: &&&Seen| pod.link.as_ref().is_none_or(|link| link.until.is_some());
        let recreate = alive.iter().any(|pod| {
            let role = pod.link.as_ref().map(|link| link.role);
            matches!(role, Some(Role::Recreate | Role::Back))
        });
        if recreate {
            // Whatever is on its way out counts, too: it has the volume still.
            let running = self.pods.iter().map(|pod| &pod.seen).collect::<Vec<_>>();
            assert!(running.iter().filter(is_let_go).count() <= 1, "two pods with one volume: {self:#?}");
        }
    }
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![Just(Health::Steady), Just(Health::Hopeless), Just(Health::Waiting)]
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Beside), Just(Style::Recreate)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..2_usize, 0..4_usize).prop_map(|(replica, changes)| Event::Act { replica, changes }),
        3 => (0..3_usize, health()).prop_map(|(pod, health)| Event::Fare { pod, health }),
        3 => (0..3_usize).prop_map(|pod| Event::Gone { pod }),
        1 => Just(Event::Cancel),
        1 => style().prop_map(|style| Event::Begin { style }),
    ]
}

struct World {
    history: Vec<Cluster>,
    /// How much of it each replica has seen.
    replicas: [usize; 2],
    begun: i64,
}

impl World {
    fn new() -> Self {
        Self { history: vec![Cluster::new()], replicas: [0, 0], begun: 0 }
    }

    fn now(&self) -> &Cluster {
        self.history.last().unwrap()
    }

    fn change(&mut self, change: impl FnOnce(&mut Cluster) -> bool) -> bool {
        let mut next = self.now().clone();
        let changed = change(&mut next);
        if changed {
            next.check();
            self.history.push(next);
        }
        changed
    }

    fn happen(&mut self, event: Event) {
        let now = self.now().clone();
        let changed = match event {
            Event::Act { replica, changes } => {
                let last = self.history.len() - 1;
                self.replicas[replica] = (self.replicas[replica] + changes).min(last);
                let view = self.history[self.replicas[replica]].clone();
                let step = next(&view.seen());
                self.change(|cluster| cluster.take(&view, &step))
            }
            Event::Fare { pod, health } => {
                // One behind a gate does nothing.
                let is_let_go = |pod: &&Pod| pod.seen.link.as_ref().is_some_and(|link| link.until.is_some());
                let Some(pod) = now.pods.get(pod).filter(is_let_go) else { return };
                let uid = pod.seen.uid.clone();
                self.change(|cluster| cluster.change(&now, &uid, |pod| pod.health = health))
            }
            Event::Gone { pod } => {
                let Some(pod) = now.pods.get(pod).filter(|pod| pod.seen.deleting) else { return };
                let uid = pod.seen.uid.clone();
                self.change(|cluster| {
                    cluster.pods.retain(|pod| pod.seen.uid != uid);
                    true
                })
            }
            Event::Stop => self.change(|cluster| {
                cluster.is_stopped = true;
                for pod in now.pods.iter().filter(|pod| !pod.seen.deleting) {
                    cluster.change(&now, &pod.seen.uid, |pod| pod.deleting = true);
                }
                true
            }),
            Event::Cancel => {
                let marked =
                    now.pods.iter().find(|pod| pod.seen.mark.is_some() && !pod.seen.deleting).cloned();
                let Some(marked) = marked else { return };
                self.change(|cluster| cluster.change(&now, &marked.seen.uid, |pod| pod.mark = None))
            }
            Event::Begin { style } => {
                let plain = now
                    .pods
                    .iter()
                    .find(|pod| pod.seen.mark.is_none() && pod.seen.link.is_none() && !pod.seen.deleting);
                let Some(plain) = plain.cloned() else { return };
                self.begun += 1;
                let mark = mark(style, self.begun);
                self.change(|cluster| cluster.change(&now, &plain.seen.uid, |pod| pod.mark = Some(mark)))
            }
        };
        let _ = changed;
    }

    /// One replica that sees everything goes on until there is no upgrade; pods fare as `health` says.
    fn finish(&mut self, health: Health) {
        for _ in 0..100 {
            let now = self.now().clone();
            let step = next(&now.seen());
            if step == Step::Nothing {
                return;
            }
            let acted = self.change(|cluster| cluster.take(&now, &step));
            if acted {
                continue;
            }
            // A step that is not taken is one that waits for something: a pod to go, or to fare in some way.
            for pod in 0..3 {
                self.happen(Event::Gone { pod });
            }
            for pod in 0..3 {
                let fares = self.now().pods.get(pod).is_some_and(|pod| pod.seen.health == Health::Waiting);
                if fares {
                    self.happen(Event::Fare { pod, health });
                }
            }
        }
        panic!("it does not end: {:#?}", self.now());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn k26_k28_whatever_replicas_do_one_pod_survives(
        first in style(),
        events in prop::collection::vec(event(), 0..60),
        end in prop_oneof![Just(Health::Steady), Just(Health::Hopeless)],
    ) {
        let mut world = World::new();
        world.happen(Event::Begin { style: first });
        for event in events {
            world.happen(event);
        }
        world.finish(end);
        let left = &world.now().pods;
        prop_assert_eq!(left.iter().filter(|pod| !pod.seen.deleting).count(), 1, "{:#?}", left);
        prop_assert!(left.iter().all(|pod| pod.seen.mark.is_none() && pod.seen.link.is_none() || pod.seen.deleting));
    }

    #[test]
    fn k26_a_workspace_that_is_stopped_stays_so(
        first in style(),
        before in prop::collection::vec(event(), 0..40),
        between in prop::collection::vec(event(), 0..4),
        after in prop::collection::vec(event(), 0..20),
        end in prop_oneof![Just(Health::Steady), Just(Health::Hopeless)],
    ) {
        let mut world = World::new();
        world.happen(Event::Begin { style: first });
        for event in before {
            world.happen(event);
        }
        // What is there is deleted, then what was created meanwhile; what comes later is the replicas' to find.
        world.happen(Event::Stop);
        for event in between {
            world.happen(event);
        }
        world.happen(Event::Stop);
        for event in after {
            world.happen(event);
        }
        world.finish(end);
        let alive = world.now().pods.iter().filter(|pod| !pod.seen.deleting).count();
        prop_assert_eq!(alive, 0, "{:#?}", world.now());
    }
}

/// The steps of an upgrade that nothing disturbs, with a pod that fares like that.
fn steps(style: Style, health: Health) -> Vec<&'static str> {
    let mut world = World::new();
    world.happen(Event::Begin { style });
    let mut steps = Vec::new();
    loop {
        let now = world.now().clone();
        let step = next(&now.seen());
        steps.push(match step {
            Step::Nothing => return steps,
            Step::Wait => "wait",
            Step::Create { .. } => "create",
            Step::Complete { .. } => "complete",
            Step::Cut { .. } => "cut",
            Step::Retire { .. } => "retire",
            Step::Discard { .. } => "discard",
            Step::Release { .. } => "release",
            Step::Strip { .. } => "strip",
            Step::GiveUp { .. } => "give up",
            Step::GoBack { .. } => "go back",
        });
        if step == Step::Wait {
            (0..3).for_each(|pod| world.happen(Event::Gone { pod }));
            let fare = |world: &mut World, pod| world.happen(Event::Fare { pod, health });
            (0..3).for_each(|pod| fare(&mut world, pod));
            continue;
        }
        let view = world.now().clone();
        assert!(world.change(|cluster| cluster.take(&view, &step)), "{step:?}");
        // Seen once more as it was, the step changes nothing.
        assert!(!world.now().clone().take(&view, &step), "{step:?} is taken once");
    }
}

#[test]
fn the_ways_an_upgrade_goes() {
    assert_eq!(
        steps(Style::Beside, Health::Steady),
        ["create", "complete", "wait", "cut", "retire", "wait", "strip"]
    );
    assert_eq!(
        steps(Style::Beside, Health::Hopeless),
        ["create", "complete", "wait", "give up", "discard", "wait"]
    );
    assert_eq!(
        steps(Style::Recreate, Health::Steady),
        ["create", "complete", "cut", "retire", "wait", "release", "wait", "strip"]
    );
    assert_eq!(
        steps(Style::Recreate, Health::Hopeless),
        [
            "create", "complete", "cut", "retire", "wait", "release", "wait", "go back", "complete", "cut",
            "retire", "wait", "release", "strip"
        ]
    );
}
