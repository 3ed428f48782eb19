//! The program as a whole. What the server does is tested where it is built.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::process::{Command, Output};

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nocrd-proxy"));
    command.args(args).env_clear().envs(env.iter().copied()).output().unwrap()
}

#[test]
fn it_tells_its_version() {
    let output = run(&["--version"], &[]);
    let expected = format!("nocrd-proxy {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap()), (Some(0), expected));
}

#[test]
fn without_a_cluster_it_says_so() {
    let output = run(&["--port=0"], &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("nocrd-proxy: no Kubernetes cluster") && text.contains("nocrd-all dev"), "{text}");
}

#[test]
fn wrong_settings_are_all_named() {
    let output = run(&["--port=x"], &[("MODE", "y")]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("PORT") && text.contains("MODE"), "{text}");
}
