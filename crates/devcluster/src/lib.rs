//! The embedded development cluster of no-crd: a subset of the Kubernetes API and a kubelet that runs each container
//! as a local process.
//!
//! It is a convenience for one machine and **no security boundary**: it serves loopback only and is never linked into
//! anything but `nocrd-all`. In tests it stands in for a cluster, without a socket:
//!
//! ```
//! # use k8s_openapi::api::core::v1::ConfigMap;
//! use nocrd_devcluster::{Config, DevCluster};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = DevCluster::start(Config { run_pods: false, ..Config::default() }).await?;
//! let client = kube::Client::new(cluster.router(), "nogoo9");
//! let maps: kube::Api<ConfigMap> = kube::Api::default_namespaced(client);
//! assert!(maps.list(&Default::default()).await?.items.is_empty());
//! cluster.shutdown().await?;
//! # Ok(()) }
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`store`] | objects with revisions, their history, and the file they are kept in |
//! | [`api`] | the HTTP API over the store: reading, writing, watching, discovery |
//! | `schema` | the types: one table that decoding, merging, apply and OpenAPI read |
//! | `resources`, `validate` | defaults and validity of each kind |
//! | `patch`, `apply` | strategic merge; server-side apply |
//! | `selector` | label and field selectors |
//! | [`controllers`] | scheduler, claims, garbage collector, namespaces, quotas |
//! | [`kubelet`] | runs the pods, behind the seam [`runtime`] |
//! | [`tokens`] | tokens of service accounts |
//! | [`server`] | HTTPS on the loopback address |
//!
//! How close it is to the real thing is measured: a recording of a real kube-apiserver is replayed against it, and the
//! test lists every exchange that differs, with the reason.

pub mod access;
pub mod api;
mod apply;
mod cluster;
pub mod controllers;
mod credentials;
pub mod deletion;
mod error;
pub mod events;
pub mod kind;
mod kubeconfig;
pub mod kubelet;
pub mod object;
mod patch;
mod resources;
pub mod runtime;
mod schema;
mod selector;
pub mod server;
pub mod status;
pub mod store;
pub mod tokens;
mod validate;

pub use self::{
    cluster::{Config, DevCluster},
    error::Error,
    kubelet::{BackoffConfig, Image, Sandbox},
};
