//! Spawns a workspace, waits until it is ready, lists, and stops it, against the current kubeconfig:
//!
//! ```text
//! cargo run --package nocrd-spawner --example lifecycle -- [workspace id]
//! ```
#![expect(clippy::print_stdout, reason = "an example speaks to a person")]

use std::{error::Error, time::Duration};

use nocrd_spawner::{Cluster, SpawnRequest, Spawner, TemplateRef, WaitOptions, WorkspaceId, cluster};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let id = WorkspaceId::parse(&std::env::args().nth(1).unwrap_or_else(|| "example".into()))?;
    let kubeconfig = std::env::var_os("KUBECONFIG").iter().flat_map(std::env::split_paths).collect();
    let options = cluster::ConnectOptions { kubeconfig, home: std::env::home_dir(), ..Default::default() };
    let found = cluster::connect(&options).await?;
    println!("connected to {} by {}", found.server, found.source);
    let config = cluster::Config::new(cluster::Scope::Cluster, found.namespace.parse()?);
    let cluster = Cluster::start(found.client, config).await?;
    cluster.synced().await;
    let spawner = Spawner::new(cluster, Default::default(), Default::default());

    let source: TemplateRef = "default-agent-workspace".parse()?;
    let spawned = spawner.spawn(SpawnRequest::builder().id(id.clone()).source(source).build()).await?;
    println!("pod {}/{}", spawned.namespace, spawned.pod_name);

    let options = WaitOptions { timeout: Duration::from_secs(120), ..WaitOptions::default() };
    let waited =
        spawner.wait_ready(&id, None, options, |step| println!("  {}. {}", step.step, step.message)).await;
    for workspace in spawner.list(&Default::default())?.items {
        println!("{}  {}  {}", workspace.id(), workspace.status(), workspace.owner());
    }
    spawner.stop(&id, None, Default::default()).await?;
    let workspace = waited?;
    println!("{} was ready at {:?}; stopping", workspace.id(), workspace.pod().ip);
    Ok(())
}
