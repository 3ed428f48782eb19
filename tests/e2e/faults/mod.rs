//! Faults while many clients are at work: what they see is told by what they got, every answer of it.

mod load;
mod outage;
mod pod;
mod recreation;
mod relay;
mod restart;
mod wire;

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{kubectl::Kubectl, program::Program};

/// An embedded cluster as a process of its own, that keeps what it has.
struct Cluster {
    program: Program,
    directory: TempDir,
}

impl Cluster {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = Self::program(&directory);
        Self { program, directory }
    }

    fn program(directory: &TempDir) -> Program {
        let data = directory.path().join("data");
        let kubeconfig = directory.path().join("kubeconfig");
        let program = Program::dev(
            &kubeconfig,
            &["--api-port=0", "--data-dir", data.to_str().unwrap()],
            &[("STATELESS", "true")],
        );
        program.says("ready");
        program
    }

    /// Starts it anew after it was killed.
    fn revive(&mut self) {
        self.program.signal(Signal::KILL);
        let killed = std::mem::replace(&mut self.program, Program::start(&["--version"], &[]));
        killed.end();
        self.program = Self::program(&self.directory);
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// The URL of its API.
    fn api(&self) -> String {
        let text = std::fs::read_to_string(self.kubeconfig()).unwrap();
        text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap().to_owned()
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::at(self.kubeconfig())
    }
}
