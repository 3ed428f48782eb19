//! Who is asking, and what they may do.
#![doc = include_str!("../README.md")]

pub mod authenticator;
mod cached;
pub mod challenge;
pub mod claims;
pub mod clock;
pub mod cookies;
pub mod discovery;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod grants;
pub mod http;
pub mod keys;
pub mod login;
pub mod mint;
pub mod policy;
pub mod provider;
pub mod refresh;
pub mod return_to;
pub mod revocation;
pub mod session;
pub mod verify;

#[cfg(test)]
mod testing;
