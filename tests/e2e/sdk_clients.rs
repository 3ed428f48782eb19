//! The official MCP SDKs as clients: `tests/clients` has one small program for each, which checks what it gets.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::{
    dev::{Dev, PROGRAM},
    processes, tools,
};

/// A program, and the arguments that choose what it speaks: the newest protocol that both sides know, or sessions.
struct Client {
    command: fn() -> Command,
    variants: &'static [&'static [&'static str]],
}

const PYTHON: Client = Client { command: python, variants: &[&[], &["--legacy"]] };
/// There are two SDKs for TypeScript; the older one is `--v1`.
const TYPESCRIPT: Client = Client { command: typescript, variants: &[&[], &["--legacy"], &["--v1"]] };

#[test]
fn python_over_stdio() {
    over_stdio(&PYTHON);
}

#[test]
fn python_over_http() {
    over_http(&PYTHON);
}

#[test]
fn typescript_over_stdio() {
    over_stdio(&TYPESCRIPT);
}

#[test]
fn typescript_over_http() {
    over_http(&TYPESCRIPT);
}

fn python() -> Command {
    let mut command = Command::new(tools::python());
    // Nothing is written beside the sources.
    command.arg("-B").arg(tools::python_client());
    command
}

fn typescript() -> Command {
    let mut command = Command::new("node");
    command.arg(tools::node_client());
    command
}

fn over_http(client: &Client) {
    let dev = Dev::start();
    for variant in client.variants {
        let url = format!("{}/mcp", dev.base());
        passes((client.command)().args(*variant).args(["http", &url]));
    }
    dev.stop();
}

fn over_stdio(client: &Client) {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    for variant in client.variants {
        let server = [PROGRAM, "dev", "--transport=stdio", "--kubeconfig"];
        passes((client.command)().args(*variant).arg("stdio").args(server).arg(&kubeconfig));
        nobody_uses(&kubeconfig);
    }
}

/// The server has ended with its client, and with it all that its cluster ran.
fn nobody_uses(kubeconfig: &Path) {
    let left = processes::mentioning(kubeconfig.to_str().unwrap());
    assert!(left.is_empty(), "the client has left behind: {}", left.join(", "));
}

fn passes(command: &mut Command) {
    let output = command.output();
    let Output { status, stdout, stderr } = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        status.success(),
        "{command:?} ended with {status}\n{}\n--- standard error\n{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
}
