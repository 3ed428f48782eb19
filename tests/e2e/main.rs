//! The whole program, end to end: `nocrd-all dev` as a process of its own, and beside it the programs people really use
//! with it.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]
#![expect(clippy::print_stderr, reason = "a test that has failed shows the server's log")]

mod auth;
mod bad_input;
mod bodies;
mod conformance;
mod crash;
mod dev;
mod faults;
mod grpc;
mod journey;
mod kubectl;
mod mcp;
mod part;
mod processes;
mod program;
mod races;
mod real_cluster;
mod rpc;
mod sdk_clients;
mod sdk_examples;
mod seed_template;
mod split;
mod startup;
mod stdio;
mod tools;
mod upgrades;
