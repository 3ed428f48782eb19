//! What the workspace uses: of its container where control groups (version 2) tell, else of this one process.

mod source;
mod units;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Map, Value};

use source::Source;
use units::{bytes, duration};

/// Shortest time over which processor use is averaged.
const WINDOW: Duration = Duration::from_secs(1);

/// A measurement. The member `stats` is for people: the dashboard's card of a workspace shows its labels and texts.
/// The others are for programs; what can't be measured is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    stats: Map<String, Value>,
    /// What `cpu` and `memory` are of.
    scope: Scope,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    disk: Option<Disk>,
    uptime_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    Container,
    Process,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    /// Processor time used since the start.
    seconds: f64,
    /// Average of the last seconds, in processors: 1 keeps one of them busy.
    cores: Option<f64>,
    limit_cores: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Memory {
    /// What can't be taken back without harm, as the kubelet counts it.
    pub(super) used_bytes: u64,
    pub(super) limit_bytes: Option<u64>,
}

/// The file system that holds the workspace's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disk {
    pub(super) total_bytes: u64,
    /// What a user who is not the administrator can still write.
    pub(super) available_bytes: u64,
}

/// Measures, and remembers as much as it takes to tell a rate.
#[derive(Debug)]
pub(crate) struct Sampler {
    source: Source,
    root: PathBuf,
    started: Instant,
    /// Beginning of the present window.
    since: (Instant, Option<Duration>),
    cores: Option<f64>,
}

impl Sampler {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self::with(Source::detect(), root, Instant::now())
    }

    fn with(source: Source, root: PathBuf, now: Instant) -> Self {
        let since = (now, source.cpu());
        Self { source, root, started: now, since, cores: None }
    }

    pub(crate) fn sample(&mut self, now: Instant) -> Stats {
        let cpu = self.source.cpu().map(|used| {
            self.rate(now, used);
            Cpu { seconds: used.as_secs_f64(), cores: self.cores, limit_cores: self.source.cpu_limit() }
        });
        let memory = self.source.memory();
        let disk = source::disk(&self.root);
        let uptime = now.saturating_duration_since(self.started);
        Stats {
            stats: for_people(cpu.as_ref(), memory, disk, uptime),
            scope: self.source.scope(),
            cpu,
            memory,
            disk,
            uptime_seconds: uptime.as_secs(),
        }
    }

    fn rate(&mut self, now: Instant, used: Duration) {
        let (then, before) = self.since;
        let elapsed = now.saturating_duration_since(then);
        if elapsed < WINDOW {
            return;
        }
        self.cores = before.map(|before| used.saturating_sub(before).as_secs_f64() / elapsed.as_secs_f64());
        self.since = (now, Some(used));
    }
}

fn for_people(
    cpu: Option<&Cpu>,
    memory: Option<Memory>,
    disk: Option<Disk>,
    uptime: Duration,
) -> Map<String, Value> {
    let of = |used: String, limit: Option<String>| match limit {
        Some(limit) => format!("{used} of {limit}"),
        None => used,
    };
    let mut stats = Map::new();
    let mut add = |label: &str, text: Option<String>| {
        if let Some(text) = text {
            stats.insert(label.to_owned(), Value::String(text));
        }
    };
    let percent = |cores: f64| format!("{:.1} %", cores * 100.0);
    add("CPU", cpu.and_then(|cpu| Some(of(percent(cpu.cores?), cpu.limit_cores.map(percent)))));
    add("Memory", memory.map(|memory| of(bytes(memory.used_bytes), memory.limit_bytes.map(bytes))));
    add(
        "Disk",
        disk.map(|disk| format!("{} free of {}", bytes(disk.available_bytes), bytes(disk.total_bytes))),
    );
    add("Uptime", Some(duration(uptime)));
    stats
}

#[cfg(test)]
mod tests;
