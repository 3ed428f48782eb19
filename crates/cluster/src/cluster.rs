//! [`Cluster`]: everything the product does with a Kubernetes cluster.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use nocrd_model::{Caller, Namespace, keys};
use rand::Rng;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Config, Error, PermissionReport, PodIndex, Scope, WorkspaceIndex,
    calls::Calls,
    count::Counted,
    index::{Indexes, PodSink},
    liveness::Liveness,
    namespaces::Namespaces,
    permissions::{Others, Reviewer},
    supervise::{Events, Narrow, managed_selector, supervise},
    templates::{TemplateSink, TemplateStore},
    unmanaged::Unmanaged,
    watch::Backoff,
};

/// What a watch covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// Every namespace.
    AllNamespaces,
    /// One namespace.
    One(Namespace),
    /// Nothing: the permission is missing.
    Nothing,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllNamespaces => f.write_str("all namespaces"),
            Self::One(namespace) => write!(f, "namespace {namespace}"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// Whether what is kept in memory is what the cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether everything was read at least once.
    pub synced: bool,
    /// How long ago the API server was last heard of, when a watch is broken; `None` while both are connected. That a
    /// connection died without a word is noticed after two minutes.
    pub stale_for: Option<Duration>,
    /// What broke the watch last, while it is broken.
    pub last_error: Option<String>,
    /// How often a watch failed so far.
    pub failures: u64,
    /// Where pods are seen. In [`Scope::Cluster`] this is the default namespace alone when the server may not
    /// watch pods in all of them.
    pub watched: Watched,
    /// Where template ConfigMaps are seen.
    pub watched_templates: Watched,
}

/// Access to a cluster. Clones share everything; background tasks end when the last clone is dropped.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    calls: Calls,
    sent: Arc<AtomicU64>,
    index: Arc<Indexes>,
    templates: Arc<TemplateStore>,
    reviewer: Arc<Reviewer>,
    pod_watch: Arc<Liveness>,
    template_watch: Arc<Liveness>,
    namespaces: Namespaces,
    unmanaged: Unmanaged,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

/// Longest time that [`Cluster::start`] waits for the first access reviews; then it goes on without.
const FIRST_REVIEW: Duration = Duration::from_secs(5);

impl Cluster {
    /// Asks what is allowed and starts to watch. It does not wait for the first read ([`Self::synced`] does), and an
    /// API server that can't be reached is no error: it is tried again until it can ([`Self::health`] tells).
    ///
    /// # Errors
    /// None at present: nothing of what happens here is final.
    pub async fn start(client: kube::Client, config: Config) -> Result<Self, Error> {
        let (client, sent) = Counted::wrap(client);
        let calls = Calls { client, timeout: config.request_timeout, server: config.server.clone() };
        let reviewer = Arc::new(Reviewer::new(calls.clone(), config.clone()));
        let _ = tokio::time::timeout(FIRST_REVIEW, reviewer.refresh(Others::No)).await;

        let denied = Arc::new(Notify::new());
        let index = Arc::new(Indexes::default());
        let templates = Arc::new(TemplateStore::default());
        let watch = |resource| {
            let liveness = Arc::new(Liveness::new(reviewer.watchable(resource)));
            let narrow = (!config.check_permissions).then(|| Narrow::of(&config, resource));
            Events { resource, liveness, denied: Arc::clone(&denied), narrow }
        };
        let (pods, config_maps) = (watch("pods"), watch("configmaps"));
        let (pod_watch, template_watch) = (Arc::clone(&pods.liveness), Arc::clone(&config_maps.liveness));

        let pod_sink = PodSink::new(Arc::clone(&index), pods.clone(), config.clone());
        let template_sink = TemplateSink::new(Arc::clone(&templates), config_maps.clone());
        let mut tasks = vec![
            tokio::spawn(supervise(calls.clone(), pods, managed_selector(), pod_sink)),
            tokio::spawn(supervise(calls.clone(), config_maps, keys::template_selector(), template_sink)),
        ];
        if config.check_permissions {
            let watches = [("pods", Arc::clone(&pod_watch)), ("configmaps", Arc::clone(&template_watch))];
            let period = config.permission_refresh;
            tasks.push(tokio::spawn(keep_asking(Arc::clone(&reviewer), watches, denied, period)));
        }
        let tasks = tasks.into_iter().map(AbortOnDropHandle::new).collect();
        let shared = Shared {
            config,
            calls,
            sent,
            index,
            templates,
            reviewer,
            pod_watch,
            template_watch,
            namespaces: Namespaces::default(),
            unmanaged: Unmanaged::default(),
            _tasks: tasks,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The namespace in which a request takes place that names `requested`.
    ///
    /// # Errors
    /// See [`Config::resolve_namespace`].
    pub fn resolve_namespace(&self, requested: Option<&str>) -> Result<Namespace, Error> {
        self.shared.config.resolve_namespace(requested)
    }

    /// The namespace in which a workspace is made that `caller` wishes for in `requested`.
    ///
    /// # Errors
    /// See [`Config::resolve_namespace_of_spawn`].
    pub fn resolve_namespace_of_spawn(
        &self,
        requested: Option<&str>,
        caller: &Caller,
    ) -> Result<Namespace, Error> {
        self.shared.config.resolve_namespace_of_spawn(requested, caller)
    }

    /// Whether the server works in a namespace.
    #[must_use]
    pub fn serves(&self, namespace: &Namespace) -> bool {
        self.shared.config.serves(namespace)
    }

    /// How far the server reaches.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.shared.config.scope
    }

    /// Namespace of requests that name none.
    #[must_use]
    pub fn default_namespace(&self) -> &Namespace {
        &self.shared.config.default_namespace
    }

    /// The client, for calls this type does not offer. They are counted too.
    #[must_use]
    pub fn client(&self) -> &kube::Client {
        &self.shared.calls.client
    }

    pub(crate) fn known_namespaces(&self) -> &Namespaces {
        &self.shared.namespaces
    }

    pub(crate) fn known_unmanaged(&self) -> &Unmanaged {
        &self.shared.unmanaged
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.shared.calls
    }

    /// Waits until workspaces and templates were read for the first time.
    pub async fn synced(&self) {
        self.synced_of(true, true).await;
    }

    /// Waits until the pods, or the template ConfigMaps, were read for the first time.
    pub async fn synced_of(&self, pods: bool, templates: bool) {
        if pods {
            self.shared.pod_watch.wait_synced().await;
        }
        if templates {
            self.shared.template_watch.wait_synced().await;
        }
    }

    /// The watched workspace pods.
    #[must_use]
    pub fn workspaces(&self) -> &WorkspaceIndex {
        &self.shared.index.workspaces
    }

    /// The watched pods that this product made, workspaces or not.
    #[must_use]
    pub fn pods(&self) -> &PodIndex {
        &self.shared.index.pods
    }

    pub(crate) fn indexes(&self) -> &Indexes {
        &self.shared.index
    }

    /// The watched template ConfigMaps, by namespace and name, without `managedFields` and
    /// `kubectl.kubernetes.io/last-applied-configuration`.
    #[must_use]
    pub fn template_config_maps(&self) -> Arc<Vec<ConfigMap>> {
        self.shared.templates.snapshot()
    }

    /// Where they can't be watched, has the template ConfigMaps read anew: one was changed from here.
    pub(crate) fn templates_changed(&self) {
        self.shared.templates.poll();
    }

    /// Counts changes of the template ConfigMaps.
    #[must_use]
    pub fn template_changes(&self) -> watch::Receiver<u64> {
        self.shared.templates.changes()
    }

    /// Whether what is kept in memory is what the cluster has.
    #[must_use]
    pub fn health(&self) -> Health {
        let (pods, templates) = (&self.shared.pod_watch, &self.shared.template_watch);
        // Of two outages the longer one is told.
        let outage =
            [pods, templates].into_iter().filter_map(|watch| watch.outage()).max_by_key(|outage| outage.0);
        let (stale_for, last_error) = outage.unzip();
        Health {
            synced: pods.is_synced() && templates.is_synced(),
            stale_for,
            last_error,
            failures: pods.failures() + templates.failures(),
            watched: pods.scope.borrow().clone(),
            watched_templates: templates.scope.borrow().clone(),
        }
    }

    /// Number of requests sent to the API server so far. A watch counts once each time it (re)connects.
    #[must_use]
    pub fn api_calls(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// What the server's own identity may do.
    #[must_use]
    pub fn permissions(&self) -> Arc<PermissionReport> {
        self.shared.reviewer.report()
    }

    /// Counts changes of [`Self::permissions`].
    #[must_use]
    pub fn permission_changes(&self) -> watch::Receiver<u64> {
        self.shared.reviewer.changes()
    }

    /// Asks anew what the server's own identity may do, and adapts the watches.
    pub async fn refresh_permissions(&self) {
        self.shared.reviewer.refresh(Others::Now).await;
        self.adapt_watches();
    }

    /// The same, unless somebody has asked within the last `age`. Whoever comes while the API server is being asked waits
    /// for that.
    pub async fn refresh_permissions_older_than(&self, age: Duration) {
        self.shared.reviewer.refresh_older_than(age, Others::Now).await;
        self.adapt_watches();
    }

    fn adapt_watches(&self) {
        if self.shared.config.check_permissions {
            self.shared.pod_watch.cover(self.shared.reviewer.watchable("pods"));
            self.shared.template_watch.cover(self.shared.reviewer.watchable("configmaps"));
        }
    }
}

/// Asks for permissions again and again, sooner after a failure, and at once when a watch was denied.
async fn keep_asking(
    reviewer: Arc<Reviewer>,
    watches: [(&'static str, Arc<Liveness>); 2],
    denied: Arc<Notify>,
    period: Duration,
) {
    let mut backoff = Backoff::default();
    loop {
        let pause = if reviewer.report().complete {
            backoff.reset();
            // Not all replicas at the same moment.
            period.mul_f64(rand::rng().random_range(0.9..=1.1))
        } else {
            backoff.next()
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = denied.notified() => {}
        }
        reviewer.refresh(Others::IfOld).await;
        for (resource, liveness) in &watches {
            liveness.cover(reviewer.watchable(resource));
        }
    }
}
