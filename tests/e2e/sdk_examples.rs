//! The examples of the Rust SDK, as a reader of its README would run them.

use std::{path::Path, process::Command};

use crate::dev::Dev;

/// Runs an example of `nocrd-spawner`, which `cargo test` builds beside the programs.
fn run(name: &str, kubeconfig: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_nocrd-all")).with_file_name("examples").join(name);
    let output =
        Command::new(&program).env("KUBECONFIG", kubeconfig).env_remove("HOME").output().unwrap_or_else(
            |error| panic!("{}: {error}; `cargo test --workspace` builds it", program.display()),
        );
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

#[test]
fn the_examples_find_the_cluster_of_the_kubeconfig() {
    let dev = Dev::start();
    let said = run("lifecycle", &dev.kubeconfig());
    assert!(said.contains("example was ready at"), "{said}");
    let said = run("inline", &dev.kubeconfig());
    assert!(said.contains("QuotaExceeded"), "{said}");
    dev.stop();
}
