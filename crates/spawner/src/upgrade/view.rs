//! What readers see of a workspace that has more than one pod, or is about to.

use std::sync::Arc;

use jiff::Timestamp;
use nocrd_cluster::{State, Status, WorkspacePod};
use nocrd_model::keys;

use super::{
    begin::{is_left_over, is_same},
    record::{Link, Mark, Role, Style},
};

/// An upgrade that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Version of the template before.
    pub from: String,
    /// Version of the template after.
    pub to: String,
    /// How the new pod takes over.
    pub style: Style,
    /// When it was begun.
    pub since: Timestamp,
    /// The pod that is to take over, as soon as there is one.
    pub successor: Option<String>,
    /// Whether the new pod did not start, and the old one is being made once more.
    pub going_back: bool,
}

/// The pods of one workspace, seen as one.
pub(crate) struct View {
    /// The pod that serves, or else tells most.
    pub(crate) pod: Arc<WorkspacePod>,
    pub(crate) upgrade: Option<Upgrade>,
    /// What it is doing, where the pod alone would not tell.
    pub(crate) status: Option<Status>,
}

impl View {
    /// Of pods of one id, in the order in which they arrived; `None` of none. They are those of the first one's owner that is
    /// not going away; others that carry the same id don't count.
    pub(crate) fn of(pods: &[Arc<WorkspacePod>]) -> Option<Self> {
        let holder = pods.iter().find(|pod| !pod.deleting).or_else(|| pods.first())?;
        let ours: Vec<Arc<WorkspacePod>> = pods.iter().filter(|pod| is_same(pod, holder)).cloned().collect();
        let involved: Vec<Involved<'_>> = ours.iter().filter_map(|pod| Involved::of(pod, &ours)).collect();
        // A pod that has no claim to the workspace, because somebody has stopped it or the upgrade was given up.
        let is_stray = |pod: &WorkspacePod| {
            Link::of(&pod.annotations).is_some() && !involved.iter().any(|other| other.pod.uid == pod.uid)
        };
        let ready = ours.iter().rev().find(|pod| pod.ready && !pod.deleting);
        let old = || ours.iter().find(|pod| !pod.deleting && !is_stray(pod));
        let pod = ready.or_else(old).or_else(|| ours.iter().find(|pod| !is_stray(pod))).or(ours.first())?;
        let pod = Arc::clone(pod);
        let upgrade = involved.iter().find_map(Involved::describe);
        let status = upgrade.as_ref().and_then(|upgrade| status(&pod, upgrade, &ours));
        Some(Self { pod, upgrade, status })
    }
}

/// A pod that takes part in an upgrade that goes on.
struct Involved<'a> {
    pod: &'a WorkspacePod,
    mark: Option<Mark>,
    link: Option<Link>,
    successor: Option<&'a WorkspacePod>,
}

impl<'a> Involved<'a> {
    fn of(pod: &'a WorkspacePod, all: &'a [Arc<WorkspacePod>]) -> Option<Self> {
        if pod.deleting {
            return None;
        }
        let (mark, link) = (Mark::of(&pod.annotations), Link::of(&pod.annotations));
        if is_left_over(pod, all) {
            return None;
        }
        if mark.is_none() && link.is_none() {
            return None;
        }
        let successor = all.iter().find(|other| {
            !other.deleting && Link::of(&other.annotations).is_some_and(|link| link.uid == pod.uid)
        });
        Some(Self { pod, mark, link, successor: successor.map(|pod| pod.as_ref()) })
    }

    /// The upgrade, as the last pod in the chain tells it, or the old one that has no successor yet.
    fn describe(&self) -> Option<Upgrade> {
        if self.successor.is_some() {
            return None;
        }
        if let Some(link) = &self.link {
            let going_back = link.role == Role::Back;
            let style = if link.role == Role::Beside { Style::Beside } else { Style::Recreate };
            let (from, to) = (link.from.clone(), link.to.clone());
            let (from, to) = if going_back { (to, from) } else { (from, to) };
            let successor = Some(self.pod.pod_name.clone());
            return Some(Upgrade { from, to, style, since: link.since, successor, going_back });
        }
        let mark = self.mark.as_ref()?;
        Some(Upgrade {
            from: self.pod.template_version.as_deref().unwrap_or(keys::DEFAULT_TEMPLATE_VERSION).to_owned(),
            to: mark.to.clone(),
            style: mark.style,
            since: mark.since,
            successor: None,
            going_back: false,
        })
    }
}

/// What is told of a workspace that is being upgraded.
fn status(pod: &WorkspacePod, upgrade: &Upgrade, pods: &[Arc<WorkspacePod>]) -> Option<Status> {
    let is_taken_over = upgrade.style == Style::Beside && upgrade.successor.as_ref() == Some(&pod.pod_name);
    if is_taken_over && pod.ready {
        // The new pod serves; only the old one is not gone yet.
        return None;
    }
    let (to, verb) =
        if upgrade.going_back { (&upgrade.from, "going back") } else { (&upgrade.to, "upgrading") };
    let successor = pods.iter().find(|pod| upgrade.successor.as_ref() == Some(&pod.pod_name));
    let progress = match successor {
        Some(successor) => format!("pod {} is {}", successor.pod_name, successor.status),
        None => "its new pod is about to be created".to_owned(),
    };
    Some(Status {
        state: State::Upgrading,
        reason: String::new(),
        message: format!("{verb} to version {to}: {progress}"),
        fatal: false,
    })
}
