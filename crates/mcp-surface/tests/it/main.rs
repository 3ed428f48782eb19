//! The server from outside, over a scripted cluster: in-process clients, raw HTTP and raw lines.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod api;
mod arguments;
mod defects;
mod dev;
mod diagnostics;
mod elicit;
mod extension;
mod forms;
mod http;
mod library;
mod matrix;
mod pages;
mod permissions;
mod pods;
mod prompts;
mod rbac;
mod reads;
mod registry;
mod resources;
mod sessions;
mod spawn;
mod stateless;
mod stdio;
mod strangers;
mod subscriptions;
mod tasks;
mod tenants;
mod thousand;
mod upgrades;
mod world;
