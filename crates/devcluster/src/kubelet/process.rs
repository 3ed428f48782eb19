//! Starting processes and ending them for good.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, setrlimit,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    runtime::Handle,
    sync::oneshot,
    time::Instant,
};

use super::descendants::{self, Watched};

/// How long a sandbox may take to come into being. On an idle machine it takes milliseconds.
const SETTLE: Duration = Duration::from_secs(60);

/// How long the last processes of a container may take to be gone after they were killed.
const GONE: Duration = Duration::from_secs(10);

/// How long what is left of a process group may take to be gone.
const GROUP_GONE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// The thread all processes are started from.
///
/// A sandbox asks the system to be killed when its parent dies, and to the system the parent is the *thread* that
/// started it. Threads of the async runtime come and go; this one lives as long as the kubelet, and not longer: when it
/// ends, for whatever reason, no sandbox survives.
#[derive(Debug)]
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    /// Must be called within the async runtime.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let runtime = Handle::current();
        thread::Builder::new().name("kubelet-spawner".into()).spawn(move || {
            let _context = runtime.enter();
            while let Ok(job) = queue.recv() {
                job();
            }
        })?;
        Ok(Self { jobs })
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits any more: what was started is dropped, and thereby killed.
            let _ = reply.send(job());
        });
        let gone = || io::Error::other("the kubelet is shutting down");
        self.jobs.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Starts a process with its output and error output, and if the launch says so its input, connected to pipes.
    pub(super) async fn spawn(&self, launch: Launch) -> io::Result<Process> {
        self.run(move || {
            let mut command = Command::from(launch.command());
            let stdin = launch.stdin || launch.containment == Containment::Namespace;
            command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.process_group(0).kill_on_drop(true);
            Process::new(command.spawn()?, &launch)
        })
        .await
    }

    /// Starts a process on a new terminal, which becomes its controlling terminal.
    pub(super) async fn spawn_on_terminal(&self, launch: Launch) -> io::Result<(Process, pty_process::Pty)> {
        self.run(move || {
            let other = |error: pty_process::Error| io::Error::other(error);
            let (pty, pts) = pty_process::open().map_err(other)?;
            // The terminal gives the process a session, and thereby a process group, of its own.
            let command = pty_process::Command::from(Command::from(launch.command())).kill_on_drop(true);
            let child = command.spawn(pts).map_err(other)?;
            Ok((Process::new(child, &launch)?, pty))
        })
        .await
    }
}

/// Lets us have as many open files as the system ever allows: a container takes about five, and the usual limit of 1,024
/// is soon reached. Containers inherit the limit.
pub(super) fn raise_open_files_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised it stays as it is, and enough for fewer pods.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// What to start.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    /// All of the environment.
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: Option<PathBuf>,
    /// Whether the program has an input that somebody writes to.
    pub(super) stdin: bool,
    pub(super) containment: Containment,
}

impl Launch {
    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(key, value)| (key, value)));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }
}

/// How a process keeps its descendants together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Containment {
    /// A process group. A descendant that leaves the group escapes.
    Group,
    /// The process watches over a new PID namespace; its child is the first process there, the container's own
    /// program the child of that one. Nothing escapes. The program begins when it can read a line from its input: if we
    /// die before the sandbox has noted that it must die with us, it ends without having begun.
    Namespace,
    /// The process watches over a child in somebody else's PID namespace.
    Joined,
}

/// A running process, killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Kept apart from the child, which would close it when waited for.
    stdin: Option<ChildStdin>,
    keeps_stdin: bool,
    pid: Pid,
    containment: Containment,
    /// The process below ours that stands for all the others; `None` for [`Containment::Group`], and until it is seen.
    inner: Option<Watched>,
    reaped: bool,
}

impl Process {
    fn new(mut child: Child, launch: &Launch) -> io::Result<Self> {
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the process has no id"))?;
        let stdin = child.stdin.take();
        Ok(Self {
            child,
            stdin,
            keeps_stdin: launch.stdin,
            pid,
            containment: launch.containment,
            inner: None,
            reaped: false,
        })
    }

    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    pub(super) fn take_output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// The first process of the container's PID namespace, as this machine numbers it.
    pub(super) fn namespace_leader(&self) -> Option<i32> {
        let leader = self.inner.as_ref().filter(|_| self.containment == Containment::Namespace)?;
        Some(leader.pid.as_raw_pid())
    }

    /// Waits until the sandbox is set up and its program started, or has failed. Without this a signal could come too
    /// early to reach the program.
    pub(super) async fn settle(&mut self) {
        if self.containment == Containment::Group || self.inner.is_some() || self.reaped {
            return;
        }
        let is_set_up = match self.containment {
            // Its program is there.
            Containment::Namespace => |child: Pid, _: Pid| descendants::child_of(child).is_some(),
            // It has become the program; on the way there are children that soon are gone.
            Containment::Joined | Containment::Group => descendants::runs_another_program,
        };
        tokio::select! {
            biased;
            found = descendants::first(self.pid, is_set_up, SETTLE) => self.inner = found,
            _ = self.child.wait() => self.reaped = true,
        }
        if self.containment == Containment::Namespace {
            self.begin().await;
        }
    }

    /// Lets the program of a sandbox begin.
    async fn begin(&mut self) {
        if self.inner.is_none() {
            // A sandbox that does not come into being is given up.
            self.signal(Signal::KILL);
        } else if let Some(stdin) = &mut self.stdin {
            // If it can't be written, the sandbox has ended.
            let _ = stdin.write_all(b"\n").await;
        }
        if !self.keeps_stdin {
            self.stdin = None;
        }
    }

    /// Sends a signal to the container's program and the process group it leads; killing reaches everything.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(inner) = &self.inner
            && kill_process_group(inner.pid, signal).is_err()
        {
            // It shares the group of its terminal. That it is gone is no failure.
            let _ = kill_process(inner.pid, signal);
        }
        let ours = match self.containment {
            Containment::Group => true,
            Containment::Joined => signal == Signal::KILL,
            // It ends by itself after the namespace, which it has to bury.
            Containment::Namespace => signal == Signal::KILL && self.inner.is_none(),
        };
        if ours && !self.reaped {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Waits for the end of the program; its exit code, or 128 and the number of the signal that ended it.
    pub(super) async fn wait(&mut self) -> i32 {
        let status = self.child.wait().await;
        self.reaped = true;
        status.map_or(255, code)
    }

    /// Kills the program and everything it started, and waits until all of it is gone.
    pub(super) async fn end(&mut self) -> i32 {
        self.signal(Signal::KILL);
        let code = self.wait().await;
        self.clear().await;
        code
    }

    /// After the program has ended: kills what it left behind and waits until that is gone.
    pub(super) async fn clear(&mut self) {
        if self.containment == Containment::Group {
            self.clear_group().await;
        }
        if let Some(inner) = self.inner.take() {
            inner.kill();
            inner.gone(GONE).await;
        }
    }
}

impl Process {
    /// Kills group members that outlive their leader; none is the common case. They are nobody's children that we could
    /// wait for: they are looked at until they are gone, or only wait to be buried by somebody who does not care.
    async fn clear_group(&self) {
        let give_up = Instant::now() + GROUP_GONE;
        let mut pause = Duration::from_millis(1);
        while kill_process_group(self.pid, Signal::KILL).is_ok() && Instant::now() < give_up {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}
