//! From a request to a pod: what is checked before, the API calls, and the races that are settled after.

use std::{
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering},
};

use nocrd_cluster::{DeletePod, ManagedPod, WorkspacePod};
use nocrd_model::{Namespace, WorkspaceId};
use tracing::info;

use crate::{
    Error, Product, Source, SpawnRequest, Spawner,
    apply::{self, Created, Outcome},
    metadata,
    plan::{self, Inputs, Plan, Resolved},
    recheck,
};

/// What a request came to.
pub(crate) struct Started {
    pub(crate) namespace: Namespace,
    pub(crate) pod_name: String,
    pub(crate) warnings: Vec<String>,
}

impl Spawner {
    /// Creates what a request asks for; see [`Spawner::spawn`].
    pub(crate) async fn start(&self, request: SpawnRequest<Product>) -> Result<Started, Error> {
        let this = self.clone();
        let task = async move { this.start_to_the_end(request).await };
        tokio::spawn(tracing::Instrument::in_current_span(task)).await.map_err(Error::Internal)?
    }

    async fn start_to_the_end(&self, request: SpawnRequest<Product>) -> Result<Started, Error> {
        // First, or the answer would tell something of the other's workspaces.
        plan::check_owner(&request)?;
        request.id.check()?;
        let asked = request.namespace.as_deref();
        let namespace = self.cluster().resolve_namespace_of_spawn(asked, &request.caller)?;
        let finished = self.check_free(&request, &namespace)?;
        let mut warnings = Vec::new();
        if let (Product::Workspace(id), Some(_)) = (&request.id, finished.first()) {
            // Nothing is removed for a request that can't be carried out.
            self.plan(&request, &namespace, self.may_create_secrets())?;
            self.remove_finished(id, &finished).await?;
            warnings.push(format!("an earlier workspace {id} had finished and was removed"));
        }
        let (created, plan) = self.create(&request, &namespace).await?;
        if let Err(error) = self.settle(&request, &created).await {
            apply::undo(self.cluster(), &created).await;
            return Err(error);
        }
        let what = match &request.id {
            Product::Workspace(_) => "workspace spawned",
            Product::Pod(_) => "pod created",
        };
        info!(k8s.pod = %created.pod_name, k8s.namespace = %namespace, "{what}");
        warnings.extend(plan.warnings);
        Ok(Started { namespace, pod_name: created.pod_name, warnings })
    }

    /// How many workspaces and pods the owner may have. What an administrator makes for somebody else counts as theirs.
    fn limit(&self, request: &SpawnRequest<Product>) -> Option<NonZeroU32> {
        let SpawnRequest { caller, owner, .. } = request;
        let is_exempt = caller.is_quota_exempt() && *owner == caller.subject;
        self.config().max_workspaces_per_user.filter(|_| !is_exempt)
    }

    /// Refuses what the index already shows to be impossible, without an API call. Gives the owner's finished pods that
    /// stand in the way.
    fn check_free(
        &self,
        request: &SpawnRequest<Product>,
        namespace: &Namespace,
    ) -> Result<Vec<Arc<WorkspacePod>>, Error> {
        if !self.cluster().health().synced {
            return Err(Error::NotSynced);
        }
        let mut finished = Vec::new();
        match &request.id {
            Product::Workspace(id) => {
                let pods = self.cluster().workspaces().get(id);
                let may_go = |pod: &Arc<WorkspacePod>| {
                    request.replaces_finished && is_over(pod) && pod.owner == request.owner
                };
                if pods.iter().all(may_go) {
                    finished = pods;
                } else {
                    // Of somebody else's no more is told than that the id is taken.
                    let may_know = |pod: &Arc<WorkspacePod>| request.caller.sees_things_of(Some(&pod.owner));
                    let id = id.clone();
                    return Err(if pods.iter().all(|pod| pod.deleting && may_know(pod)) {
                        Error::Stopping { id }
                    } else {
                        Error::Exists { id }
                    });
                }
            }
            Product::Pod(name) if self.cluster().pods().get(namespace, name.as_str()).is_some() => {
                return Err(request.id.taken());
            }
            Product::Pod(_) => {}
        }
        match self.limit(request) {
            Some(limit) if recheck::count(self.cluster(), &request.owner) >= limit.get() as usize => {
                Err(Error::Quota { limit: limit.get() })
            }
            _ => Ok(finished),
        }
    }

    /// Frees an id whose pods have all finished.
    async fn remove_finished(&self, id: &WorkspaceId, pods: &[Arc<WorkspacePod>]) -> Result<(), Error> {
        for pod in pods {
            let delete = DeletePod { uid: Some(pod.uid.clone()), grace_period_seconds: Some(0) };
            self.cluster().delete_pod(&pod.namespace, &pod.pod_name, delete).await?;
        }
        // One that a finalizer keeps is not gone soon.
        let gone = self.cluster().workspaces().wait_for(id, self.config().index_wait, <[_]>::is_empty).await;
        gone.map(|_| ()).map_err(|_| Error::Stopping { id: id.clone() })
    }

    async fn create(
        &self,
        request: &SpawnRequest<Product>,
        namespace: &Namespace,
    ) -> Result<(Created, Plan), Error> {
        // Twice at most: the second attempt does without Secrets.
        loop {
            let secrets = self.may_create_secrets();
            let plan = self.plan(request, namespace, secrets)?;
            match apply::create(self.cluster(), namespace, &plan, request).await? {
                Outcome::Created(created) => return Ok((created, plan)),
                Outcome::SecretsForbidden => self.secrets_forbidden().store(true, Ordering::Relaxed),
            }
        }
    }

    /// Looks the source up and plans the objects.
    fn plan(
        &self,
        request: &SpawnRequest<Product>,
        namespace: &Namespace,
        secrets: bool,
    ) -> Result<Plan, Error> {
        let catalogue = self.catalogue();
        let default = self.cluster().default_namespace();
        let plan = |source| {
            let (config, catalogue) = (self.config(), &catalogue);
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
    async fn settle(&self, request: &SpawnRequest<Product>, created: &Created) -> Result<(), Error> {
        let limit = self.limit(request);
        let id = match &request.id {
            Product::Workspace(id) => Some(id),
            // The API server has settled that.
            Product::Pod(_) => None,
        };
        let index = self.cluster().pods();
        let seen = index
            .wait_for_uid(&created.namespace, &created.pod_name, &created.uid, self.config().index_wait)
            .await;
        if seen.is_ok() {
            let same_id = id.map(|id| self.cluster().workspaces().get(id)).unwrap_or_default();
            let same_id = same_id.iter().map(|pod| pod.arrival);
            return recheck::check(same_id, &index.by_owner(&request.owner), &request.id, created, limit);
        }
        // The watch is behind or broken: ask once.
        let all: Vec<Arc<ManagedPod>> = self.cluster().list_managed_pods(None).await?;
        let same_id = all.iter().filter(|pod| id.is_some() && pod.workspace.as_ref() == id);
        let same_owner: Vec<_> =
            all.iter().filter(|pod| pod.owner.as_ref() == Some(&request.owner)).cloned().collect();
        recheck::check(same_id.map(|pod| pod.arrival), &same_owner, &request.id, created, limit)
    }
}

/// Tells whether a pod has run to its end, and nobody has asked for its deletion.
fn is_over(pod: &WorkspacePod) -> bool {
    !pod.deleting && matches!(pod.phase, nocrd_cluster::Phase::Succeeded | nocrd_cluster::Phase::Failed)
}
