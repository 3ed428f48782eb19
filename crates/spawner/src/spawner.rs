use std::sync::{Arc, atomic::AtomicBool};

use nocrd_cluster::{Cluster, DeletePod, Error as ClusterError, PodEvent, WorkspacePod};
use nocrd_model::{Namespace, Subject, WorkspaceId};
use nocrd_templates::Catalogue;
use tracing::{info, instrument};

use crate::{
    Config, Error, SpawnRequest, TemplateSources, Workspace,
    catalogue::Loader,
    start::Started,
    upgrade::{self, Upgrades, View, is_same},
};

/// Spawns, finds and stops workspaces. Clones share everything.
#[derive(Clone)]
pub struct Spawner(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    templates: Loader,
    config: Config,
    secrets_forbidden: AtomicBool,
    upgrades: Upgrades,
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
        let upgrades = Upgrades::new(config.upgrade.at_once);
        Self(Arc::new(Inner {
            upgrades,
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

    /// Set when the API server refused a Secret although nothing had said it would.
    pub(crate) fn secrets_forbidden(&self) -> &AtomicBool {
        &self.0.secrets_forbidden
    }

    pub(crate) fn upgrades(&self) -> &Upgrades {
        &self.0.upgrades
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
        let id = request.id.clone();
        let Started { namespace, pod_name, warnings } = self.start(request.erased()).await?;
        Ok(Spawned { id, namespace, pod_name, warnings })
    }

    /// Finds a workspace; with `owner`, only when it is theirs.
    ///
    /// # Errors
    /// [`Error::NotFound`], which does not tell "not there" from "not yours".
    pub fn get(&self, id: &WorkspaceId, owner: Option<&Subject>) -> Result<Workspace, Error> {
        let pods = self.pods_of(id, owner)?;
        self.describe_all(&pods).ok_or_else(|| Error::NotFound { id: id.clone() })
    }

    pub(crate) fn pods_of(
        &self,
        id: &WorkspaceId,
        owner: Option<&Subject>,
    ) -> Result<Vec<Arc<WorkspacePod>>, Error> {
        if !self.cluster().health().synced {
            return Err(Error::NotSynced);
        }
        let mut pods = self.cluster().workspaces().get(id);
        pods.retain(|pod| owner.is_none_or(|owner| pod.owner == *owner));
        if pods.is_empty() { Err(Error::NotFound { id: id.clone() }) } else { Ok(pods) }
    }

    /// The workspace of these pods, which carry one id; `None` when there are none.
    pub(crate) fn describe_all(&self, pods: &[Arc<WorkspacePod>]) -> Option<Workspace> {
        let view = View::of(pods)?;
        Some(Workspace::of(view, &self.catalogue(), self.cluster().default_namespace()))
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
        pods.sort_by(|a, b| a.id.cmp(&b.id).then(a.arrival.cmp(&b.arrival)));
        let mut pods: Vec<&[Arc<WorkspacePod>]> = pods.chunk_by(|a, b| a.id == b.id).collect();
        let total = pods.len();
        if let Some(after) = &filter.after {
            pods.retain(|pods| id_of(pods).is_some_and(|id| id > after));
        }
        let limit = filter.limit.unwrap_or(usize::MAX);
        let more = pods.len() > limit;
        pods.truncate(limit);
        let next = pods.last().filter(|_| more).and_then(|pods| id_of(pods)).cloned();
        let (catalogue, default) = (self.catalogue(), self.cluster().default_namespace());
        let views = pods.into_iter().filter_map(View::of);
        let items = views.map(|view| Workspace::of(view, &catalogue, default)).collect();
        Ok(Page { items, total, next })
    }

    /// The Kubernetes events of a workspace's pods, oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] as for [`Spawner::get`]; [`Error::Cluster`] when the API fails.
    pub async fn events(&self, id: &WorkspaceId, owner: Option<&Subject>) -> Result<Vec<PodEvent>, Error> {
        let mut events = Vec::new();
        for pod in self.pods_of(id, owner)? {
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
        let pods = self.pods_of(id, owner)?;
        let grace_period_seconds = options.grace_period_seconds;
        for pod in &pods {
            let delete = DeletePod { uid: Some(pod.uid.clone()), grace_period_seconds };
            self.cluster().delete_pod(&pod.namespace, &pod.pod_name, delete).await?;
        }
        let mut pod_names: Vec<String> = pods.iter().map(|pod| pod.pod_name.clone()).collect();
        for pod in pods.iter().filter(|pod| pod.template_ref.is_some()) {
            pod_names.extend(self.stop_successors(pod, grace_period_seconds).await?);
        }
        pod_names.sort_unstable();
        pod_names.dedup();
        info!("workspace stopping");
        Ok(Stopped { id: id.clone(), pod_names })
    }

    /// Stops the pods that take over from one that was just stopped, if there are any that the index does not have yet. One
    /// that is created later is removed by whoever finds its predecessor stopped.
    async fn stop_successors(
        &self,
        pod: &WorkspacePod,
        grace_period_seconds: Option<u32>,
    ) -> Result<Vec<String>, Error> {
        let mut stopped = Vec::new();
        for name in upgrade::successors(pod) {
            let found = match self.cluster().get_pod(&pod.namespace, &name).await {
                Ok(found) => found,
                // Without the permission there are no upgrades either.
                Err(ClusterError::NotFound { .. } | ClusterError::Forbidden { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let found = serde_json::from_value(found).ok().and_then(|pod| WorkspacePod::parse(pod).ok());
            if let Some(found) = found.filter(|found| is_same(found, pod) && !found.deleting) {
                let delete = DeletePod { uid: Some(found.uid.clone()), grace_period_seconds };
                self.cluster().delete_pod(&pod.namespace, &name, delete).await?;
                stopped.push(name);
            }
        }
        Ok(stopped)
    }
}

fn id_of(pods: &[Arc<WorkspacePod>]) -> Option<&WorkspaceId> {
    pods.first().map(|pod| &pod.id)
}
