//! `nocrd-all workspace`: what a pod of the default template runs.

use std::{path::Path, process::ExitCode};

use nocrd_config::{Lookup, ProcessEnv, WorkspaceOptions};
use nocrd_server::{Shutdown, entry};
use nocrd_workspace::Config;

/// Serves the workspace until a signal ends it.
pub(crate) async fn run(options: WorkspaceOptions) -> Result<ExitCode, entry::Failure> {
    let mut config = Config::from_lookup(&|name| ProcessEnv.get(name))?;
    config.addr = options.addr;
    if options.root != Path::new(".") {
        config.root = options.root;
    }
    let shutdown = Shutdown::new();
    let _signals = shutdown.follow_signals(false)?;
    nocrd_workspace::run(config, shutdown.requested.cancelled()).await?;
    Ok(ExitCode::SUCCESS)
}
