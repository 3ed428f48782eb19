use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Disk, Memory, Scope};

/// Where numbers come from.
#[derive(Debug)]
pub(super) struct Source {
    /// Directory of the container's control group, when there is a container.
    cgroup: Option<PathBuf>,
    /// `/proc/self`.
    process: PathBuf,
}

/// Clock ticks a second in `/proc/*/stat`: the kernel's `USER_HZ`, which is 100 wherever Linux runs today.
const TICKS_PER_SECOND: u64 = 100;

impl Source {
    pub(super) fn detect() -> Self {
        Self::at(Path::new("/sys/fs/cgroup"), Path::new("/proc/self"))
    }

    /// The root group of a machine has no `memory.current`, so that the file tells that `cgroup` is a container's.
    pub(super) fn at(cgroup: &Path, process: &Path) -> Self {
        let container = cgroup.join("memory.current").is_file() && cgroup.join("cpu.stat").is_file();
        Self { cgroup: container.then(|| cgroup.to_owned()), process: process.to_owned() }
    }

    pub(super) fn scope(&self) -> Scope {
        if self.cgroup.is_some() { Scope::Container } else { Scope::Process }
    }

    /// Processor time used so far.
    pub(super) fn cpu(&self) -> Option<Duration> {
        match &self.cgroup {
            Some(cgroup) => keyed(&cgroup.join("cpu.stat"), "usage_usec").map(Duration::from_micros),
            None => {
                // The second field is the program's name in parentheses, with anything in it.
                let stat = fs::read_to_string(self.process.join("stat")).ok()?;
                let (_, fields) = stat.rsplit_once(')')?;
                let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
                let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
                Some(Duration::from_millis(ticks.checked_mul(1000 / TICKS_PER_SECOND)?))
            }
        }
    }

    /// Processors that may be used, when that is limited.
    pub(super) fn cpu_limit(&self) -> Option<f64> {
        let text = fs::read_to_string(self.cgroup.as_ref()?.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        let (quota, period) = (quota.parse::<u32>().ok()?, period.parse::<u32>().ok()?);
        (period > 0).then(|| f64::from(quota) / f64::from(period))
    }

    pub(super) fn memory(&self) -> Option<Memory> {
        match &self.cgroup {
            Some(cgroup) => {
                let current = number(&cgroup.join("memory.current"))?;
                // Pages of files that nobody has touched lately are given back when memory gets scarce.
                let idle = keyed(&cgroup.join("memory.stat"), "inactive_file").unwrap_or(0);
                Some(Memory {
                    used_bytes: current.saturating_sub(idle),
                    limit_bytes: number(&cgroup.join("memory.max")),
                })
            }
            None => keyed(&self.process.join("status"), "VmRSS:")
                .map(|kib| Memory { used_bytes: kib.saturating_mul(1024), limit_bytes: None }),
        }
    }
}

/// A file with one number in it; `max` is none.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number after `key` in a file of such lines.
fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.lines().map(str::split_ascii_whitespace).find_map(|mut fields| {
        let first = fields.next()?;
        (first == key).then_some(fields)
    })?;
    fields.next()?.parse().ok()
}

#[cfg(unix)]
pub(super) fn disk(root: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(root).ok()?;
    let total_bytes = found.f_blocks.saturating_mul(found.f_frsize);
    (total_bytes > 0)
        .then(|| Disk { total_bytes, available_bytes: found.f_bavail.saturating_mul(found.f_frsize) })
}

#[cfg(not(unix))]
pub(super) fn disk(_root: &Path) -> Option<Disk> {
    None
}
