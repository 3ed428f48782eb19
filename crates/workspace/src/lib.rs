//! The default workspace: what `nocrd-all workspace` runs inside a pod.
//!
//! A small HTTP server with nothing to configure, so that a workspace can be seen, measured and talked to before
//! anybody has built an image of their own:
//!
//! | path | what |
//! |---|---|
//! | `/` | a page that tells where one is, and a box to try a WebSocket |
//! | `/echo`, `/echo/…` | any request, described as JSON; a WebSocket that sends back what it gets |
//! | `/stats` | processor, memory, disk and uptime, in the form the dashboard's cards read |
//! | `/last_activity` | when somebody last used the workspace, as Unix time in seconds |
//! | `/healthz` | `ok` |
//!
//! It is served under a prefix (`/route/<id>/`), so the page refers to all of these relatively.
//!
//! ```no_run
//! # async fn example() -> Result<(), nocrd_workspace::Error> {
//! let config = nocrd_workspace::Config::from_lookup(&|name| std::env::var(name).ok())?;
//! nocrd_workspace::run(config, std::future::pending()).await
//! # }
//! ```

mod activity;
mod app;
mod config;
mod echo;
mod error;
mod page;
mod serve;
mod socket;
mod stats;

pub use config::Config;
pub use error::Error;
pub use serve::{run, serve};
