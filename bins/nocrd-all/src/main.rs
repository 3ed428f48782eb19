//! All of no-crd in one program: the server, an embedded cluster to try it on, and the default workspace.

mod dev;
mod workspace;

use std::process::ExitCode;

use nocrd_config::{Binary, Command};
use nocrd_server::{Components, entry};

/// Serves many small, short-lived allocations from many threads better than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // With two providers in one program no TLS client could be built. It fails when it was done before, which is as well.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    entry::main(Binary::All, |command| async {
        match command {
            Command::Dev(settings, options) => dev::run(*settings, options).await,
            Command::Workspace(options) => workspace::run(options).await,
            other => entry::run(other, Components::ALL).await,
        }
    })
}
