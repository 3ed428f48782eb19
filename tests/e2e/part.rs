//! `nocrd-mcp` and `nocrd-proxy`: the halves of `nocrd-all`, as programs of their own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    auth::Env,
    dev::PROGRAM,
    program::{Ended, Program},
};

/// The two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Mcp,
    Proxy,
}

impl Half {
    /// Cargo tells a test only the programs of its own package. The others are beside it, where all of the workspace is
    /// built.
    fn program(self) -> PathBuf {
        let name = match self {
            Self::Mcp => "nocrd-mcp",
            Self::Proxy => "nocrd-proxy",
        };
        let path = Path::new(PROGRAM).with_file_name(name);
        assert!(path.is_file(), "{} is not there: run `cargo build -p {name}`", path.display());
        path
    }
}

/// What `/readyz` answers below this URL.
pub(crate) async fn readiness_at(base: &str) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(format!("{base}/readyz")).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// One of them at work, for a cluster that is there.
pub(crate) struct Part {
    program: Program,
    base: String,
}

impl Part {
    /// Starts it on a free port, and waits until it knows the cluster.
    pub(crate) fn start(half: Half, kubeconfig: &Path, env: &Env) -> Self {
        Self::at(half, 0, kubeconfig, env)
    }

    /// The same on this port.
    pub(crate) fn at(half: Half, port: u16, kubeconfig: &Path, env: &Env) -> Self {
        let env = env
            .clone()
            .with("KUBECONFIG", kubeconfig.to_str().unwrap())
            // Pods of the embedded cluster have addresses of this machine.
            .with("POD_CIDRS", "127.0.0.0/8");
        let program = Program::of(&half.program(), &[&format!("--port={port}")], &env.pairs());
        let base = program.base();
        program.says("ready");
        Self { program, base }
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.base.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// What `/readyz` answers.
    pub(crate) async fn readiness(&self) -> (u16, Value) {
        readiness_at(&self.base).await
    }

    /// The id of its session key, as its log tells it.
    pub(crate) fn session_key(&self) -> String {
        let line = self.says("the session key is known");
        let (_, rest) = line.split_once("key=").unwrap_or_else(|| panic!("no key: {line}"));
        rest.split([' ', '\n']).next().unwrap().trim_matches('"').to_owned()
    }

    /// Waits for a line of its log with this text.
    pub(crate) fn says(&self, text: &str) -> String {
        self.program.says(text)
    }

    /// Ends it without a word.
    pub(crate) fn kill(self) {
        self.program.signal(Signal::KILL);
        self.program.end();
    }

    /// Stops it; it must end well.
    pub(crate) fn stop(self) -> Ended {
        self.program.stop()
    }
}
