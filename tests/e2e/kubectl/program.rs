//! Running kubectl.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    dev::{Dev, PATIENCE},
    tools,
};

/// kubectl, on the cluster of one server.
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// It keeps a cache in its user's home.
    home: TempDir,
}

/// What a finished command said.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Kubectl {
    pub(crate) fn new(dev: &Dev) -> Self {
        Self::at(dev.kubeconfig())
    }

    /// On the cluster that a kubeconfig describes.
    pub(crate) fn at(kubeconfig: PathBuf) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { program: tools::kubectl(), kubeconfig, home }
    }

    /// Runs it with `input`, however it ends.
    pub(crate) fn attempt<A: AsRef<OsStr>>(&self, args: &[A], input: &str) -> Finished {
        let mut child = self.command(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // What reads no input may have closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Finished { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs it with `input`; it must succeed. Gives what it writes.
    pub(crate) fn feed<A: AsRef<OsStr>>(&self, args: &[A], input: &str) -> String {
        let Finished { status, stdout, stderr } = self.attempt(args, input);
        let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
        assert!(status.success(), "kubectl {} ended with {status}\n{stdout}{stderr}", args.join(" "));
        stdout
    }

    /// Runs it; it must succeed. Gives what it writes.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> String {
        self.feed(args, "")
    }

    /// Runs a command given as one line, split at spaces; it must succeed.
    pub(crate) fn line(&self, line: &str) -> String {
        self.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// Applies a manifest; gives the line about it.
    pub(crate) fn apply(&self, manifest: &Value) -> String {
        self.feed(&["apply", "-f", "-"], &manifest.to_string()).trim().to_owned()
    }

    /// An object as JSON. `what` is a kind and a name.
    pub(crate) fn get(&self, what: &str) -> Value {
        serde_json::from_str(&self.run(&["get", what, "--output=json"])).unwrap()
    }

    /// Whether there is such an object. `what` is a kind and a name.
    pub(crate) fn has(&self, what: &str) -> bool {
        let found = self.attempt(&["get", what], "");
        assert!(found.status.success() || found.stderr.contains("NotFound"), "{}", found.stderr);
        found.status.success()
    }

    /// The names of objects of these kinds, in all namespaces.
    pub(crate) fn names(&self, kinds: &str) -> Vec<String> {
        let names = self.run(&["get", kinds, "--all-namespaces", "--output=name"]);
        names.lines().map(str::to_owned).collect()
    }

    /// Runs it beside the test, given as one line, split at spaces.
    pub(crate) fn follow(&self, line: &str) -> Following {
        let args: Vec<_> = line.split(' ').collect();
        let mut child = self.command(&args).stdin(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Following { child, lines, seen: String::new() }
    }

    fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        command.env("HOME", self.home.path()).env_remove("KUBECACHEDIR").env_remove("KUBECTL_KUBERC");
        command.stdout(Stdio::piped());
        command
    }
}

/// A kubectl that goes on. It is killed when this is dropped.
pub(crate) struct Following {
    child: Child,
    lines: Receiver<String>,
    seen: String,
}

impl Following {
    /// Waits for the next line of which `wanted` holds; lines before it are passed over.
    pub(crate) fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                }
                Err(error) => panic!("no such line ({error}) after these:\n{}", self.seen),
            }
        }
    }

    /// Waits for the end; it must be a good one. Gives the lines that nobody has waited for.
    pub(crate) fn end(mut self) -> String {
        let mut rest = String::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest.push_str(&line);
            rest.push('\n');
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "it ended with {status}\n{}{rest}", self.seen);
        rest
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
