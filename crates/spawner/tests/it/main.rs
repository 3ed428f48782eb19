//! The spawner over a Kubernetes API: the embedded cluster's, and (when asked for) a real one's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect has failed"
)]

mod costs;
mod janitor;
mod library;
mod lifecycle;
mod pods;
mod races;
mod real;
mod undo;
mod upgrade;
mod world;
