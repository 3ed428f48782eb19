//! `nocrd-all dev`: the server on an embedded cluster.

use std::{env, path::Path, process::ExitCode, time::Duration};

use nocrd_config::{DevOptions, Settings};
use nocrd_devcluster::{Config, DevCluster, Image, Sandbox};
use nocrd_model::DEFAULT_WORKSPACE_IMAGE;
use nocrd_server::{Components, Error, Server, Shutdown, Urls, entry};
use serde_json::json;
use tokio::time::timeout;

/// How long the cluster may take to stop when somebody is in a hurry.
const HURRY: Duration = Duration::from_secs(2);

/// Starts a cluster, serves on it until a signal or an MCP client ends that, and leaves nothing behind.
pub(crate) async fn run(mut settings: Settings, options: DevOptions) -> Result<ExitCode, entry::Failure> {
    entry::init_logging(&settings)?;
    let shutdown = Shutdown::new();
    // Its processes belong to the terminal, so they end with it.
    let _signals = shutdown.follow_signals(true)?;
    Server::check(&settings).await?;
    let directory = tempfile::Builder::new().prefix("nocrd-dev-").tempdir()?;
    let kubeconfig = options.kubeconfig.clone().unwrap_or_else(|| directory.path().join("kubeconfig"));
    let program = env::current_exe()?;
    let cluster = DevCluster::start(cluster_config(&settings, options, &program, &kubeconfig)).await?;
    settings.kubeconfig = vec![kubeconfig.clone()];
    let (stdio, asks) = (settings.transport.uses_stdio(), settings.auth_enabled);
    let announce = |server: &Server| match server.urls() {
        Some(urls) if !stdio => drop(entry::print(&announcement(urls, &kubeconfig, &program, asks))),
        _ => {}
    };
    let served = match cluster.write_kubeconfig(&kubeconfig) {
        Ok(()) => entry::serve(settings, Components::ALL, shutdown, announce).await.map_err(Into::into),
        Err(error) => Err(entry::Failure::from(error)),
    };
    let hurried =
        served.as_ref().is_err_and(|error| matches!(error.downcast_ref(), Some(Error::Interrupted)));
    let stopped = if hurried {
        timeout(HURRY, cluster.shutdown()).await.unwrap_or(Ok(()))
    } else {
        cluster.shutdown().await
    };
    served?;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

fn cluster_config(settings: &Settings, options: DevOptions, program: &Path, kubeconfig: &Path) -> Config {
    Config {
        bind: (std::net::Ipv4Addr::LOCALHOST, options.api_port).into(),
        data_dir: options.data_dir,
        namespace: settings.namespace.to_string(),
        images: vec![Image::new(DEFAULT_WORKSPACE_IMAGE, [program.as_os_str(), "workspace".as_ref()])],
        sandbox: match options.sandbox {
            nocrd_config::Sandbox::Auto => Sandbox::Auto,
            nocrd_config::Sandbox::Bwrap => Sandbox::Bubblewrap,
            nocrd_config::Sandbox::None => Sandbox::None,
        },
        // It holds the token to the whole cluster.
        hidden: std::path::absolute(kubeconfig).into_iter().collect(),
        ..Config::default()
    }
}

/// What is told at the start; `asks` is whether callers over HTTP need a token.
fn announcement(urls: &Urls, kubeconfig: &Path, program: &Path, asks: bool) -> String {
    let base = urls.local();
    let client = |server: serde_json::Value| json!({ "mcpServers": { "no-crd": server } });
    let url = format!("{base}/mcp");
    let over_http = client(if asks {
        json!({ "type": "http", "url": url, "headers": { "Authorization": "Bearer TOKEN" } })
    } else {
        json!({ "type": "http", "url": url })
    });
    let token = if asks {
        ", with a token for TOKEN, or without the header where it can sign in by itself"
    } else {
        ""
    };
    let over_stdio =
        client(json!({ "command": program, "args": ["dev", "--transport", "both", "--port", "0"] }));
    format!(
        "\
no-crd {version} on an embedded cluster. It is for development: pods run as processes of this machine, and nothing here is
a security boundary.

  MCP          {base}/mcp
  workspaces   {base}/route/<id>/
  kubeconfig   {kubeconfig}

MCP client configuration to use this server{token}:
{over_http}
or to let the client start one of its own:
{over_stdio}

Ctrl-C stops everything.
",
        version = env!("CARGO_PKG_VERSION"),
        kubeconfig = kubeconfig.display(),
    )
}
