//! From a bound socket to HTTP connections.

mod accept;
mod activity;
mod bind;
mod client;
mod connection;
mod plaintext;
mod seats;
#[cfg(test)]
mod tests;
mod workers;

pub(crate) use accept::Listener;
pub(crate) use activity::InFlight;
pub(crate) use bind::bind;
pub(crate) use seats::Seats;
pub(crate) use workers::Workers;
