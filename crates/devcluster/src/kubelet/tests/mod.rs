//! The kubelet as a whole, over a store and real processes.

mod deletion;
mod exec;
mod failures;
mod isolation;
mod lifecycle;
mod probes;
mod scale;
mod volumes;
mod world;
