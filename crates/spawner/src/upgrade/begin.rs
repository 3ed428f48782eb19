//! Beginning and ending upgrades: what callers ask for. The upgrade itself is [`Spawner::upgrader`]'s.

use std::sync::Arc;

use jiff::Timestamp;
use nocrd_cluster::{Changes, Error as ClusterError, Phase, Version, WorkspacePod};
use nocrd_model::{Caller, Namespace, Subject, WorkspaceId, keys};
use nocrd_templates::{Error as TemplateError, Template};
use tracing::{info, instrument};

use super::{
    Style, latest,
    record::{self, Asker, Link, Mark, Role},
    render,
};
use crate::{Error, ListFilter, Spawner, Workspace, names};

/// A wish for a workspace to get the present version of its template.
#[derive(Debug, Clone)]
pub struct UpgradeRequest {
    /// The workspace.
    pub id: WorkspaceId,
    /// Its namespace, if that matters.
    pub namespace: Option<Namespace>,
    /// Who wishes it: the owner or an administrator, who may use the template as it is now.
    pub caller: Caller,
    /// Whether to make the pod anew although the template's version is not newer.
    pub force: bool,
}

/// An upgrade that was begun, or was not necessary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The workspace.
    pub id: WorkspaceId,
    /// Its namespace.
    pub namespace: Namespace,
    /// The pod that will serve it, or serves it already.
    pub pod_name: String,
    /// Version of the template that the workspace has.
    pub from: String,
    /// Version of the template that it will have; the same when nothing is to be done.
    pub to: String,
    /// How.
    pub style: Style,
    /// Whether there is an upgrade; without, the workspace is up to date.
    pub changed: bool,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// How often a change is tried again that somebody else's came in between of.
const ATTEMPTS: usize = 5;

impl Spawner {
    /// Begins to replace a workspace's pod by one of the present version of its template. What was given for the workspace,
    /// its context included, is kept. The answer says that the upgrade has begun: see [`Spawner::wait_upgraded`]. It is
    /// carried out by [`Spawner::upgrader`], here or on any other replica.
    ///
    /// A workspace that is up to date is left alone; one that is being upgraded to the same version already gets the same
    /// answer again.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not there or not the caller's; [`Error::Stopping`] when it is going away;
    /// [`Error::UpgradeUnderWay`] when it is being upgraded to another version; [`Error::NotUpgradable`] when it has no
    /// template or one that the caller can't choose for its owner, when its context can't be had, or it has finished; [`Error::Template`] when there is no template for the caller; and those of a spawn.
    /// Nothing has changed after any of them.
    #[instrument(skip_all, fields(workspace.id = %request.id))]
    pub async fn begin_upgrade(&self, request: UpgradeRequest) -> Result<Begun, Error> {
        let mut attempt = 1;
        loop {
            match self.try_begin(&request).await {
                Err(Error::Cluster(ClusterError::Conflict { .. })) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn try_begin(&self, request: &UpgradeRequest) -> Result<Begun, Error> {
        let UpgradeRequest { id, namespace, caller, force } = request;
        let pods = self.upgradable(id, namespace.as_ref(), caller.owner_filter())?;
        let upgraded = Upgraded::of(&pods).ok_or_else(|| Error::Stopping { id: id.clone() })?;
        let (pod, template) = (upgraded.pod, self.template_for(upgraded.pod, caller)?);
        let begun = |style, changed, pod_name, warnings| Begun {
            id: id.clone(),
            namespace: pod.namespace.clone(),
            pod_name,
            from: upgraded.from.clone(),
            to: template.version().to_owned(),
            style,
            changed,
            warnings,
        };
        if let Some((to, style)) = &upgraded.under_way {
            return if to == template.version() {
                Ok(begun(*style, true, upgraded.pod_name(), Vec::new()))
            } else {
                Err(Error::UpgradeUnderWay { id: id.clone(), to: to.clone() })
            };
        }
        if upgraded.others > 0 {
            return Err(Error::UpgradeUnderWay { id: id.clone(), to: "one that is not known".to_owned() });
        }
        check_running(pod).map_err(|reason| Error::NotUpgradable { id: id.clone(), reason })?;
        if !force && !nocrd_templates::is_newer(template.version(), &upgraded.from) {
            let mut unchanged = begun(Style::Beside, false, pod.pod_name.clone(), Vec::new());
            unchanged.to.clone_from(&unchanged.from);
            return Ok(unchanged);
        }
        let by = Asker::new(caller, &pod.owner);
        let rendered = self.render(pod, &template, by).await?;
        let style = self.style(&pod.namespace, &rendered.old, &rendered.plan.pod).await;
        let mark = Mark { to: template.version().to_owned(), style, since: Timestamp::now(), by };
        let mut manifest = rendered.plan.pod;
        render::link(&mut manifest, &first_link(pod, &mark, None))
            .map_err(|reason| Error::NotUpgradable { id: id.clone(), reason })?;
        let seen = Version {
            uid: pod.uid.clone(),
            resource_version: rendered.old.resource_version().map(str::to_owned),
        };
        self.mark(pod, &seen, &mark).await?;
        info!(k8s.pod = %pod.pod_name, to = mark.to, "upgrade begun");
        Ok(begun(style, true, rendered.plan.pod_name, rendered.plan.warnings))
    }

    /// Marks a pod as about to be replaced, and waits until the index knows.
    async fn mark(&self, pod: &WorkspacePod, seen: &Version, mark: &Mark) -> Result<(), Error> {
        // Before the mark is there, or another's upgrader could be told that it is another's.
        self.upgrades().own(pod);
        let changes: Changes = [
            (keys::UPGRADE.to_owned(), Some(record::text(mark))),
            (keys::LAST_UPGRADE_ERROR.to_owned(), None),
        ]
        .into();
        let marked = self
            .cluster()
            .patch_metadata(&pod.namespace, &pod.pod_name, seen, &Changes::new(), &changes)
            .await;
        if let Err(error) = marked {
            self.upgrades().disown(pod);
            return Err(error.into());
        }
        let shows = |pods: &[Arc<WorkspacePod>]| {
            let of = pods.iter().find(|other| other.uid == pod.uid);
            of.is_none_or(|pod| Mark::of(&pod.annotations).is_some_and(|known| known.since == mark.since))
        };
        // Otherwise the watch is behind; the mark is there all the same.
        let _ = self.cluster().workspaces().wait_for(&pod.id, self.config().index_wait, shows).await;
        Ok(())
    }

    /// Ends an upgrade as long as the old pod serves; it goes on serving. `false` when there is none, or it is too late.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the workspace is not there or not `owner`'s; [`Error::Cluster`] when the API fails.
    #[instrument(skip_all, fields(workspace.id = %id))]
    pub async fn cancel_upgrade(&self, id: &WorkspaceId, owner: Option<&Subject>) -> Result<bool, Error> {
        let mut attempt = 1;
        loop {
            let pods = self.upgradable(id, None, owner)?;
            let cut = pods.iter().filter_map(|pod| Link::of(&pod.annotations)).any(|link| link.cut);
            let marked = pods.iter().find(|pod| !pod.deleting && Mark::of(&pod.annotations).is_some());
            let Some(marked) = marked.filter(|_| !cut) else { return Ok(false) };
            let seen =
                Version { uid: marked.uid.clone(), resource_version: Some(marked.resource_version.clone()) };
            match self.unmark(marked, &seen, "it was cancelled").await {
                Ok(()) => return Ok(true),
                Err(ClusterError::NotFound { .. }) => return Ok(false),
                Err(ClusterError::Conflict { .. }) if attempt < ATTEMPTS => {
                    attempt += 1;
                    let changed = |pods: &[Arc<WorkspacePod>]| {
                        let same = |pod: &Arc<WorkspacePod>| pod.resource_version == marked.resource_version;
                        !pods.iter().any(same)
                    };
                    let index = self.cluster().workspaces();
                    let _ = index.wait_for(id, self.config().index_wait, changed).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the mark off a pod that is not to be replaced after all, and notes why.
    pub(crate) async fn unmark(
        &self,
        pod: &WorkspacePod,
        seen: &Version,
        why: &str,
    ) -> Result<(), ClusterError> {
        let changes: Changes = [
            (keys::UPGRADE.to_owned(), None),
            (keys::LAST_UPGRADE_ERROR.to_owned(), Some(failure_note(why))),
        ]
        .into();
        let patched = self
            .cluster()
            .patch_metadata(&pod.namespace, &pod.pod_name, seen, &Changes::new(), &changes)
            .await;
        patched.map(drop)
    }

    /// The workspaces that have a newer version of their template to upgrade to, whoever owns them: a curated one. A template
    /// that can't be read makes nothing outdated, and what has finished is not to be upgraded.
    ///
    /// # Errors
    /// [`Error::NotSynced`] before the cluster's state has been read.
    pub fn outdated(&self, filter: &ListFilter) -> Result<Vec<Workspace>, Error> {
        let mut all = self.list(filter)?.items;
        all.retain(|workspace| {
            workspace.is_outdated() && workspace.is_latest_curated() && check_running(workspace.pod()).is_ok()
        });
        Ok(all)
    }

    /// The pods of a workspace as the index has them: of its owner, in its namespace.
    fn upgradable(
        &self,
        id: &WorkspaceId,
        namespace: Option<&Namespace>,
        owner: Option<&Subject>,
    ) -> Result<Vec<Arc<WorkspacePod>>, Error> {
        let mut pods = self.pods_of(id, owner)?;
        let holder = pods.iter().find(|pod| !pod.deleting).or_else(|| pods.first()).cloned();
        pods.retain(|pod| holder.as_ref().is_some_and(|holder| is_same(pod, holder)));
        match pods.first() {
            Some(pod) if namespace.is_none_or(|namespace| pod.namespace == *namespace) => Ok(pods),
            _ => Err(Error::NotFound { id: id.clone() }),
        }
    }

    /// The template of a workspace as it is now, if it is for `caller`.
    fn template_for(&self, pod: &WorkspacePod, caller: &Caller) -> Result<Arc<Template>, Error> {
        let refused = |reason: String| Error::NotUpgradable { id: pod.id.clone(), reason };
        let found = latest::template(pod, &self.catalogue(), self.cluster().default_namespace());
        let template = found.map_err(|unknown| match unknown {
            latest::Unknown::Template(error) if caller.is_ordinary() => error.without_broken().into(),
            latest::Unknown::Template(error) => error.into(),
            other => refused(other.to_string()),
        })?;
        // In the words for one that nobody has.
        template.restriction().check(caller).map_err(|_| TemplateError::NotFound {
            reference: pod.template_ref.clone().unwrap_or_default(),
        })?;
        Ok(template)
    }
}

/// Whether two pods are of one workspace: of one id, owner and namespace.
pub(crate) fn is_same(a: &WorkspacePod, b: &WorkspacePod) -> bool {
    (&a.id, &a.owner, &a.namespace) == (&b.id, &b.owner, &b.namespace)
}

/// The link of the first new pod of an upgrade.
pub(crate) fn first_link(pod: &WorkspacePod, mark: &Mark, until: Option<Timestamp>) -> Link {
    Link {
        uid: pod.uid.clone(),
        since: mark.since,
        role: match mark.style {
            Style::Beside => Role::Beside,
            Style::Recreate => Role::Recreate,
        },
        from: version(pod).to_owned(),
        to: mark.to.clone(),
        cut: false,
        until,
        account: pod.service_account.clone(),
    }
}

fn version(pod: &WorkspacePod) -> &str {
    pod.template_version.as_deref().unwrap_or(keys::DEFAULT_TEMPLATE_VERSION)
}

/// Refuses a pod that has finished. It counts towards no quota, and its upgrade would start another one that nobody has
/// counted.
pub(crate) fn check_running(pod: &WorkspacePod) -> Result<(), String> {
    match pod.phase {
        Phase::Succeeded | Phase::Failed => Err("it has finished; spawn it anew".to_owned()),
        _ => Ok(()),
    }
}

/// What stands on the surviving pod about an upgrade that failed.
pub(crate) fn failure_note(why: &str) -> String {
    let now = Timestamp::now();
    format!("Upgrade failed at {now:.0}: {why}")
}

/// A workspace's pods, and whether it is being upgraded already.
struct Upgraded<'a> {
    /// The pod to replace, or one that takes part in the present upgrade.
    pod: &'a WorkspacePod,
    from: String,
    under_way: Option<(String, Style)>,
    /// Pods beside it that are in no upgrade of ours.
    others: usize,
}

impl<'a> Upgraded<'a> {
    /// `None` when it is going away.
    fn of(pods: &'a [Arc<WorkspacePod>]) -> Option<Self> {
        // What is left of an upgrade that was given up is removed by itself.
        let mut there = pods.iter().filter(|pod| !pod.deleting && !is_left_over(pod, pods));
        for pod in there.clone() {
            if let Some(link) = Link::of(&pod.annotations) {
                let style = if link.role == Role::Beside { Style::Beside } else { Style::Recreate };
                // One that goes back ends where it came from.
                return Some(Self { pod, from: link.from, under_way: Some((link.to, style)), others: 0 });
            }
            if let Some(mark) = Mark::of(&pod.annotations) {
                let from = version(pod).to_owned();
                return Some(Self { pod, from, under_way: Some((mark.to, mark.style)), others: 0 });
            }
        }
        let pod = there.next()?;
        let others = there.count();
        Some(Self { pod, from: version(pod).to_owned(), under_way: None, others })
    }

    /// The pod that will serve when the present upgrade is through.
    fn pod_name(&self) -> String {
        match Link::of(&self.pod.annotations) {
            Some(_) => self.pod.pod_name.clone(),
            None => names::successor(&self.pod.id, &self.pod.pod_name),
        }
    }
}

/// Whether a pod was to take over from one that is not to be replaced any more.
pub(crate) fn is_left_over(pod: &WorkspacePod, pods: &[Arc<WorkspacePod>]) -> bool {
    Link::of(&pod.annotations).filter(|link| !link.cut).is_some_and(|link| {
        let old = pods.iter().find(|old| old.uid == link.uid && !old.deleting);
        let since = old.and_then(|old| upgrade_of(old.as_ref()));
        since != Some(link.since)
    })
}

/// The upgrade that a pod is in, as the predecessor of another.
fn upgrade_of(pod: &WorkspacePod) -> Option<Timestamp> {
    let mark = Mark::of(&pod.annotations).map(|mark| mark.since);
    mark.or_else(|| Link::of(&pod.annotations).map(|link| link.since))
}
