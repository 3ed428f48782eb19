//! The main job, end to end, as an agent and a browser would do it: spawn a workspace through MCP on the embedded cluster,
//! reach it through the proxy, stop it, and leave no process behind.

mod mcp;
mod processes;
mod route;
mod server;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use crate::{Result, process::cargo, process::output, steps::Steps};
pub(crate) use mcp::Client;
pub(crate) use server::{Server, address};

/// The workspace's id and the template it is made from.
const WORKSPACE: &str = "demo";
const TEMPLATE: &str = "default-agent-workspace";
/// How long a state that is on its way may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demo; without `once` it stays up until it is interrupted.
pub(crate) fn run(steps: &mut Steps, once: bool) -> Result {
    let program = steps.step("build nocrd-all", || build(false))?;
    let runtime = Runtime::new()?;
    let mut server = steps.step("start the server on an embedded cluster", || {
        runtime.block_on(unless_interrupted(Server::start(&program)))
    })?;
    let shown = show(steps, &runtime, &mut server, once);
    let stopped = steps.step("stop the server; no process is left", || runtime.block_on(server.stop()));
    shown.and(stopped)
}

/// Builds the program and tells where it is.
pub(crate) fn build(release: bool) -> Result<String> {
    let mut cargo = cargo();
    cargo.args(["build", "--package=nocrd-all", "--message-format=json-render-diagnostics"]);
    cargo.args(release.then_some("--release"));
    let messages = output(&mut cargo)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "nocrd-all")
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .ok_or_else(|| "cargo names no executable of nocrd-all".into())
}

fn show(steps: &mut Steps, runtime: &Runtime, server: &mut Server, once: bool) -> Result {
    let base = server.base().to_owned();
    let mut client = steps.step("connect an MCP client", || {
        runtime.block_on(unless_interrupted(async {
            let client = Client::connect(&format!("{base}/mcp")).await?;
            println!("server: {}", client.server());
            Ok(client)
        }))
    })?;
    steps.step("spawn a workspace and wait until it is ready", || {
        runtime.block_on(unless_interrupted(spawn(&mut client)))?;
        server.note_processes()
    })?;
    steps.step("fetch its page through the proxy", || {
        runtime.block_on(unless_interrupted(route::fetch(&base, WORKSPACE)))
    })?;
    steps.step("echo over a WebSocket through the proxy", || {
        runtime.block_on(unless_interrupted(route::echo(&base, WORKSPACE)))
    })?;
    if !once {
        print_addresses(server);
        runtime.block_on(until_interrupted(server))?;
        println!();
    }
    steps.step("stop the workspace", || runtime.block_on(stop(&mut client)))
}

async fn spawn(client: &mut Client) -> Result {
    let arguments = json!({ "id": WORKSPACE, "templateRef": TEMPLATE, "wait": true });
    let reply = client.call_tool("spawn_workspace", arguments).await?;
    println!("spawned: {reply}");
    let workspace = client.call_tool("get_workspace", json!({ "id": WORKSPACE })).await?;
    match workspace["status"].as_str() {
        Some("Running") => Ok(()),
        other => Err(format!("the workspace's status is {other:?}, not Running: {workspace}").into()),
    }
}

async fn stop(client: &mut Client) -> Result {
    // Whoever looked around may have stopped it.
    if !listed(client).await? {
        return Ok(());
    }
    client.call_tool("stop_workspace", json!({ "id": WORKSPACE })).await?;
    let deadline = Instant::now() + PATIENCE;
    while listed(client).await? {
        if Instant::now() > deadline {
            return Err("the workspace is still there".into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Whether the workspace is there.
async fn listed(client: &mut Client) -> Result<bool> {
    let list = client.call_tool("list_workspaces", json!({})).await?;
    let workspaces = list["workspaces"].as_array().ok_or_else(|| format!("no list of workspaces: {list}"))?;
    Ok(workspaces.iter().any(|workspace| workspace["id"] == WORKSPACE))
}

fn print_addresses(server: &Server) {
    let base = server.base();
    let config = json!({ "mcpServers": { "no-crd": { "type": "http", "url": format!("{base}/mcp") } } });
    println!("\nworkspace    {base}/route/{WORKSPACE}/");
    println!("MCP          {base}/mcp");
    println!("kubeconfig   {}", server.kubeconfig().display());
    println!("\nMCP client configuration:\n{config:#}");
    println!("\nkubectl --kubeconfig {} get pods", server.kubeconfig().display());
    println!("\nCtrl-C stops everything.");
}

async fn until_interrupted(server: &mut Server) -> Result {
    tokio::select! {
        () = interrupted() => Ok(()),
        status = server.died() => Err(format!("the server ended by itself: {status}").into()),
    }
}

/// Lets an interrupt end a step, so that what was started is stopped.
async fn unless_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = interrupted() => Err("interrupted".into()),
    }
}

async fn interrupted() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        // Without the one signal there is still the other.
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
