//! The composition root: what turns settings into a running server.
//!
//! | module | what it holds |
//! |---|---|
//! | [`entry`] | what the `main` functions of the binaries share |
//! | [`server`](mod@server) | [`Server`]: bind, compose, serve, drain |
//! | [`shutdown`] | signals |
//! | `compose` | settings → cluster, spawner, MCP surface, proxy |
//! | `listener` | accept loop, connections, their limits |
//! | `tls` | certificate and key, loaded and reloaded |
//! | `http` | from a hyper request to an answer: proxy first, then the router |
//! | `health` | `/healthz`, `/livez`, `/readyz` |
//! | `auth` | who asks: middleware, sign-in and sign-out, the proxy's guard |
//! | `context_form` | pages on which users give what their MCP clients must not see |
//! | `keys` | what replicas share for sessions: the key, refreshes, sign-outs |
//! | [`endpoints`] | the table of paths that are not the proxy's |
//! | `client` | whose request it is, behind reverse proxies |
//! | `visit` | what is known of a request, for the logs |
//! | `audit` | who did what |
//! | `metrics` | what Prometheus reads |
//! | `rate` | how often somebody may ask |
//! | `site`, `cors` | which `Host` and `Origin` headers are served |
//! | `directory` | the proxy's view of the cluster's index |
//! | `respond` | error answers |
//! | [`permissions`] | `--check-permissions` |
//!
//! # The way of a request
//!
//! A path below `<base>/route/` goes to the proxy before any router or decoder touches it, because the path that was
//! matched must be the path that is forwarded. Everything else goes to one axum router: to add a route, add a row to
//! [`endpoints`] and serve it in `http::router`.

mod audit;
mod auth;
mod client;
mod compose;
mod context_form;
mod cors;
mod directory;
pub mod endpoints;
pub mod entry;
mod error;
mod health;
mod http;
mod keys;
mod landing;
mod limits;
mod listener;
mod logging;
mod metrics;
pub mod permissions;
mod rate;
mod respond;
pub mod server;
pub mod shutdown;
mod site;
mod stdio;
mod tls;
mod urls;
mod visit;

pub use error::Error;
pub use server::{Components, Server};
pub use shutdown::Shutdown;
pub use urls::Urls;
