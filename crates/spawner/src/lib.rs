//! Ephemeral workspaces on any Kubernetes cluster, with nothing but Pods, Secrets and ServiceAccounts.
#![doc = include_str!("../README.md")]
//!
//! # How a spawn works
//!
//! [`SpawnRequest`] → [`plan`](mod@plan) (pure: the manifests, or every reason why not) → [`apply`](mod@apply)
//! (the API calls, undone when a later one fails). Reads ([`Spawner::get`], [`Spawner::list`]) come from the
//! [`Cluster`]'s watch-backed index and cost no API call.
//!
//! The crate has no HTTP server, no MCP and no global state, and does not read the environment. Background work is
//! the caller's to run: see [`Spawner::janitor`] and [`Spawner::upgrader`].

mod apply;
mod catalogue;
mod config;
mod context;
mod directives;
mod error;
mod janitor;
mod library;
mod metadata;
mod names;
pub mod plan;
mod pods;
pub mod policy;
mod product;
mod recheck;
mod request;
mod spawner;
mod start;
mod upgrade;
mod wait;
mod workspace;

pub use catalogue::TemplateSources;
pub use config::{Config, UpgradeConfig};
pub use context::Context;
pub use error::Error;
pub use library::{StoredTemplate, TemplateChange};
pub use nocrd_cluster::{self as cluster, Cluster};
pub use nocrd_model::{self as model, Caller, Namespace, PodName, Subject, WorkspaceId};
pub use nocrd_templates::{self as templates, TemplateRef};
pub use pods::{ListedPod, PodFilter, PodList, PodLogs, PodPatch, StartedPod, VisiblePod};
pub use policy::PodSecurity;
pub use product::Product;
pub use request::{PodRequest, Source, SpawnRequest};
pub use spawner::{ListFilter, Page, Spawned, Spawner, StopOptions, Stopped};
pub use upgrade::{Begun, Style, Upgrade, UpgradeRequest};
pub use wait::{Progress, WaitOptions};
pub use workspace::Workspace;
