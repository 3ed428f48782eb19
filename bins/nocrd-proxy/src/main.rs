//! The proxy to the workspaces of no-crd, without the MCP server.

use std::process::ExitCode;

use nocrd_config::Binary;
use nocrd_server::{Components, entry};

/// Serves many small, short-lived allocations from many threads better than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // With two providers in one program no TLS client could be built. It fails when it was done before, which is as well.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    entry::main(Binary::Proxy, |command| entry::run(command, Components::PROXY))
}
