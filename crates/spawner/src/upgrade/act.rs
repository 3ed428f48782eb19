//! The API calls of each step of an upgrade.

use std::sync::Arc;

use jiff::Timestamp;
use nocrd_cluster::{Changes, Error as ClusterError, Version, WorkspacePod};
use nocrd_model::keys;
use serde_json::Value;
use tracing::info;

use super::{
    begin::{check_running, failure_note, first_link, is_same},
    latest,
    record::{self, Link, Mark, Role, Style},
    render,
    step::Step,
};
use crate::{
    Error, Product, Spawner,
    apply::{self, Created},
    plan::Plan,
};

/// Why a step was not taken.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Things are not as they looked: look again.
    Moved,
    /// It may succeed later.
    Later(String),
    /// It never will.
    Never(String),
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Conflict { .. }
            | ClusterError::NotFound { .. }
            | ClusterError::AlreadyExists { .. } => Self::Moved,
            ClusterError::Invalid { .. }
            | ClusterError::Refused { .. }
            | ClusterError::TooLarge { .. }
            | ClusterError::QuotaExceeded { .. }
            | ClusterError::Forbidden { .. } => Self::Never(error.to_string()),
            error => Self::Later(error.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cluster(error) => error.into(),
            Error::NotFound { .. } => Self::Moved,
            Error::NotSynced => Self::Later(error.to_string()),
            Error::NotUpgradable { reason, .. } => Self::Never(reason),
            error => Self::Never(error.to_string()),
        }
    }
}

/// Most warnings quoted when an upgrade is given up.
const QUOTED_WARNINGS: usize = 3;

impl Spawner {
    /// Takes a step on the pods of a workspace as they were seen.
    pub(crate) async fn take(&self, pods: &[Arc<WorkspacePod>], step: &Step) -> Result<(), Failure> {
        let find = |uid: &String| pods.iter().find(|pod| pod.uid == *uid).ok_or(Failure::Moved);
        match step {
            Step::Nothing | Step::Wait => Ok(()),
            Step::Create { old } => self.create_successor(find(old)?).await,
            Step::Complete { pod, predecessor } => self.complete(find(pod)?, find(predecessor)?).await,
            Step::Cut { pod } => {
                let pod = find(pod)?;
                self.relink(pod, Link { cut: true, ..link_of(pod)? }, &seen(pod)).await
            }
            Step::Retire { pod } | Step::Discard { pod } => {
                let pod = find(pod)?;
                let deleted =
                    self.cluster().delete_pod_as_seen(&pod.namespace, &pod.pod_name, &seen(pod)).await;
                Ok(deleted?)
            }
            Step::Release { pod } => self.release(find(pod)?).await,
            Step::Strip { pod } => self.strip(find(pod)?, None).await,
            Step::GiveUp { old, new } => {
                let old = find(old)?;
                let why = match new {
                    Some(new) => self.diagnose(find(new)?).await,
                    None => format!("its new pod could not be created within {} s", self.timeout()),
                };
                self.give_up(old, &why).await
            }
            Step::GoBack { new } => self.go_back(find(new)?).await,
        }
    }

    fn timeout(&self) -> u64 {
        self.config().upgrade.timeout.as_secs()
    }

    fn deadline(&self) -> Timestamp {
        Timestamp::now().checked_add(self.config().upgrade.timeout).unwrap_or(Timestamp::MAX)
    }

    async fn create_successor(&self, old: &WorkspacePod) -> Result<(), Failure> {
        match self.try_create_successor(old).await {
            Err(Failure::Never(why)) => self.give_up(old, &why).await,
            result => result,
        }
    }

    async fn try_create_successor(&self, pod: &WorkspacePod) -> Result<(), Failure> {
        let mark = Mark::of(&pod.annotations).ok_or(Failure::Moved)?;
        // It may have waited for its turn for long.
        check_running(pod).map_err(Failure::Never)?;
        let template = latest::template(pod, &self.catalogue(), self.cluster().default_namespace())
            .map_err(|unknown| Failure::Never(unknown.without_broken().to_string()))?;
        if nocrd_templates::is_newer(&mark.to, template.version()) {
            return Err(Failure::Later(format!(
                "version {} of its template is not to be seen here",
                mark.to
            )));
        }
        // What was checked when the upgrade was begun was checked of that version.
        if template.version() != mark.to {
            return Err(Failure::Never(format!("its template is at version {} now", template.version())));
        }
        let rendered = self.render(pod, &template, mark.by).await?;
        let mut plan = rendered.plan;
        let until = (mark.style == Style::Beside).then(|| self.deadline());
        render::link(&mut plan.pod, &first_link(pod, &mark, until)).map_err(Failure::Never)?;
        if mark.style == Style::Recreate {
            if rendered.old.context_secret().is_some() && plan.context_secret.is_none() {
                let why = "the server lacks the permission to create secrets, where its context must be kept";
                return Err(Failure::Never(why.to_owned()));
            }
            let record = rendered.old.manifest().to_string();
            render::annotate(&mut plan.pod, keys::UPGRADE_ROLLBACK, record);
        }
        self.create_linked(pod, &plan).await
    }

    /// Creates a pod that takes over from `predecessor`.
    async fn create_linked(&self, predecessor: &WorkspacePod, plan: &Plan) -> Result<(), Failure> {
        let namespace = &predecessor.namespace;
        match apply::pod(self.cluster(), namespace, plan).await {
            Ok(_) => {
                info!(k8s.pod = plan.pod_name, workspace.id = %predecessor.id, "created a pod to take over");
                Ok(())
            }
            Err(ClusterError::AlreadyExists { .. }) => {
                // Another replica's doing, or what is left of an earlier attempt; unless it is something else altogether.
                let holder = self.cluster().pods().get(namespace, &plan.pod_name);
                let workspace = self.cluster().workspaces().by_pod(namespace, &plan.pod_name);
                let is_ours = workspace.is_some_and(|holder| is_same(&holder, predecessor));
                if holder.is_some_and(|holder| !holder.deleting) && !is_ours {
                    return Err(Failure::Never(format!("another pod is called {}", plan.pod_name)));
                }
                Err(Failure::Moved)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the context of a pod.
    async fn complete(&self, pod: &WorkspacePod, predecessor: &WorkspacePod) -> Result<(), Failure> {
        let Some(secret) = pod.annotations.get(keys::CONTEXT_SECRET) else { return Ok(()) };
        let result = self.store_context(pod, predecessor, secret).await;
        match result {
            Err(Failure::Never(why)) if link_of(pod)?.role != Role::Back => {
                self.give_up(predecessor, &why).await
            }
            result => result,
        }
    }

    async fn store_context(
        &self,
        pod: &WorkspacePod,
        predecessor: &WorkspacePod,
        secret: &str,
    ) -> Result<(), Failure> {
        let names = self.old_pod(pod).await?.stored_variables();
        let old = self.old_pod(predecessor).await?;
        let context = self.context_of(predecessor, &old, &names).await?;
        let of = Created {
            namespace: pod.namespace.clone(),
            pod_name: pod.pod_name.clone(),
            uid: pod.uid.clone(),
            service_account: None,
        };
        let product = Product::Workspace(pod.id.clone());
        Ok(apply::secret(self.cluster(), secret, &of, (&product, &pod.owner), context.expose()).await?)
    }

    async fn relink(&self, pod: &WorkspacePod, link: Link, of: &Version) -> Result<(), Failure> {
        let changes: Changes = [(keys::UPGRADE_FROM.to_owned(), Some(record::text(&link)))].into();
        self.annotate(pod, of, &changes).await
    }

    async fn annotate(&self, pod: &WorkspacePod, of: &Version, changes: &Changes) -> Result<(), Failure> {
        let cluster = self.cluster();
        cluster.patch_metadata(&pod.namespace, &pod.pod_name, of, &Changes::new(), changes).await?;
        Ok(())
    }

    /// Takes the gate off, and only then notes until when the pod must be ready: a pod without that is let go again.
    async fn release(&self, pod: &WorkspacePod) -> Result<(), Failure> {
        let any = Version::any_of(&pod.uid);
        let cluster = self.cluster();
        let now = cluster.ungate_pod(&pod.namespace, &pod.pod_name, &any, keys::UPGRADE_GATE).await?;
        let now = super::old::OldPod(now);
        // Another replica may be further already.
        let link = Link::of(&now.annotations()).filter(|link| link.until.is_none()).ok_or(Failure::Moved)?;
        let of =
            Version { uid: pod.uid.clone(), resource_version: now.resource_version().map(str::to_owned) };
        self.relink(pod, Link { until: Some(self.deadline()), ..link }, &of).await
    }

    /// Takes the link off a pod: it is the workspace's only one now.
    async fn strip(&self, pod: &WorkspacePod, failure: Option<String>) -> Result<(), Failure> {
        let mut changes: Changes = [(keys::UPGRADE_FROM.to_owned(), None)].into();
        changes.insert(keys::UPGRADE_ROLLBACK.to_owned(), None);
        changes.extend(failure.map(|note| (keys::LAST_UPGRADE_ERROR.to_owned(), Some(note))));
        self.annotate(pod, &seen(pod), &changes).await?;
        info!(k8s.pod = %pod.pod_name, workspace.id = %pod.id, "upgrade ended");
        Ok(())
    }

    async fn give_up(&self, old: &WorkspacePod, why: &str) -> Result<(), Failure> {
        self.unmark(old, &seen(old), why).await?;
        info!(k8s.pod = %old.pod_name, workspace.id = %old.id, why, "upgrade given up");
        Ok(())
    }

    async fn go_back(&self, new: &WorkspacePod) -> Result<(), Failure> {
        let why = self.diagnose(new).await;
        match self.try_go_back(new, &why).await {
            // There is nothing else that could serve the workspace.
            Err(Failure::Never(worse)) => {
                let note = failure_note(&format!("{why}; the earlier pod can't be had back: {worse}"));
                self.strip(new, Some(note)).await
            }
            result => result,
        }
    }

    async fn try_go_back(&self, new: &WorkspacePod, why: &str) -> Result<(), Failure> {
        let unusable = || Failure::Never("there is no record of it".to_owned());
        let record = new.annotations.get(keys::UPGRADE_ROLLBACK).ok_or_else(unusable)?;
        let mut pod: Value = serde_json::from_str(record).map_err(|_| unusable())?;
        let pod_name = apply::metadata(&pod, "name");
        let came = link_of(new)?;
        let back = Link {
            uid: new.uid.clone(),
            role: Role::Back,
            from: came.to,
            to: came.from,
            cut: false,
            until: None,
            account: new.service_account.clone(),
            since: came.since,
        };
        render::annotate(&mut pod, keys::LAST_UPGRADE_ERROR, failure_note(why));
        render::link(&mut pod, &back).map_err(Failure::Never)?;
        let plan = Plan { service_account: None, pod, pod_name, context_secret: None, warnings: Vec::new() };
        self.create_linked(new, &plan).await
    }

    /// Why a pod did not get ready.
    async fn diagnose(&self, pod: &WorkspacePod) -> String {
        let mut why = match &pod.status {
            status if status.fatal => status.to_string(),
            status => format!("not ready within {} s; last status: {status}", self.timeout()),
        };
        // Without them the status says enough.
        let events = self.cluster().events_for(&pod.namespace, &pod.pod_name, Some(&pod.uid)).await;
        let events = events.unwrap_or_default();
        let warnings: Vec<_> = events.iter().filter(|event| event.is_warning()).collect();
        for warning in warnings.iter().rev().take(QUOTED_WARNINGS).rev() {
            if !why.contains(&warning.message) {
                why = format!("{why}; {}: {}", warning.reason, warning.message);
            }
        }
        why
    }
}

/// A pod in the version that was looked at.
fn seen(pod: &WorkspacePod) -> Version {
    Version { uid: pod.uid.clone(), resource_version: Some(pod.resource_version.clone()) }
}

fn link_of(pod: &WorkspacePod) -> Result<Link, Failure> {
    Link::of(&pod.annotations).ok_or(Failure::Moved)
}
