use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use crate::PodSecurity;

/// What a [`Spawner`](crate::Spawner) allows.
#[derive(Debug, Clone)]
pub struct Config {
    /// Most workspaces and other pods one owner may have at a time, over all namespaces; `None` means any number.
    pub max_workspaces_per_user: Option<NonZeroU32>,
    /// The pod policy, for templates and inline specs alike.
    pub pod_security: PodSecurity,
    /// ServiceAccounts that templates and administrators may name, besides the namespace's default one and those
    /// generated for an IAM role.
    pub allowed_service_accounts: BTreeSet<String>,
    /// Secrets that ordinary callers may refer to in what they bring, besides those that their template refers to: each
    /// `namespace/name`, or a bare name in the cluster's default namespace.
    pub allowed_secrets: BTreeSet<String>,
    /// ConfigMaps, likewise. The server's own and those of templates are out of reach even so.
    pub allowed_config_maps: BTreeSet<String>,
    /// PersistentVolumeClaims, likewise.
    pub allowed_claims: BTreeSet<String>,
    /// Prefixes, such as `example.com`, of the labels and annotations that ordinary callers may set.
    pub allowed_metadata_prefixes: BTreeSet<String>,
    /// Most templates that one ordinary caller may have stored at a time.
    pub max_templates_per_user: usize,
    /// Whether [`Spawner::pods`](crate::Spawner::pods) and what is done by the name of a pod know only pods that this
    /// server manages, whoever asks.
    pub managed_only: bool,
    /// Largest pod spec, in bytes of compact JSON.
    pub max_spec_bytes: usize,
    /// How long a spawn waits for the watch to deliver its own pod before it asks the API server instead.
    pub index_wait: Duration,
    /// How often [`Spawner::janitor`](crate::Spawner::janitor) looks through everything.
    pub sweep_period: Duration,
    /// How upgrades go.
    pub upgrade: UpgradeConfig,
    /// How old something unfinished must be before the janitor takes it for left behind; a spawn in progress takes far
    /// less.
    pub left_behind_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_workspaces_per_user: None,
            pod_security: PodSecurity::Baseline,
            allowed_service_accounts: BTreeSet::new(),
            allowed_secrets: BTreeSet::new(),
            allowed_config_maps: BTreeSet::new(),
            allowed_claims: BTreeSet::new(),
            allowed_metadata_prefixes: BTreeSet::new(),
            max_templates_per_user: 100,
            managed_only: true,
            max_spec_bytes: 256 * 1024,
            index_wait: Duration::from_secs(5),
            sweep_period: Duration::from_secs(60),
            upgrade: UpgradeConfig::default(),
            left_behind_after: Duration::from_secs(30),
        }
    }
}

/// How upgrades go: see [`Spawner::upgrader`](crate::Spawner::upgrader).
#[derive(Debug, Clone)]
pub struct UpgradeConfig {
    /// How long a new pod may take to become ready, and how long it is tried to create it.
    pub timeout: Duration,
    /// How long a new pod must stay ready before it takes over.
    pub steady: Duration,
    /// How long a state that does not get better by waiting must last before the new pod is given up.
    pub settle: Duration,
    /// How many new pods this replica lets start at a time.
    pub at_once: usize,
    /// For how long replicas that did not begin an upgrade leave it to the one that did.
    pub courtesy: Duration,
    /// How often all workspaces are looked through for upgrades that nobody goes on with.
    pub sweep_period: Duration,
}

impl Default for UpgradeConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(600),
            steady: Duration::from_secs(1),
            settle: Duration::from_secs(20),
            at_once: 8,
            courtesy: Duration::from_secs(2),
            sweep_period: Duration::from_secs(10),
        }
    }
}
