//! The embedded development cluster of no-crd: a subset of the Kubernetes API and a kubelet that runs each container
//! as a local process.
//!
//! It is a convenience for one machine and **no security boundary**: it serves loopback only and is never linked into
//! anything but `nocrd-all`.

pub mod access;
pub mod api;
mod apply;
mod cluster;
pub mod controllers;
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
mod validate;

pub use self::{
    cluster::{Config, DevCluster},
    error::Error,
    kubelet::{BackoffConfig, Image, Sandbox},
};
