//! `nocrd-conformance dev`: the server of `nocrd-all dev`, and beside what the product serves the [`fixtures`] which the
//! conformance suite of the Model Context Protocol expects of a server under test. Transports, middleware and handlers are
//! the product's. Nothing here ships.

mod fixtures;

use std::{process::ExitCode, sync::Arc};

use nocrd_config::{Binary, Command, DevOptions, Settings};
use nocrd_devcluster::{Config, DevCluster};
use nocrd_server::{Components, Server, Shutdown, entry};

use fixtures::Fixtures;

fn main() -> ExitCode {
    // It fails when it was done before, which is as well.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    entry::main(Binary::All, |command| async {
        match command {
            Command::Dev(settings, options) => dev(*settings, options).await,
            _ => Err("the only command is `dev`".into()),
        }
    })
}

/// Starts a cluster in which no pod runs, and serves on it until a signal ends that.
async fn dev(mut settings: Settings, options: DevOptions) -> Result<ExitCode, entry::Failure> {
    entry::init_logging(&settings)?;
    let shutdown = Shutdown::new();
    let _signals = shutdown.follow_signals(true)?;
    let directory = tempfile::Builder::new().prefix("nocrd-conformance-").tempdir()?;
    let kubeconfig = options.kubeconfig.unwrap_or_else(|| directory.path().join("kubeconfig"));
    let cluster = DevCluster::start(Config {
        namespace: settings.namespace.to_string(),
        run_pods: false,
        ..Config::default()
    })
    .await?;
    cluster.write_kubeconfig(&kubeconfig)?;
    settings.kubeconfig = vec![kubeconfig];
    let server = Server::bind(settings, Components::ALL).await?;
    server.with_extension(Arc::new(Fixtures::new()?)).serve(shutdown).await?;
    cluster.shutdown().await?;
    Ok(ExitCode::SUCCESS)
}
