//! Measurements of a release build, side by side in one run: machines are noisy, so only the ratios travel.
//!
//! | module | what it measures |
//! |---|---|
//! | [`overview`] | start, memory, spawn and list, requests through the proxy beside direct ones |
//! | [`mcp`] | tools and resources, with few and with many workspaces and pods |
//! | [`proxy`] | the proxy beside nginx, case by case, and whether it keeps within its budgets |
//!
//! The server under measurement is a process of its own; the cluster it works on is that of a second process
//! (`nocrd-all dev`).

mod mcp;
mod measured;
mod overview;
mod proxy;
mod resources;
mod statistics;
mod workspaces;
mod wrk;

use clap::{Args, Subcommand};

use crate::{Result, process, steps::Steps};

/// What is measured: the overview, unless something else is named.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    overview: overview::Options,
}

#[derive(Subcommand)]
enum What {
    /// The MCP server: latency, size and Kubernetes API calls, with few and with many workspaces and pods.
    Mcp(mcp::Options),
    /// The proxy beside nginx, and any other: requests, latency, WebSockets, memory.
    Proxy(proxy::Options),
}

/// Measures, and prints what was seen.
pub(crate) fn run(steps: &mut Steps, bench: &Bench) -> Result {
    match &bench.what {
        None => overview::run(steps, &bench.overview),
        Some(What::Mcp(options)) => mcp::run(steps, options),
        Some(What::Proxy(options)) => proxy::run(steps, options),
    }
}

/// Whether a program is there, or can be installed as a package of Debian's or Ubuntu's.
fn find(program: &str, package: &str, version: &str) -> Result {
    // wrk prints its version and ends with 1.
    let found = || std::process::Command::new(program).arg(version).output().is_ok();
    let install = || {
        process::works(std::process::Command::new("apt-get").args(["install", "--yes", "--quiet", package]))
    };
    if found() || install() && found() {
        return Ok(());
    }
    Err(format!(
        "{program} is not installed; it is a package of Debian and others: apt-get install {package}"
    )
    .into())
}
