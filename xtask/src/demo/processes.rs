//! Who descends from a process, and who of them is still there. Linux only (`/proc`); elsewhere there is nothing to see.

use std::{collections::BTreeMap, fs};

use crate::Result;

/// A process: its id, and its start time, which tells it from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pid: u32,
    parent: u32,
    name: String,
    started: String,
    zombie: bool,
}

/// All processes below `ancestor`.
pub(super) fn descendants(ancestor: u32) -> Result<Vec<Process>> {
    let Ok(entries) = fs::read_dir("/proc") else { return Ok(Vec::new()) };
    let mut all = BTreeMap::new();
    for entry in entries {
        if let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(read) {
            all.insert(process.pid, process);
        }
    }
    let descends = |process: &&Process| {
        // As many steps as there are processes are enough, even if the picture is torn and goes round in circles.
        std::iter::successors(Some(*process), |process| all.get(&process.parent))
            .take(all.len())
            .any(|process| process.parent == ancestor)
    };
    Ok(all.values().filter(descends).cloned().collect())
}

/// Those of the processes that still run, for a message.
pub(super) fn still_alive(family: &[Process]) -> Vec<String> {
    family
        .iter()
        .filter(|process| read(process.pid).is_some_and(|now| now.started == process.started && !now.zombie))
        .map(|process| format!("{} ({})", process.pid, process.name))
        .collect()
}

fn read(pid: u32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads a line of `/proc/<pid>/stat`: id, name in parentheses, which may itself hold any, state, parent, …, start time as
/// the 22nd field (proc(5)).
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_owned(),
        started: (*fields.get(19)?).to_owned(),
        zombie: fields.first() == Some(&"Z"),
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_line_with_a_nasty_name_is_read() {
        let stat = "7 (a) R 1) S 5 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.parent, process.name.as_str(), process.started.as_str()), (5, "a) R 1", "4242"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn children_are_seen_while_they_live() {
        // `cat` lives until its standard input is closed.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let family = descendants(std::process::id()).unwrap();
        let cat: Vec<_> = family.into_iter().filter(|process| process.pid == child.id()).collect();
        assert_eq!((cat.len(), still_alive(&cat).len()), (1, 1));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(still_alive(&cat).is_empty());
    }
}
