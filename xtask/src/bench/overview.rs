//! Start, memory, spawn and list, and requests through the proxy beside direct ones.

use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    measured::Measured,
    statistics::{median, milliseconds, spread},
    wrk::{self, Load},
};
use crate::{
    Result,
    demo::{Client, Server, build},
    steps::Steps,
};

/// Starts that are timed.
const STARTS: usize = 5;
/// Workspaces in the index for the second half.
const WORKSPACES: usize = 1_000;
/// Calls that are timed for a latency.
const CALLS: usize = 100;

/// Seconds of one round.
const SECONDS: u32 = 5;

#[derive(Args)]
pub(super) struct Options {
    /// How often each rate is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Measures, and prints what was seen.
pub(super) fn run(steps: &mut Steps, options: &Options) -> Result {
    let rounds = options.rounds;
    let program = steps.step("build nocrd-all for release", || build(true))?;
    steps.step("find the load generator", wrk::check)?;
    let runtime = Runtime::new()?;
    let cluster = steps.step("start an embedded cluster", || runtime.block_on(Server::start(&program)))?;
    let measured = steps.step("measure", || runtime.block_on(measure(&program, &cluster, rounds)));
    let stopped = steps.step("stop the cluster", || runtime.block_on(cluster.stop()));
    measured.and(stopped)
}

async fn measure(program: &str, cluster: &Server, rounds: usize) -> Result {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let server = Measured::start(program, &cluster.kubeconfig(), &[]).await?;
        starts.push(server.started_in());
        server.stop().await?;
    }
    println!("start to ready        {}", spread(&starts));

    let server = Measured::start(program, &cluster.kubeconfig(), &[]).await?;
    println!("memory, idle          {:.1} MiB resident", server.resident_mib()?);
    let mut client = Client::connect(&format!("{}/mcp", server.base())).await?;
    let arguments = json!({"id": "bench", "templateRef": "default-agent-workspace", "wait": true});
    client.call_tool("spawn_workspace", arguments).await?;
    let workspace = client.call_tool("get_workspace", json!({"id": "bench"})).await?;
    let pod = workspace["podIP"].as_str().ok_or("the workspace has no address")?.to_owned();
    compare(&pod, server.base(), rounds).await?;

    let mut spawns = Vec::new();
    for number in 0..WORKSPACES {
        spawns.push(timed(&mut client, "spawn_workspace", idle_workspace(number)).await?);
    }
    println!("spawn                 {}", spread(&spawns));
    let mut lists = Vec::new();
    for _ in 0..CALLS {
        lists.push(timed(&mut client, "list_workspaces", json!({})).await?);
    }
    println!("list, first page      {}", spread(&lists));
    println!("memory, {WORKSPACES} indexed  {:.1} MiB resident", server.resident_mib()?);
    compare(&pod, server.base(), rounds).await?;
    server.stop().await
}

/// Requests per second straight to the pod and through the proxy, in turn.
async fn compare(pod: &str, base: &str, rounds: usize) -> Result {
    let direct_url = format!("http://{pod}:5678/healthz");
    let proxied_url = format!("{base}/route/bench/healthz");
    let (mut direct, mut proxied) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (url, rates) in [(&direct_url, &mut direct), (&proxied_url, &mut proxied)] {
            let load = Load { url, seconds: SECONDS, headers: &[], script: None };
            rates.push(wrk::send(&load).await?.per_second);
        }
    }
    let (direct, proxied) = (median(&direct), median(&proxied));
    println!("direct {direct:.0} req/s, proxied {proxied:.0} req/s: {:.2} of direct", proxied / direct);
    Ok(())
}

/// A workspace that no node takes, so that it costs the machine nothing.
pub(super) fn idle_workspace(number: usize) -> Value {
    json!({
        "id": format!("idle-{number}"),
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": "nowhere"},
            "containers": [{"name": "idle", "image": "busybox", "command": ["sleep", "1"]}],
        },
    })
}

async fn timed(client: &mut Client, tool: &str, arguments: Value) -> Result<f64> {
    let start = Instant::now();
    client.call_tool(tool, arguments).await?;
    Ok(milliseconds(start.elapsed()))
}
