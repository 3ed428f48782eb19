//! What is to be done next about an upgrade, from what the pods of one workspace show: pure, and the same on every replica.
//!
//! Three kinds of pods take part. The old one carries a [`Mark`]; the new one a [`Link`] to it; and when the new one does
//! not start although the old one is gone already, the old one's double carries a link to the new one. Whatever a
//! link leads to is the pod's *predecessor*.
//!
//! | predecessor | link | step |
//! |---|---|---|
//! | there, of this upgrade | open | prepare: store the context; then cut when the pod is ready, or at once when it waits behind its gate; give up when it does not get ready |
//! | there, of this upgrade | cut | delete the predecessor |
//! | there, of no or another upgrade | any | delete the pod: the upgrade was given up |
//! | going or gone | open | delete the pod: somebody has stopped the workspace |
//! | going | cut | wait |
//! | gone | cut | let the pod go; when it is ready, strip it of its link; when it does not get ready, go back |
//!
//! Every step is one change of one pod, for the version of it that was looked at. So replicas that look at the same time
//! can't both take one, and a step that was taken unseen is not taken again.

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use super::record::{Link, Mark, Role};

/// How a pod does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It may yet become ready.
    Waiting,
    /// It is ready, and has been for long enough.
    Steady,
    /// It is in a state that waiting does not cure, and has been for long enough; or its time is over.
    Hopeless,
}

/// A pod of a workspace, as far as upgrades are concerned.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) uid: String,
    pub(crate) deleting: bool,
    pub(crate) mark: Option<Mark>,
    pub(crate) link: Option<Link>,
    pub(crate) health: Health,
    /// Whether the Secret with its context is known to be there, or it needs none.
    pub(crate) is_complete: bool,
}

/// What is to be done; pods are named by uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is no upgrade.
    Nothing,
    /// Until something changes.
    Wait,
    /// Create the new pod.
    Create { old: String },
    /// Store the context of a pod, which is its predecessor's.
    Complete { pod: String, predecessor: String },
    /// Settle that a pod takes over.
    Cut { pod: String },
    /// Delete the pod that another one takes over from.
    Retire { pod: String },
    /// Delete a pod that is not wanted any more.
    Discard { pod: String },
    /// Let a pod start.
    Release { pod: String },
    /// A pod has taken over.
    Strip { pod: String },
    /// Give the upgrade up; `new` is the pod that did not get ready, if there is one.
    GiveUp { old: String, new: Option<String> },
    /// Create the old pod once more, from what the new one knows of it.
    GoBack { new: String },
}

impl Seen {
    /// Which upgrade it is in, as a predecessor.
    fn upgrade(&self) -> Option<Timestamp> {
        match (&self.mark, &self.link) {
            (Some(mark), _) => Some(mark.since),
            (None, link) => link.as_ref().map(|link| link.since),
        }
    }

    fn follows(&self, other: &Self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| link.uid == other.uid && other.upgrade() == Some(link.since))
    }
}

/// The next step for the pods of one workspace: of one id, namespace and owner.
pub(crate) fn next(pods: &[Seen]) -> Step {
    let is_involved = |pod: &&Seen| pod.link.is_some() || pod.mark.is_some();
    let idle = if pods.iter().any(|pod| is_involved(&pod)) { Step::Wait } else { Step::Nothing };
    // What a pod is to do is its follower's affair as soon as there is one.
    let is_followed = |pod: &Seen| pods.iter().any(|other| other.follows(pod));
    let theirs = || pods.iter().filter(|pod| !pod.deleting && !is_followed(pod));
    let of_linked = theirs().filter_map(|pod| Some(of_linked(pod, pod.link.as_ref()?, pods)));
    // What is left of an earlier upgrade has to go before there can be a new pod: it has the name.
    let of_marked =
        theirs().filter(|pod| pod.link.is_none() && pod.mark.is_some()).map(|pod| of_old(pod, pods));
    of_linked.chain(of_marked).find(|step| *step != Step::Wait).unwrap_or(idle)
}

/// A pod that is to be replaced, and there is none yet to replace it.
fn of_old(pod: &Seen, pods: &[Seen]) -> Step {
    let old = pod.uid.clone();
    let is_going = pods.iter().any(|other| other.link.as_ref().is_some_and(|link| link.uid == old));
    match pod.health {
        Health::Hopeless => Step::GiveUp { old, new: None },
        _ if is_going => Step::Wait,
        _ => Step::Create { old },
    }
}

fn of_linked(pod: &Seen, link: &Link, pods: &[Seen]) -> Step {
    let uid = || pod.uid.clone();
    match pods.iter().find(|other| other.uid == link.uid) {
        None if link.cut => take_over(pod, link),
        Some(predecessor) if predecessor.deleting && link.cut => Step::Wait,
        Some(predecessor) if !predecessor.deleting && pod.follows(predecessor) => {
            if link.cut {
                Step::Retire { pod: predecessor.uid.clone() }
            } else {
                prepare(pod, link, predecessor)
            }
        }
        _ => Step::Discard { pod: uid() },
    }
}

fn prepare(pod: &Seen, link: &Link, predecessor: &Seen) -> Step {
    if !pod.is_complete {
        return Step::Complete { pod: pod.uid.clone(), predecessor: predecessor.uid.clone() };
    }
    match (link.role, pod.health) {
        (Role::Recreate | Role::Back, _) | (Role::Beside, Health::Steady) => {
            Step::Cut { pod: pod.uid.clone() }
        }
        (Role::Beside, Health::Waiting) => Step::Wait,
        (Role::Beside, Health::Hopeless) => {
            Step::GiveUp { old: predecessor.uid.clone(), new: Some(pod.uid.clone()) }
        }
    }
}

/// The predecessor is gone, and was meant to.
fn take_over(pod: &Seen, link: &Link) -> Step {
    let pod_ = pod.uid.clone();
    if link.until.is_none() {
        return Step::Release { pod: pod_ };
    }
    match (link.role, pod.health) {
        // There is nothing to go back to, or it is what was gone back to.
        (Role::Beside | Role::Back, _) | (Role::Recreate, Health::Steady) => Step::Strip { pod: pod_ },
        (Role::Recreate, Health::Waiting) => Step::Wait,
        (Role::Recreate, Health::Hopeless) => Step::GoBack { new: pod_ },
    }
}
