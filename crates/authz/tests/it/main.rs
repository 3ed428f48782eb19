//! Signing in, staying in and signing out, against an identity provider.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, which what they share does not have"
)]

mod sign_in;
mod world;
