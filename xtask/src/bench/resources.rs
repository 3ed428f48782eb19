//! What processes use. Linux only (`/proc`).

use std::{fs, time::Duration};

use crate::Result;

/// Clock ticks of `/proc/<pid>/stat` in a second: the same on every Linux that we know of (proc(5), `USER_HZ`).
const TICKS: u32 = 100;

/// Resident memory of a process.
pub(super) fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(kib(&status, "VmRSS:").ok_or("no VmRSS")? / 1024.0)
}

/// Resident memory of processes that share some, which is counted once.
pub(super) fn proportional_mib(pids: &[u32]) -> Result<f64> {
    let mut all = 0.0;
    for pid in pids {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        all += kib(&rollup, "Pss:").ok_or("no Pss")?;
    }
    Ok(all / 1024.0)
}

fn kib(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Time that processors have spent on these processes.
pub(super) fn processor_time(pids: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        ticks += parse_ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?).ok_or("no processor time")?;
    }
    Ok(Duration::from_secs(ticks) / TICKS)
}

/// User and system time, the 14th and 15th field; the name before them may itself hold anything (proc(5)).
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// A process and those it has started.
pub(super) fn family(pid: u32) -> Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    Ok(std::iter::once(pid).chain(children).collect())
}

/// Lets this process, and those it starts, have as many files and sockets open as the system allows; tells how many.
pub(super) fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Not the millions that some systems allow: programs make tables of that size.
    let wanted = limit.maximum.map_or(MOST_FILES, |maximum| maximum.min(MOST_FILES));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    if raised.is_ok() { wanted } else { limit.current.unwrap_or(MOST_FILES) }
}

const MOST_FILES: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let stat = "7 (a) R 1) S 5 7 7 0 -1 0 0 0 0 0 11 31 0 0 20 0 1 0 4242 0 0";
        assert_eq!(parse_ticks(stat), Some(42));
        assert_eq!(kib("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(kib("VmHWM: 1 kB", "VmRSS:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let own = [std::process::id()];
        assert!(resident_mib(own[0]).unwrap() > 0.5 && proportional_mib(&own).unwrap() > 0.1);
        assert!(family(own[0]).unwrap().starts_with(&own));
        processor_time(&own).unwrap();
    }
}
