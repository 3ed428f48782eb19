//! Tools and resources, with few workspaces and pods in the index and then with many, in one run: what a caller waits for,
//! how much comes, and what it costs the Kubernetes API.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::sleep};

use super::{
    measured::Measured,
    overview::idle_workspace,
    statistics::{milliseconds, percentile},
    workspaces::{Api, Workspace},
};
use crate::{
    Result,
    demo::{Client, Server, build},
    steps::Steps,
};

/// Of each, for the column that others are compared with.
const FEW: u32 = 10;
/// Spawns that wait take seconds each.
const WAITING: usize = 5;
/// How long the server may take to hear of what was made.
const PATIENCE: Duration = Duration::from_secs(60);
const OWNER: &str = "bench";

#[derive(Args)]
pub(super) struct Options {
    /// Workspaces, and as many other pods, in the index for the second column.
    #[arg(long, default_value_t = 1_000)]
    workspaces: u32,
    /// How often each operation is timed.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Measure a debug build, which shows that all works; its numbers say little.
    #[arg(long)]
    debug: bool,
}

/// An operation, of which there may be many.
struct Operation {
    name: &'static str,
    method: &'static str,
    params: fn(usize) -> Value,
    calls: usize,
}

/// What was seen of one.
struct Seen {
    name: &'static str,
    median: f64,
    tail: f64,
    bytes: usize,
    /// Requests to the Kubernetes API for each call.
    api_calls: f64,
}

/// Measures, and prints what was seen.
pub(super) fn run(steps: &mut Steps, options: &Options) -> Result {
    let profile = if options.debug { "debugging" } else { "release" };
    let program = steps.step(&format!("build nocrd-all for {profile}"), || build(!options.debug))?;
    let runtime = Runtime::new()?;
    let cluster = steps.step("start an embedded cluster", || runtime.block_on(Server::start(&program)))?;
    let measured = steps.step("measure", || runtime.block_on(measure(&program, &cluster, options)));
    let stopped = steps.step("stop the cluster", || runtime.block_on(cluster.stop()));
    measured.and(stopped)
}

async fn measure(program: &str, cluster: &Server, options: &Options) -> Result {
    let api = Api::connect(&cluster.kubeconfig())?;
    let server = Measured::start(program, &cluster.kubeconfig(), &[]).await?;
    let mut client = Client::connect(&format!("{}/mcp", server.base())).await?;
    let many = options.workspaces.max(FEW);
    fill(&api, 0..FEW).await?;
    knows(&mut client, FEW).await?;
    let few = all(&server, &mut client, options.calls).await?;
    fill(&api, FEW..many).await?;
    knows(&mut client, many).await?;
    let with_many = all(&server, &mut client, options.calls).await?;
    print(&few, &with_many, many);
    server.stop().await
}

/// Adds workspaces and as many other pods, which nobody visits.
async fn fill(api: &Api, numbers: std::ops::Range<u32>) -> Result {
    api.create_raw(OWNER, numbers.clone().map(|number| format!("raw-{number}"))).await?;
    let workspace = |number| Workspace { id: format!("w-{number}"), owner: OWNER.to_owned(), port: None };
    api.create(numbers.map(workspace)).await
}

/// Waits until the server knows so many workspaces and as many other pods.
async fn knows(client: &mut Client, count: u32) -> Result {
    let start = Instant::now();
    loop {
        let page = client.call_tool("list_pods", json!({ "limit": 1 })).await?;
        if page["total"] == 2 * count {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("the server does not get to know {count} workspaces and pods: {page}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn all(server: &Measured, client: &mut Client, calls: usize) -> Result<Vec<Seen>> {
    let tool = "tools/call";
    let operations = [
        Operation {
            name: "list_workspaces",
            method: tool,
            params: |_| json!({ "name": "list_workspaces", "arguments": {} }),
            calls,
        },
        Operation {
            name: "list_pods",
            method: tool,
            params: |_| json!({ "name": "list_pods", "arguments": {} }),
            calls,
        },
        Operation {
            name: "get_workspace",
            method: tool,
            params: |_| json!({ "name": "get_workspace", "arguments": { "id": "w-7" } }),
            calls,
        },
        Operation { name: "resources/list", method: "resources/list", params: |_| json!({}), calls },
        Operation {
            name: "spawn_workspace",
            method: tool,
            params: |number| json!({ "name": "spawn_workspace", "arguments": idle_workspace(number) }),
            calls,
        },
        Operation { name: "spawn_workspace, wait", method: tool, params: waiting, calls: WAITING },
    ];
    let mut seen = Vec::new();
    for operation in operations {
        seen.push(one(server, client, &operation).await?);
    }
    // The second column begins with none of them, either.
    let ids = (0..calls).map(|number| format!("idle-{number}"));
    for id in ids.chain((0..WAITING).map(waiting_id)) {
        client.call_tool("stop_workspace", json!({ "id": id })).await?;
        while !is_gone(client, &id).await? {
            sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(seen)
}

async fn one(server: &Measured, client: &mut Client, operation: &Operation) -> Result<Seen> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    let before = server.counts().await?.api_calls;
    for number in 0..operation.calls {
        let params = (operation.params)(number);
        let start = Instant::now();
        let result = client.request(operation.method, params).await?;
        times.push(milliseconds(start.elapsed()));
        if result["isError"] == true {
            return Err(format!("{} failed: {result}", operation.name).into());
        }
        bytes = result.to_string().len();
    }
    let api_calls = server.counts().await?.api_calls - before;
    #[expect(clippy::cast_precision_loss, reason = "both are small")]
    let api_calls = api_calls as f64 / operation.calls.max(1) as f64;
    let (median, tail) = (percentile(&times, 50.0), percentile(&times, 99.0));
    Ok(Seen { name: operation.name, median, tail, bytes, api_calls })
}

async fn is_gone(client: &mut Client, id: &str) -> Result<bool> {
    let params = json!({ "name": "get_workspace", "arguments": { "id": id } });
    let result = client.request("tools/call", params).await?;
    Ok(result["structuredContent"]["error"]["code"] == 404)
}

fn waiting_id(number: usize) -> String {
    format!("waiting-{number}")
}

fn waiting(number: usize) -> Value {
    let arguments =
        json!({ "id": waiting_id(number), "templateRef": "default-agent-workspace", "wait": true });
    json!({ "name": "spawn_workspace", "arguments": arguments })
}

fn print(few: &[Seen], many: &[Seen], count: u32) {
    println!("{FEW} workspaces and {FEW} other pods beside {count} of each; ratios are those of the medians");
    println!(
        "{:<22} {:>9} {:>9} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6} {:>6}",
        "", "p50 ms", "p99 ms", "p50 ms", "p99 ms", "ratio", "bytes", "bytes", "calls", "calls"
    );
    for (few, many) in few.iter().zip(many) {
        let ratio = many.median / few.median;
        println!(
            "{:<22} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {ratio:>6.2} {:>9} {:>9} {:>6.2} {:>6.2}",
            few.name,
            few.median,
            few.tail,
            many.median,
            many.tail,
            few.bytes,
            many.bytes,
            few.api_calls,
            many.api_calls
        );
    }
}
