//! The program under test with any arguments, as a process of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::dev::{PATIENCE, PROGRAM};

/// A running program. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
    /// Its home and working directory, where there is nothing.
    _home: TempDir,
}

/// What a program writes, line by line.
struct Lines {
    text: Arc<Mutex<String>>,
    /// Gets something with each further line, and is closed at the end.
    more: mpsc::Receiver<()>,
}

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts it with these arguments and variables, and no others that matter to it.
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::of(Path::new(PROGRAM), args, env)
    }

    /// Starts another program in the same way.
    pub(crate) fn of(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            // One that is killed leaves things behind.
            .env("TMPDIR", home.path())
            .envs(env.iter().copied())
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdin, stdout, stderr, _home: home }
    }

    /// Starts an embedded cluster with a server, as `nocrd-all dev`, on free ports.
    pub(crate) fn dev(kubeconfig: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let kubeconfig = kubeconfig.to_str().unwrap();
        let fixed = ["dev", "--port=0", "--kubeconfig", kubeconfig];
        Self::start(&[&fixed[..], args].concat(), env)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of the log with this text, and gives it.
    pub(crate) fn says(&self, text: &str) -> String {
        let line = self.stderr.find(text);
        line.unwrap_or_else(|| panic!("it never says {text:?}, but\n{}", self.stderr.text()))
    }

    /// Waits for a line of its standard output with this text, and gives it.
    pub(crate) fn answers(&self, text: &str) -> String {
        let line = self.stdout.find(text);
        line.unwrap_or_else(|| panic!("it never answers {text:?}, but\n{}", self.stdout.text()))
    }

    /// Waits until it listens, and gives its URL without a slash at the end.
    pub(crate) fn base(&self) -> String {
        let line = self.says("listening on ");
        let url = line.split_once("listening on ").unwrap().1;
        url.split_whitespace().next().unwrap().to_owned()
    }

    /// Writes a line to its standard input.
    pub(crate) fn write_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    /// Closes its standard input.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("it does not end:\n{}", self.stderr.text()),
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        Ended { status, stdout: self.stdout.rest(), stderr: self.stderr.rest() }
    }

    /// Tells it to stop, and waits for its end, which must be a good one.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        let ended = self.end();
        assert!(ended.status.success(), "it ended with {}:\n{}", ended.status, ended.stderr);
        ended
    }

    /// Sockets on which it listens for TCP connections, as far as `/proc` tells.
    pub(crate) fn listens_on(&self) -> Vec<SocketAddr> {
        let own: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", self.id()))
            .into_iter()
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()?.to_str().map(str::to_owned))
            .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        // Fields of /proc/net/tcp: number, local address, remote address, state (0A: listening), …, inode as the tenth.
        let listening = |table: &str| {
            let text =
                std::fs::read_to_string(format!("/proc/{}/net/{table}", self.id())).unwrap_or_default();
            text.lines()
                .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .filter(|fields| fields.len() > 9 && fields[3] == "0A" && own.contains(&fields[9]))
                .filter_map(|fields| {
                    let (_, port) = fields[1].split_once(':')?;
                    Some(SocketAddr::from(([0, 0, 0, 0], u16::from_str_radix(port, 16).ok()?)))
                })
                .collect::<Vec<_>>()
        };
        [listening("tcp"), listening("tcp6")].concat()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the program\n{}", self.stderr.text());
        }
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (text, (sender, more)) = (Arc::new(Mutex::new(String::new())), mpsc::channel());
        let written = Arc::clone(&text);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = written.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
                drop(text);
                // Nobody waits any more.
                let _ = sender.send(());
            }
        });
        Self { text, more }
    }

    /// The first line with this text, written already or soon; `None` when there is none in time.
    fn find(&self, text: &str) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.text().lines().find(|line| line.contains(text)) {
                return Some(line.to_owned());
            }
            self.more.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        }
    }

    /// What was written so far.
    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Everything, once the program has ended.
    fn rest(&self) -> String {
        // The reader lets go of the channel at the end.
        while self.more.recv().is_ok() {}
        self.text()
    }
}
