//! Cleaning up what nobody else does: what a server that was killed in the middle of a spawn left, and the
//! ServiceAccounts of workspaces that are gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use nocrd_cluster::{ChangeKind, DeletePod, WorkspacePod};
use nocrd_model::{Namespace, WorkspaceId, keys};
use tokio::{sync::broadcast::error::RecvError, time::Instant};
use tracing::{info, warn};

use crate::{
    Spawner, names,
    upgrade::{Link, is_involved},
};

impl Spawner {
    /// Cleans up for as long as it is polled: run it in a task of its own. It removes
    ///
    /// - the ServiceAccount generated for a workspace's pod, once the pod is gone;
    /// - a pod whose context Secret was never created, since it can't start (those of upgrades are
    ///   [`Spawner::upgrader`]'s);
    /// - the later of two pods of different owners or namespaces that claim one id.
    ///
    /// Any number of replicas may run it at the same time. It does nothing while the API server is away.
    pub async fn janitor(&self) {
        self.cluster().synced().await;
        let mut changes = self.cluster().workspaces().changes();
        let mut next_sweep = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next_sweep) => {
                    self.sweep().await;
                    next_sweep = Instant::now() + self.config().sweep_period;
                }
                change = changes.recv() => match change {
                    Ok(change) if change.kind == ChangeKind::Deleted => self.after_deletion(&change.pod).await,
                    Ok(_) => {}
                    // Some deletions went by unseen: look at everything.
                    Err(RecvError::Lagged(_)) => next_sweep = Instant::now(),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    async fn after_deletion(&self, pod: &WorkspacePod) {
        let prefix = names::service_account_prefix(&pod.id);
        // The account was made for this pod alone: its name is the API server's choice.
        let own = pod.service_account.as_deref().filter(|name| name.starts_with(&prefix));
        if let Some(own) = own.filter(|own| !self.may_return(pod, own)) {
            self.remove_service_account(&pod.namespace, own, None).await;
        }
    }

    /// Whether a pod of the workspace would need the account to be created once more.
    fn may_return(&self, pod: &WorkspacePod, account: &str) -> bool {
        let pods = self.cluster().workspaces().get(&pod.id);
        pods.iter()
            .any(|other| other.namespace == pod.namespace && kept_account(other).as_deref() == Some(account))
    }

    async fn remove_service_account(&self, namespace: &Namespace, name: &str, uid: Option<&str>) {
        match self.cluster().delete_service_account(namespace, name, uid).await {
            Ok(()) => {
                info!(service_account = name, k8s.namespace = %namespace, "removed the service account of a workspace that is gone")
            }
            Err(error) => warn!(service_account = name, %error, "could not remove a service account"),
        }
    }

    /// Looks through everything once.
    pub(crate) async fn sweep(&self) {
        // What is known may be old: then somebody's pod would look as if it were not there.
        if self.cluster().health().stale_for.is_some() {
            return;
        }
        let pods = self.cluster().workspaces().all();
        self.sweep_pods(&pods).await;
        if self.cluster().permissions().allows("list", "serviceaccounts") {
            self.sweep_service_accounts(&pods).await;
        }
    }

    async fn sweep_pods(&self, pods: &[Arc<WorkspacePod>]) {
        let mut by_arrival: Vec<&Arc<WorkspacePod>> = pods.iter().filter(|pod| !pod.deleting).collect();
        by_arrival.sort_by_key(|pod| pod.arrival);
        let mut holders: BTreeMap<&WorkspaceId, &WorkspacePod> = BTreeMap::new();
        for pod in by_arrival {
            let holder = *holders.entry(&pod.id).or_insert(pod);
            if !is_older_than(pod.created, self.config().left_behind_after) {
                continue;
            }
            // Two pods of one owner in one namespace are an upgrade in progress, of whatever version of this product.
            if holder.namespace != pod.namespace || holder.owner != pod.owner {
                self.remove_pod(pod, None, "its id belongs to an earlier pod").await;
            } else if !pod.ready && !is_involved(&pod.annotations) && self.lacks_context(pod).await {
                self.remove_pod(pod, Some(0), "its context was never stored, so it can't start").await;
            }
        }
    }

    /// Tells whether the Secret a pod waits for was never created.
    async fn lacks_context(&self, pod: &WorkspacePod) -> bool {
        let Some(secret) = pod.annotations.get(keys::CONTEXT_SECRET) else { return false };
        matches!(self.cluster().secret_exists(&pod.namespace, secret).await, Ok(false))
    }

    async fn remove_pod(&self, pod: &WorkspacePod, grace_period_seconds: Option<u32>, why: &str) {
        let delete = DeletePod { uid: Some(pod.uid.clone()), grace_period_seconds };
        match self.cluster().delete_pod(&pod.namespace, &pod.pod_name, delete).await {
            Ok(()) => info!(k8s.pod = %pod.pod_name, k8s.namespace = %pod.namespace, "removed a pod: {why}"),
            Err(error) => warn!(k8s.pod = %pod.pod_name, %error, "could not remove a pod: {why}"),
        }
    }

    async fn sweep_service_accounts(&self, pods: &[Arc<WorkspacePod>]) {
        let accounts = match self.cluster().list_service_accounts(None).await {
            Ok(accounts) => accounts,
            Err(error) => {
                warn!(%error, "could not list service accounts");
                return;
            }
        };
        let all_pods = self.cluster().pods().all();
        let kept: Vec<(&Namespace, String)> =
            pods.iter().filter_map(|pod| Some((&pod.namespace, kept_account(pod)?))).collect();
        let mut used: BTreeSet<(&Namespace, &str)> = all_pods
            .iter()
            .filter_map(|pod| Some((&pod.namespace, pod.service_account.as_deref()?)))
            .collect();
        used.extend(kept.iter().map(|(namespace, account)| (*namespace, account.as_str())));
        for account in accounts {
            let ours = match &account.workspace_id {
                Some(id) => account.name.starts_with(&names::service_account_prefix(id)),
                None => account.name.starts_with(names::SERVICE_ACCOUNT_OF_POD),
            };
            let unused = !used.contains(&(&account.namespace, account.name.as_str()));
            if ours && unused && is_older_than(account.created, self.config().left_behind_after) {
                self.remove_service_account(&account.namespace, &account.name, Some(&account.uid)).await;
            }
        }
    }
}

/// The account of the pod that this one replaces.
fn kept_account(pod: &WorkspacePod) -> Option<String> {
    Link::of(&pod.annotations)?.account
}

fn is_older_than(created: Timestamp, age: Duration) -> bool {
    Duration::try_from(Timestamp::now().duration_since(created)).is_ok_and(|elapsed| elapsed >= age)
}
