//! The reverse proxy of no-crd: `<base>/route/<id>/<path>` goes to the pod of workspace `<id>`.
//!
//! A request passes one pipeline, in this order:
//!
//! 1. **parse** ([`path`]): which workspace, which path, and whether every reader of that path reads the same;
//! 2. **authenticate** ([`Guard`], [`Visitor`]): who asks;
//! 3. **resolve** ([`WorkspaceDirectory`], [`Target`]): the pod, and the port its path belongs to;
//! 4. **authorise** ([`Guard::may_reach`]): what they may not reach does not exist for them;
//! 5. **clean** the request's headers: what only this proxy may say is deleted, then said;
//! 6. **forward** over a pooled connection, or **tunnel** a WebSocket;
//! 7. **clean** the response: a workspace can't speak for the site it shares with others.
//!
//! The path that was matched is the path that is forwarded, byte for byte. Bodies are streamed both ways, never
//! buffered, never decompressed; a slow reader slows the writer down.
//!
//! The crate knows neither Kubernetes nor the rest of the server: the embedding server implements
//! [`WorkspaceDirectory`] and [`Guard`], and calls [`Proxy::handle`] from its own hyper service for each request that
//! [`Proxy::matches`].

mod address;
mod base_path;
mod body;
mod config;
mod directory;
mod drain;
mod endpoint;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod guard;
mod headers;
pub mod path;
mod peer;
mod progress;
mod proxy;
mod received;
mod respond;
mod second_look;
mod upstream;
mod websocket;

pub use address::AddressPolicy;
pub use base_path::{BasePath, InvalidBasePath};
pub use body::{Body, BoxError};
pub use config::Config;
pub use directory::{Lookup, Place, Pod, Target, WorkspaceDirectory};
pub use drain::Drain;
pub use endpoint::AuthEndpoint;
pub use error::Error;
pub use guard::{Bounded, BoxFuture, Ended, Guard, Stay, Unknown, Visitor};
pub use peer::Peer;
pub use progress::{NotReady, Progress};
pub use proxy::Proxy;
pub use received::Received;
pub use respond::{ErrorPages, Failure, RenderError, Wants, page};
pub use websocket::OriginPolicy;
