//! The server as it is composed, on the embedded cluster's API, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod auth;
mod clients;
mod drain;
mod operations;
mod probes;
mod proxying;
mod readers;
mod registry;
mod routes;
mod session_key;
mod startup;
mod support;
