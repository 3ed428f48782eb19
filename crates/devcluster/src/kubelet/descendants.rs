//! Processes that are not our children: found below one of ours, and watched without reaping them.

use std::{fs, time::Duration};

use rustix::process::Pid;

/// A process that is not our child. The handle means this very process, even when its number is given to another.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) pid: Pid,
    #[cfg(target_os = "linux")]
    handle: Option<std::os::fd::OwnedFd>,
}

impl Watched {
    fn new(pid: Pid) -> Self {
        Self {
            pid,
            #[cfg(target_os = "linux")]
            handle: rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok(),
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn kill(&self) {
        if let Some(handle) = &self.handle {
            // That it is gone already is no failure.
            let _ = rustix::process::pidfd_send_signal(handle, rustix::process::Signal::KILL);
        }
    }

    /// Waits until the process has ended; not longer than `limit`.
    #[cfg(target_os = "linux")]
    pub(super) async fn gone(mut self, limit: Duration) {
        let Some(handle) = self.handle.take() else { return };
        if !has_ended(&handle, Duration::ZERO) {
            let _ = tokio::task::spawn_blocking(move || has_ended(&handle, limit)).await;
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn kill(&self) {}

    #[cfg(not(target_os = "linux"))]
    pub(super) async fn gone(self, _: Duration) {}
}

/// Whether a process has ended, or ends within `limit`.
#[cfg(target_os = "linux")]
fn has_ended(handle: &std::os::fd::OwnedFd, limit: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec::try_from(limit).ok();
    poll(&mut [PollFd::new(handle, PollFlags::IN)], limit.as_ref()).is_ok_and(|ready| ready > 0)
}

/// The first child of a process, once there is one that is as wanted; that is asked with the child and the process. The
/// system does not tell when: it is looked for in growing intervals, for a few milliseconds as a rule.
pub(super) async fn first(of: Pid, is_wanted: fn(Pid, Pid) -> bool, limit: Duration) -> Option<Watched> {
    let look = async {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(child) = child_of(of).map(Watched::new)
                && is_wanted(child.pid, of)
            {
                return child;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    };
    tokio::time::timeout(limit, look).await.ok()
}

/// Whether a process runs something else than another one does, from which it was forked.
pub(super) fn runs_another_program(pid: Pid, than: Pid) -> bool {
    let line = |pid: Pid| fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    let own = line(pid);
    !own.is_empty() && own != line(than)
}

/// The oldest child of a process.
pub(super) fn child_of(parent: Pid) -> Option<Pid> {
    let parent = parent.as_raw_pid();
    match fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        Ok(children) => children.split_ascii_whitespace().next()?.parse().ok().and_then(Pid::from_raw),
        // A kernel built without that file.
        Err(_) => children_by_scan(parent).into_iter().min().and_then(Pid::from_raw),
    }
}

fn children_by_scan(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

/// The parent's number is the second field after the name, which is in parentheses and may hold anything.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn children_are_found_and_their_end_is_noticed() {
        let mut shell = tokio::process::Command::new("/bin/sh")
            .args(["-c", "/bin/sleep 100 & wait"])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(shell.id().unwrap().cast_signed()).unwrap();
        let child = first(pid, runs_another_program, Duration::from_secs(30)).await.unwrap();
        assert_eq!(children_by_scan(pid.as_raw_pid()), [child.pid.as_raw_pid()]);
        child.kill();
        child.gone(Duration::from_secs(30)).await;
        assert!(shell.wait().await.is_ok());
    }

    #[tokio::test]
    async fn a_process_without_children_is_given_up_on() {
        let me = Pid::from_raw(i32::MAX).unwrap();
        assert!(first(me, |_, _| true, Duration::from_millis(5)).await.is_none());
    }
}
