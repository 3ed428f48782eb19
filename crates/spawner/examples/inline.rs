//! Spawns a workspace from a pod spec of one's own, with a secret for it and a quota, and shows how an error reads:
//!
//! ```text
//! cargo run --package nocrd-spawner --example inline
//! ```
#![expect(clippy::print_stdout, reason = "an example speaks to a person")]

use std::{error::Error, num::NonZeroU32};

use nocrd_spawner::{Cluster, Config, Source, SpawnRequest, Spawner, Subject, WorkspaceId, cluster};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let kubeconfig = std::env::var_os("KUBECONFIG").iter().flat_map(std::env::split_paths).collect();
    let options = cluster::ConnectOptions { kubeconfig, home: std::env::home_dir(), ..Default::default() };
    let found = cluster::connect(&options).await?;
    let config = cluster::Config::new(cluster::Scope::Cluster, found.namespace.parse()?);
    let cluster = Cluster::start(found.client, config).await?;
    cluster.synced().await;
    let limits = Config { max_workspaces_per_user: NonZeroU32::new(1), ..Config::default() };
    let spawner = Spawner::new(cluster, Default::default(), limits);

    let spec = json!({"containers": [{
        "name": "agent", "image": "busybox", "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", "echo token has ${#TOKEN} characters; sleep 3600"],
    }]});
    let request = |id: &str| -> Result<SpawnRequest, Box<dyn Error>> {
        Ok(SpawnRequest::builder()
            .id(WorkspaceId::parse(id)?)
            .source(Source::Inline(spec.clone()))
            .owner(Subject::new("ada@example.com"))
            .context([("TOKEN", "keep-me-secret")].into_iter().collect())
            .build())
    };
    spawner.spawn(request("first")?).await?;
    match spawner.spawn(request("second")?).await {
        Ok(_) => println!("unexpected: the quota is one"),
        Err(error) => {
            println!("{} ({}): {error}\n  {}", error.code().reason, error.code().id, error.code().remedy)
        }
    }
    spawner.stop(&WorkspaceId::parse("first")?, None, Default::default()).await?;
    Ok(())
}
