//! The processes of this machine, as `/proc` shows them. Elsewhere than on Linux there is nothing to see.

use std::{collections::BTreeMap, fs};

/// A process: its id, and its start time, which tells it from a later one with the same id.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    parent: u32,
    name: String,
    started: String,
    zombie: bool,
}

/// All processes below `ancestor`.
pub(crate) fn descendants(ancestor: u32) -> Vec<Process> {
    let all: BTreeMap<u32, Process> = ids().filter_map(read).map(|process| (process.id, process)).collect();
    let descends = |process: &&Process| {
        // As many steps as there are processes are enough, even if the picture is torn and goes round in circles.
        std::iter::successors(Some(*process), |process| all.get(&process.parent))
            .take(all.len())
            .any(|process| process.parent == ancestor)
    };
    all.values().filter(descends).cloned().collect()
}

/// Those of the processes that still run, for a message.
pub(crate) fn still_alive(family: &[Process]) -> Vec<String> {
    family
        .iter()
        .filter(|process| read(process.id).is_some_and(|now| now.started == process.started && !now.zombie))
        .map(|process| format!("{} ({})", process.id, process.name))
        .collect()
}

/// Processes with `text` in their command line, for a message.
pub(crate) fn mentioning(text: &str) -> Vec<String> {
    ids()
        .filter_map(|id| Some((id, fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?)))
        .filter(|(_, line)| line.contains(text))
        .map(|(id, line)| format!("{id} ({})", line.replace('\0', " ")))
        .collect()
}

fn ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Reads `/proc/<id>/stat`: id, name in parentheses, which may itself hold any, state, parent, …, start time as the 22nd
/// field (proc(5)).
fn read(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Process {
        id,
        parent: fields.get(1)?.parse().ok()?,
        name: before.split_once('(')?.1.to_owned(),
        started: (*fields.get(19)?).to_owned(),
        zombie: fields.first() == Some(&"Z"),
    })
}
