use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nocrd_cluster::{Cluster, DeletePod, PodEvent, WorkspacePod};
use nocrd_model::{Namespace, Subject, WorkspaceId};
use nocrd_templates::Catalogue;
use tracing::{info, instrument};

use crate::{
    Config, Error, Source, SpawnRequest, TemplateSources, Workspace,
    apply::{self, Created, Outcome},
    catalogue::Loader,
    metadata,
    plan::{self, Inputs, Plan, Resolved},
    recheck,
};

/// Spawns, finds and stops workspaces. Clones share everything.
#[derive(Clone)]
pub struct Spawner(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    templates: Loader,
    config: Config,
    /// Set when the API server refused a Secret although nothing had said it would.
    secrets_forbidden: AtomicBool,
}

/// A workspace that was created; it may not run yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawned {
    /// Its id.
    pub id: WorkspaceId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its pod.
    pub pod_name: String,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// How to stop a workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// Seconds between the request to stop and the kill; the pod's own when `None`.
    pub grace_period_seconds: Option<u32>,
}

/// What was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The workspace.
    pub id: WorkspaceId,
    /// Its pods, which terminate within their grace period.
    pub pod_names: Vec<String>,
}

/// Which workspaces to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Only this namespace.
    pub namespace: Option<Namespace>,
    /// Only this owner's.
    pub owner: Option<Subject>,
    /// Only ids after this one.
    pub after: Option<WorkspaceId>,
    /// At most so many; all when `None`.
    pub limit: Option<usize>,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The entries, by id.
    pub items: Vec<T>,
    /// How many there are in all, on every page.
    pub total: usize,
    /// The id to continue after, when there is more.
    pub next: Option<WorkspaceId>,
}

impl Spawner {
    /// Makes a spawner over a cluster.
    #[must_use]
    pub fn new(cluster: Cluster, templates: TemplateSources, config: Config) -> Self {
        Self(Arc::new(Inner {
            cluster,
            templates: Loader::new(templates),
            config,
            secrets_forbidden: AtomicBool::new(false),
        }))
    }

    /// The cluster it works on.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    /// Its limits.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The templates there are now.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        self.0.templates.catalogue(&self.0.cluster)
    }

    /// Creates a workspace and returns as soon as its pod exists; see [`Spawner::wait_ready`].
    ///
    /// The work goes on when the returned future is dropped, so that a caller who goes away leaves a whole workspace
    /// or none.
    ///
    /// # Errors
    /// Nothing is left behind by any of them: see [`Error`].
    #[instrument(skip_all, fields(workspace.id = %request.id))]
    pub async fn spawn(&self, request: SpawnRequest) -> Result<Spawned, Error> {
        let this = self.clone();
        let task = async move { this.spawn_to_the_end(request).await };
        tokio::spawn(tracing::Instrument::in_current_span(task)).await.map_err(Error::Internal)?
    }

    async fn spawn_to_the_end(&self, request: SpawnRequest) -> Result<Spawned, Error> {
        // First, or the answer would tell something of the other's workspaces.
        plan::check_owner(&request)?;
        let asked = request.namespace.as_deref();
        let namespace = self.cluster().resolve_namespace_of_spawn(asked, &request.caller)?;
        self.check_free(&request)?;
        let (created, plan) = self.create(&request, &namespace).await?;
        if let Err(error) = self.settle(&request, &created).await {
            apply::undo(self.cluster(), &created).await;
            return Err(error);
        }
        info!(k8s.pod = %created.pod_name, k8s.namespace = %namespace, "workspace spawned");
        Ok(Spawned { id: request.id, namespace, pod_name: created.pod_name, warnings: plan.warnings })
    }

    /// How many workspaces the owner may have.
    fn limit(&self, request: &SpawnRequest) -> Option<NonZeroU32> {
        self.0.config.max_workspaces_per_user.filter(|_| !request.caller.is_quota_exempt())
    }

    /// Refuses what the index already shows to be impossible, without an API call.
    fn check_free(&self, request: &SpawnRequest) -> Result<(), Error> {
        if !self.cluster().health().synced {
            return Err(Error::NotSynced);
        }
        let pods = self.cluster().workspaces().get(&request.id);
        if !pods.is_empty() {
            let id = request.id.clone();
            // Of somebody else's no more is told than that the id is taken.
            let may_know = |pod: &Arc<WorkspacePod>| {
                request.caller.owner_filter().is_none_or(|subject| pod.owner == *subject)
            };
            return Err(if pods.iter().all(|pod| pod.deleting && may_know(pod)) {
                Error::Stopping { id }
            } else {
                Error::Exists { id }
            });
        }
        match self.limit(request) {
            Some(limit) if recheck::count(self.cluster(), &request.owner) >= limit.get() as usize => {
                Err(Error::Quota { limit: limit.get() })
            }
            _ => Ok(()),
        }
    }

    async fn create(&self, request: &SpawnRequest, namespace: &Namespace) -> Result<(Created, Plan), Error> {
        // Twice at most: the second attempt does without Secrets.
        loop {
            let secrets = self.may_create_secrets();
            let plan = self.plan(request, namespace, secrets)?;
            match apply::create(self.cluster(), namespace, &plan, request).await? {
                Outcome::Created(created) => return Ok((created, plan)),
                Outcome::SecretsForbidden => self.0.secrets_forbidden.store(true, Ordering::Relaxed),
            }
        }
    }

    fn may_create_secrets(&self) -> bool {
        !self.0.secrets_forbidden.load(Ordering::Relaxed)
            && self.cluster().permissions().allows("create", "secrets")
    }

    /// Looks the source up and plans the objects.
    fn plan(&self, request: &SpawnRequest, namespace: &Namespace, secrets: bool) -> Result<Plan, Error> {
        let catalogue = self.catalogue();
        let default = self.cluster().default_namespace();
        let plan = |source| {
            let (config, catalogue) = (&self.0.config, &catalogue);
            plan::plan(&Inputs { request, source, namespace, home: default, catalogue, config, secrets })
        };
        match &request.source {
            Source::Inline(spec) => plan(Resolved::Inline(spec)),
            Source::Template(reference) => {
                if let Some(other) = &reference.namespace {
                    self.cluster().resolve_namespace(Some(other.as_str()))?;
                }
                // A bare name is looked up where the workspace will be, then in the default namespace.
                let found = match catalogue.resolve(reference, namespace) {
                    Ok(found) if namespace == default || !found.origin.is_local() => Ok(found),
                    Err(error) if namespace == default || !error.is_not_found() => Err(error),
                    _ => catalogue.resolve(reference, default),
                };
                let template =
                    found.map_err(|error| if request.may_write { error } else { error.without_broken() })?;
                let recorded = metadata::recorded_reference(
                    &reference.to_string(),
                    &template.reference().to_string(),
                    template.origin.namespace(),
                    default,
                );
                plan(Resolved::Template(&template, recorded))
            }
        }
    }

    /// Settles races over the id and the quota, once every pod created before ours is in view.
    async fn settle(&self, request: &SpawnRequest, created: &Created) -> Result<(), Error> {
        let limit = self.limit(request);
        let index = self.cluster().workspaces();
        let seen = index
            .wait_for_uid(&created.namespace, &created.pod_name, &created.uid, self.0.config.index_wait)
            .await;
        if seen.is_ok() {
            let same_id = index.get(&request.id);
            return recheck::check(&same_id, &index.by_owner(&request.owner), &request.id, created, limit);
        }
        // The watch is behind or broken: ask once.
        let all: Vec<Arc<WorkspacePod>> =
            self.cluster().list_workspace_pods(None).await?.into_iter().map(Arc::new).collect();
        let of = |wanted: &dyn Fn(&WorkspacePod) -> bool| -> Vec<_> {
            all.iter().filter(|p| wanted(p)).cloned().collect()
        };
        let same_id = of(&|pod| pod.id == request.id);
        let same_owner = of(&|pod| pod.owner == request.owner);
        recheck::check(&same_id, &same_owner, &request.id, created, limit)
    }

    /// Finds a workspace; with `owner`, only when it is theirs.
    ///
    /// # Errors
    /// [`Error::NotFound`], which does not tell "not there" from "not yours".
    pub fn get(&self, id: &WorkspaceId, owner: Option<&Subject>) -> Result<Workspace, Error> {
        let pods = self.pods(id, owner)?;
        let best = pods.iter().rev().find(|pod| pod.ready && !pod.deleting);
        let best = best.or_else(|| pods.iter().find(|pod| !pod.deleting)).or_else(|| pods.first());
        best.map(|pod| self.describe(Arc::clone(pod))).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    fn pods(&self, id: &WorkspaceId, owner: Option<&Subject>) -> Result<Vec<Arc<WorkspacePod>>, Error> {
        if !self.cluster().health().synced {
            return Err(Error::NotSynced);
        }
        let mut pods = self.cluster().workspaces().get(id);
        pods.retain(|pod| owner.is_none_or(|owner| pod.owner == *owner));
        if pods.is_empty() { Err(Error::NotFound { id: id.clone() }) } else { Ok(pods) }
    }

    pub(crate) fn describe(&self, pod: Arc<WorkspacePod>) -> Workspace {
        Workspace::new(pod, &self.catalogue(), self.cluster().default_namespace())
    }

    /// Lists workspaces by id, each once.
    ///
    /// # Errors
    /// [`Error::NotSynced`] before the cluster's state has been read.
    pub fn list(&self, filter: &ListFilter) -> Result<Page<Workspace>, Error> {
        if !self.cluster().health().synced {
            return Err(Error::NotSynced);
        }
        let mut pods = match &filter.owner {
            Some(owner) => self.cluster().workspaces().by_owner(owner),
            None => self.cluster().workspaces().all(),
        };
        pods.retain(|pod| filter.namespace.as_ref().is_none_or(|namespace| pod.namespace == *namespace));
        // Of a workspace with two pods the one that serves counts, else the elder.
        pods.sort_by(|a, b| {
            let serves = |pod: &WorkspacePod| pod.ready && !pod.deleting;
            a.id.cmp(&b.id)
                .then(serves(b).cmp(&serves(a)))
                .then(a.deleting.cmp(&b.deleting))
                .then(a.arrival.cmp(&b.arrival))
        });
        pods.dedup_by(|a, b| a.id == b.id);
        let total = pods.len();
        if let Some(after) = &filter.after {
            pods.retain(|pod| pod.id > *after);
        }
        let limit = filter.limit.unwrap_or(usize::MAX);
        let more = pods.len() > limit;
        pods.truncate(limit);
        let next = pods.last().filter(|_| more).map(|pod| pod.id.clone());
        let (catalogue, default) = (self.catalogue(), self.cluster().default_namespace());
        let items = pods.into_iter().map(|pod| Workspace::new(pod, &catalogue, default)).collect();
        Ok(Page { items, total, next })
    }

    /// The Kubernetes events of a workspace's pods, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] as for [`Spawner::get`]; [`Error::Cluster`] when the API fails.
    pub async fn events(&self, id: &WorkspaceId, owner: Option<&Subject>) -> Result<Vec<PodEvent>, Error> {
        let mut events = Vec::new();
        for pod in self.pods(id, owner)? {
            events.extend(self.cluster().events_for(&pod.namespace, &pod.pod_name, Some(&pod.uid)).await?);
        }
        events.sort_by_key(|event| event.last.or(event.first));
        Ok(events)
    }

    /// Tells a workspace's pods to terminate. Its Secret goes with them; a ServiceAccount of its own follows once they
    /// are gone, since a pre-stop command may still need it ([`Spawner::janitor`]).
    ///
    /// # Errors
    /// [`Error::NotFound`] as for [`Spawner::get`]; [`Error::Cluster`] when the API fails.
    #[instrument(skip_all, fields(workspace.id = %id))]
    pub async fn stop(
        &self,
        id: &WorkspaceId,
        owner: Option<&Subject>,
        options: StopOptions,
    ) -> Result<Stopped, Error> {
        let pods = self.pods(id, owner)?;
        for pod in &pods {
            let delete =
                DeletePod { uid: Some(pod.uid.clone()), grace_period_seconds: options.grace_period_seconds };
            self.cluster().delete_pod(&pod.namespace, &pod.pod_name, delete).await?;
        }
        info!("workspace stopping");
        Ok(Stopped { id: id.clone(), pod_names: pods.iter().map(|pod| pod.pod_name.clone()).collect() })
    }
}
