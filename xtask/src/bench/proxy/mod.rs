//! The proxy beside nginx, and beside any other: the same pods behind all, the same load, in turn. Latencies are also those
//! of requests straight to the pods.
//!
//! | module | what it does |
//! |---|---|
//! | [`world`] | what is measured, and what it takes: pods, nginx, the servers |
//! | [`nginx`], [`tokens`] | how those are made |
//! | [`bare`] | the library that the proxy is made of, by itself |
//! | [`rates`] | as many requests as are answered |
//! | [`pace`] | latency at a constant rate |
//! | [`sockets`] | WebSockets |
//! | [`table`], [`budgets`] | what is printed |

mod bare;
mod budgets;
mod nginx;
mod pace;
mod rates;
mod sockets;
mod table;
mod tokens;
mod world;

use std::time::{Duration, Instant};

use clap::Args;
use tokio::{runtime::Runtime, time::sleep};

use self::{
    budgets::Budgets,
    pace::Pace,
    table::Table,
    world::{Access, Servers, World},
};
use super::{
    measured::Counts,
    resources,
    statistics::{median, milliseconds, percentile},
    wrk,
};
use crate::{
    Result,
    demo::{Server, build},
    process::{self, cargo},
    steps::Steps,
};

/// Requests in a second, where latency is measured.
const RATE: u32 = 1000;
/// WebSockets that echo at a time.
const ECHOES: usize = 64;
/// Files a process has open besides the two sockets of each tunnel.
const OTHER_FILES: u64 = 100;
/// How long idle WebSockets are left alone before memory is looked at.
const REST: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct Options {
    /// How often each case is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Workspaces in the index for the second half.
    #[arg(long, default_value_t = 10_000)]
    workspaces: u32,
    /// WebSockets that are open and idle; fewer where the system does not let a process have that many.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// A short run of every case, which shows that all works; its numbers say little.
    #[arg(long)]
    quick: bool,
    /// Another proxy to measure: the URL below which it serves what the pods serve, `/1k` and `/1m`. May be repeated.
    #[arg(long = "url", value_name = "NAME=URL", value_parser = other)]
    others: Vec<Other>,
    /// Port of the pods, for another proxy to be told of before; any free one, unless given.
    #[arg(long)]
    pod_port: Option<u16>,
}

/// Another proxy.
#[derive(Debug, Clone, PartialEq)]
struct Other {
    name: String,
    /// Without a slash at the end.
    url: String,
}

fn other(text: &str) -> std::result::Result<Other, String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && url.starts_with("http://") => {
            Ok(Other { name: name.to_owned(), url: url.trim_end_matches('/').to_owned() })
        }
        _ => Err("not NAME=http://…".to_owned()),
    }
}

impl Options {
    /// With what `--quick` makes smaller.
    fn sized(&self) -> Sizes {
        let Self { rounds, seconds, workspaces, sockets, quick, .. } = *self;
        if quick {
            return Sizes {
                rounds: 1,
                seconds: 1,
                workspaces: workspaces.min(200),
                sockets: sockets.min(300),
            };
        }
        Sizes { rounds: rounds.max(1), seconds: seconds.max(1), workspaces, sockets }
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    rounds: usize,
    seconds: u32,
    workspaces: u32,
    sockets: usize,
}

/// Measures, and prints what was seen. Slowness is no failure.
pub(super) fn run(steps: &mut Steps, options: &Options) -> Result {
    if cfg!(debug_assertions) {
        // The load must not be what is slow.
        let arguments = std::env::args_os().skip(1);
        let mut itself = cargo();
        itself.args(["run", "--quiet", "--release", "--package=xtask", "--"]).args(arguments);
        return process::run(&mut itself);
    }
    let program = steps.step("build nocrd-all for release", || build(true))?;
    steps.step("find wrk and nginx", || wrk::check().and_then(|()| nginx::check()))?;
    let files = resources::raise_open_files();
    let runtime = Runtime::new()?;
    let cluster = steps.step("start an embedded cluster", || runtime.block_on(Server::start(&program)))?;
    let measured = steps.step("measure", || {
        runtime.block_on(async {
            let world = World::start(&program, cluster.kubeconfig(), options).await?;
            measure(&world, options.sized(), files).await
        })
    });
    let stopped = steps.step("stop the cluster", || runtime.block_on(cluster.stop()));
    measured.and(stopped)
}

async fn measure(world: &World, sizes: Sizes, files: u64) -> Result {
    let mut budgets = Budgets::default();
    let mut rates = Table::new("requests per second", world.columns()).with_ratios();
    let mut costs =
        Table::new("processor time of the proxy for a request, µs", vec!["nginx".into(), "no-crd".into()])
            .with_ratios();
    let mut counts = Counts::default();

    let servers = Servers::start(world).await?;
    budgets.at_most("start to ready", servers.started_in, 100.0, "ms");
    budgets.at_most("memory, idle", servers.guarded.resident_mib()?, 20.0, "MiB");
    rates::measure(world, &servers, sizes, "1 workspace", (&mut rates, &mut costs), &mut counts).await?;
    budgets.at_least(
        "by session cookie, 1 workspace",
        rates::of_session(&rates, "1 workspace"),
        1.0,
        "× nginx",
    );
    servers.stop().await?;

    let start = Instant::now();
    world.fill(sizes.workspaces).await?;
    println!("{} workspaces made in {:.1} s", sizes.workspaces, start.elapsed().as_secs_f64());
    let start = Instant::now();
    let servers = Servers::start(world).await?;
    servers.guarded.knows(sizes.workspaces.into()).await?;
    servers.open.knows(sizes.workspaces.into()).await?;
    println!("two servers have started and indexed them after {:.0} ms", milliseconds(start.elapsed()));
    let label = format!("{} workspaces", sizes.workspaces);
    budgets.at_most(&format!("memory, {label}"), servers.guarded.resident_mib()?, 80.0, "MiB");
    rates::measure(world, &servers, sizes, &label, (&mut rates, &mut costs), &mut counts).await?;
    budgets.at_least(
        &format!("by session cookie, {label}"),
        rates::of_session(&rates, &label),
        1.0,
        "× nginx",
    );
    println!(
        "\n{} calls of the Kubernetes API while {} requests were proxied",
        counts.api_calls, counts.proxied
    );
    #[expect(clippy::cast_precision_loss, reason = "not that many")]
    let calls = counts.api_calls as f64 / counts.proxied.max(1) as f64;
    // The server may ask for something of its own meanwhile.
    budgets.at_most("API calls for a request", (calls * 1000.0).round() / 1000.0, 0.0, "");
    print!("\n{rates}\n{costs}");

    let added = latency(world, &servers, sizes).await?;
    budgets.below(&format!("added p99 at {RATE} requests/s"), added, 1.0, "ms");
    echo(world, &servers, sizes).await?;
    idle_sockets(world, &servers, sizes, files, &mut budgets).await?;
    servers.stop().await?;
    print!("\n{budgets}");
    Ok(())
}

/// The latency at a constant rate; tells how much the proxy adds to the 99th percentile, in milliseconds.
async fn latency(world: &World, servers: &Servers, sizes: Sizes) -> Result<f64> {
    let session = servers.headers(Access::Session)?;
    let mut ways = vec![(world.pod_url("1k"), &[][..]), (world.nginx_url("1k"), &[])];
    ways.push((servers.url(Access::Session, "1k"), &session));
    ways.push((world.bare_url("1k"), &[]));
    ways.extend(world.others().map(|other| (format!("{}/1k", other.url), &[][..])));
    let mut seen = vec![(Vec::new(), Vec::new()); ways.len()];
    for _ in 0..sizes.rounds {
        for ((url, headers), (p50, p99)) in ways.iter().zip(&mut seen) {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let pace = Pace { rate: RATE, seconds: 2 * sizes.seconds };
            let times = pace::latencies(url, &headers, pace).await?;
            p50.push(percentile(&times, 50.0));
            p99.push(percentile(&times, 99.0));
        }
    }
    let p50: Vec<f64> = seen.iter().map(|(p50, _)| median(p50)).collect();
    let p99: Vec<f64> = seen.iter().map(|(_, p99)| median(p99)).collect();
    let direct = p99.first().copied().unwrap_or_default();
    let added: Vec<f64> = p99.iter().map(|p99| p99 - direct).collect();
    let ours = added.get(2).copied().unwrap_or(f64::NAN);
    let mut table =
        Table::new(&format!("latency at {RATE} requests/s, by session cookie, 1k, ms"), world.columns());
    table.row("median", p50);
    table.row("99th percentile", p99);
    table.row("added to the 99th percentile", added);
    print!("\n{table}");
    Ok(ours)
}

/// Messages over WebSockets.
async fn echo(world: &World, servers: &Servers, sizes: Sizes) -> Result {
    world.echo_workspaces(&servers.guarded).await?;
    let sessions = servers.echo_sessions(1).await?;
    let ways = [
        world.echo_direct(ECHOES),
        (0..ECHOES).map(|_| world.echo_through_nginx(0)).collect(),
        servers.echo_ways(&sessions, ECHOES),
    ];
    let mut seen = [const { Vec::new() }; 3];
    for _ in 0..sizes.rounds {
        for (ways, seen) in ways.iter().zip(&mut seen) {
            seen.push(sockets::echoes_per_second(ways, sizes.seconds).await?);
        }
    }
    let columns = world.columns().into_iter().take(seen.len()).collect();
    let mut table = Table::new("WebSocket messages there and back per second", columns).with_ratios();
    table.row(&format!("{ECHOES} WebSockets, 128 bytes"), seen.iter().map(|seen| median(seen)).collect());
    print!("\n{table}");
    Ok(())
}

/// What WebSockets cost that are open and idle.
async fn idle_sockets(
    world: &World,
    servers: &Servers,
    sizes: Sizes,
    files: u64,
    budgets: &mut Budgets,
) -> Result {
    let room = usize::try_from(files.saturating_sub(OTHER_FILES) / 2)?;
    let count = sizes.sockets.min(room);
    let all = if count < sizes.sockets {
        format!(", not {}: a process may have {files} files open", sizes.sockets)
    } else {
        String::new()
    };
    let sessions = servers.echo_sessions(World::echo_workspaces_for(count)).await?;

    let nginx = world.nginx.processes()?;
    let before = resources::proportional_mib(&nginx)?;
    let ways: Vec<_> = (0..count).map(|number| world.echo_through_nginx(number)).collect();
    let open = sockets::open(&ways).await?;
    sleep(REST).await;
    let peer = resources::proportional_mib(&nginx)?;
    drop(open);

    let idle = servers.guarded.resident_mib()?;
    let open = sockets::open(&servers.echo_ways(&sessions, count)).await?;
    sleep(REST).await;
    let ours = servers.guarded.resident_mib()?;
    drop(open);

    let mut table = Table::new(
        &format!("memory with {count} idle WebSockets{all}, MiB"),
        vec!["nginx".into(), "no-crd".into()],
    );
    table.row("before", vec![before, idle]);
    table.row("open", vec![peer, ours]);
    print!("\n{table}");
    budgets.at_most(&format!("memory, {count} idle WebSockets"), ours, 300.0, "MiB");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_proxies_have_a_name_and_a_url() {
        let expected = Other { name: "envoy".to_owned(), url: "http://127.0.0.1:1/route/a".to_owned() };
        assert_eq!(other("envoy=http://127.0.0.1:1/route/a/"), Ok(expected));
        for wrong in ["envoy", "=http://a", "a=https://b", "a="] {
            assert!(other(wrong).is_err(), "{wrong}");
        }
    }
}
