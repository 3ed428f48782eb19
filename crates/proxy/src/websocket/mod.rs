//! WebSockets (RFC 6455): the only upgrade that is passed on.
//!
//! A tunnel opens when both sides have agreed on it: the client by a well-formed handshake, the pod by a 101 answer with
//! the accept value that belongs to the client's key. Any other answer is relayed as the ordinary response it is. So
//! nobody gets a raw connection to a pod's port through which further requests could be sent past this proxy's rules.

mod frames;
mod handshake;
mod origin;
mod pump;
mod seats;
mod tunnel;

pub(crate) use handshake::Handshake;
pub use origin::OriginPolicy;
pub(crate) use seats::{Seat, Seats};
pub(crate) use tunnel::Tunnel;
