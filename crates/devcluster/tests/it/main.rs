//! Tests of the embedded cluster through its public interface.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod client;
mod golden;
mod listener;
mod restart;
mod world;
