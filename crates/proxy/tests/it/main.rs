//! The proxy between real sockets: a client that writes bytes, the proxy in a hyper server, and small pods.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows tests by their attribute, which what they share does not have"
)]

mod bodies;
mod exchanges;
mod failures;
mod faults;
mod forwarding;
mod http2;
mod hygiene;
mod replaced;
mod reuse;
mod smuggling;
mod streaming;
mod support;
mod uploads;
mod visitors;
mod websocket;
mod websocket_cases;
mod websocket_ends;
