//! What the tests of this workspace share. Nothing here ships: other crates use it as a dev-dependency.
//!
//! - [`Idp`] is an identity provider on a loopback port of its own: OpenID discovery, keys that rotate, code flow with
//!   PKCE, refresh tokens that rotate, introspection, revocation, sign-out. It signs the [`User`] in whom the test has
//!   chosen, without a form; it counts what it is asked for; and it fails as it is told ([`Fault`]).
//! - [`key`] has signing keys of every kind, made once for a process, and forges tokens.
//! - [`Jar`] keeps cookies as a browser does, and [`Written`] what a log writes.
//!
//! ```no_run
//! # async fn example() {
//! use nocrd_testkit::{Idp, User};
//! use serde_json::json;
//!
//! let idp = Idp::start().await;
//! idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
//! // … tell the server under test that `idp.issuer()` is its AUTH_ISSUER …
//! let token = idp.token(json!({ "sub": "bob", "scope": "nogoo9:read" }));
//! # let _ = token;
//! assert_eq!(idp.counts().refresh_grants, 0);
//! # }
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "for tests only: what goes wrong here fails the test"
)]

pub mod idp;
mod jar;
pub mod key;
mod written;

pub use idp::{Client, Config, Counts, Endpoint, Fault, Idp, TokenForm, User};

pub use jar::Jar;
pub use key::{Algorithm, SigningKey};
pub use written::Written;
