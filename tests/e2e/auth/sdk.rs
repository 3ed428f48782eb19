//! Agents that know nothing but the server's URL: the official MCP SDKs find out where to sign in, and do.

use std::process::{Command, Output};

use super::{front::Front, provider::Provider, server::Server};
use crate::tools;

#[test]
fn python_agents_sign_in() {
    let mut python = Command::new(tools::python());
    // Nothing is written beside the sources.
    python.arg("-B").arg(tools::python_oauth_client());
    signs_in(&python, &[&[], &["--legacy"]]);
}

#[test]
fn typescript_agents_sign_in() {
    let mut node = Command::new("node");
    node.arg(tools::node_oauth_client());
    signs_in(&node, &[&[], &["--legacy"], &["--v1"]]);
}

/// A client program signs in and calls a tool, with each of the options.
fn signs_in(client: &Command, variants: &[&[&str]]) {
    let front = Front::open();
    let provider = Provider::start(front.origin());
    let env = provider.env().with("STATELESS", "false");
    let server = Server::start(&env);
    front.to(server.base());
    for options in variants {
        let mut command = Command::new(client.get_program());
        command.args(client.get_args()).args(*options).arg(format!("{}/mcp", front.origin())).arg("alice");
        let Output { status, stdout, stderr } = command.output().unwrap();
        assert!(
            status.success(),
            "{command:?} ended with {status}\n{}\n--- standard error\n{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        );
    }
    server.stop();
}
