//! Access to a Kubernetes cluster: watch-backed indexes, access reviews, pods, logs, events.
//!
//! [`Cluster::start`] asks what the server's own identity may do and opens two watches, one on the pods that this product
//! made and one on template ConfigMaps. From then on reads are answered from memory ([`Cluster::workspaces`],
//! [`Cluster::pods`], [`Cluster::template_config_maps`]) and cost the API server nothing; only writes, logs and events are
//! calls.
//!
//! | module | what it holds |
//! |---|---|
//! | [`connect`](mod@connect) | finding a cluster: kubeconfig or service account, and what to say when there is none |
//! | [`config`] | which namespaces the server works in |
//! | [`cluster`] | [`Cluster`] itself and its [`Health`] |
//! | [`index`] | [`WorkspaceIndex`]: the workspaces' pods by id, owner, template and name; [`PodIndex`]: all of ours by owner and name |
//! | [`pod_summary`] | [`PodSummary`]: the slim form in which a pod is kept; [`ManagedPod`]: one that is ours |
//! | [`workspace_pod`] | [`WorkspacePod`]: one that is a workspace, and what it declares |
//! | [`status`] | what a pod is doing, derived from all of its conditions and containers |
//! | [`permissions`] | the one table of RBAC needs, and the report of what is granted |
//! | [`events`] | [`PodEvent`] |
//! | [`pods`], [`objects`], [`claims`] | inputs and outputs of the calls |
//! | [`own`] | what the server keeps in the cluster for itself |
//! | [`error`] | [`Error`]: what the API server's refusals mean to a caller |
//!
//! # Which pods are workspaces
//!
//! Those with the labels `nogoo9/type=workspace` **and** `nogoo9/managed-by=nogoo9-spawner`, a valid
//! `nogoo9/workspace-id` and an owner. A pod somebody made by hand with the first label alone is neither listed nor
//! routed: what this product did not create, it does not hand out under a workspace's URL.
//!
//! The watch covers the second label alone, since other pods of ours are listed too. That loses no workspace: versions
//! since 0.5 give it to every workspace they start, and pods without it were never taken for workspaces here.

mod calls;
pub mod claims;
pub mod cluster;
pub mod config;
mod config_maps;
pub mod connect;
mod count;
pub mod error;
pub mod events;
pub mod index;
mod list;
mod liveness;
mod namespaces;
pub mod objects;
pub mod own;
pub mod permissions;
pub mod pod_summary;
pub mod pods;
mod secret_values;
pub mod status;
mod supervise;
mod templates;
mod unmanaged;
mod version;
mod watch;
pub mod workspace_pod;

pub use claims::{AccessMode, Claim};
pub use cluster::{Cluster, Health, Watched};
pub use config::{Config, Scope};
pub use connect::{ConnectError, ConnectOptions, Connection, connect};
pub use error::Error;
pub use events::PodEvent;
pub use index::{Change, ChangeKind, Elapsed, PodIndex, WorkspaceIndex};
pub use own::{OwnConfigMap, OwnSecret, OwnSecretName};
pub use permissions::{NEEDS, OWN_NEEDS, OwnNeed, Permission, PermissionReport};
pub use pod_summary::{Incomplete, ManagedPod, Phase, PodSummary, owner_of};
pub use pods::{Changes, DeletePod, LogOptions, PodLog};
pub use secret_values::SecretValues;
pub use status::{State, Status};
pub use version::Version;
pub use workspace_pod::{NotAWorkspace, WorkspacePod};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nocrd_model::keys;

/// Removes what the API server, kubectl and upgrades keep for themselves, which is often the larger part of an object.
fn strip(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        annotations.remove(keys::SPAWN_INPUTS);
    }
}
