//! A server on an embedded cluster of its own.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::processes;

/// How long anything may take on a busy machine. Nothing waits that long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_nocrd-all");

/// A running `nocrd-all dev`. It is stopped when this is dropped; [`Dev::stop`] also checks that it ends well.
pub(crate) struct Dev {
    child: Child,
    base: String,
    directory: TempDir,
    log: Arc<Mutex<String>>,
}

impl Dev {
    /// Starts it on free ports, and waits until it listens.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(PROGRAM)
            .args(["dev", "--port=0", "--api-port=0", "--kubeconfig"])
            .arg(directory.path().join("kubeconfig"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::default();
        let address = watch(stderr, Arc::clone(&log));
        let mut dev = Self { child, base: String::new(), directory, log };
        match address.recv_timeout(PATIENCE) {
            Ok(base) => dev.base = base,
            Err(_) => panic!("the server does not say where it listens"),
        }
        dev
    }

    /// URL of the server, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The kubeconfig of the embedded cluster.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Stops it as an init system would: it succeeds, and none of the processes below it outlives it.
    pub(crate) fn stop(mut self) {
        let family = processes::descendants(self.child.id());
        self.terminate();
        let status = self.wait().expect("it stops");
        assert!(status.success(), "it ended with {status}");
        let left = processes::still_alive(&family);
        assert!(left.is_empty(), "processes were left behind: {}", left.join(", "));
    }

    fn terminate(&self) {
        // It may have ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            if self.wait().is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if thread::panicking() {
            eprintln!("--- log of the server\n{}", self.log.lock().unwrap());
        }
    }
}

/// Reads the server's log to its end; the address goes into the channel.
fn watch(stderr: ChildStderr, log: Arc<Mutex<String>>) -> mpsc::Receiver<String> {
    let (found, address) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, url)) = line.split_once("listening on ") {
                let url = url.split_whitespace().next().unwrap_or_default();
                let _ = found.send(url.to_owned());
            }
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    address
}
