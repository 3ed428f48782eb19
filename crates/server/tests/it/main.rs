//! The server as it is composed, on the embedded cluster's API, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod drain;
mod probes;
mod proxying;
mod routes;
mod startup;
mod support;
