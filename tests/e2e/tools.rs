//! Where the programs are that `cargo xtask test` installs for these tests.

use std::{
    env,
    path::{Path, PathBuf},
};

const HELP: &str = "run `cargo xtask setup` (`cargo xtask test` does it, too)";

/// A Python with the MCP SDK.
pub(crate) fn python() -> PathBuf {
    installed("NOCRD_TEST_PYTHON", &target().join("venv/bin/python"))
}

/// The MCP client in Python.
pub(crate) fn python_client() -> PathBuf {
    clients().join("python/client.py")
}

/// The MCP client for Node, with the SDK beside it.
pub(crate) fn node_client() -> PathBuf {
    let client = clients().join("typescript/client.mjs");
    let sdk = clients().join("typescript/node_modules/@modelcontextprotocol/client");
    assert!(sdk.is_dir(), "the MCP SDK for TypeScript is not installed: {HELP}");
    client
}

/// A kubectl of 1.31 or newer: `exec` of an older one speaks SPDY.
pub(crate) fn kubectl() -> PathBuf {
    let installed_here = target().join("tools/kubectl");
    let on_path =
        || env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join("kubectl")).find(|p| p.is_file());
    if let Some(program) = env::var_os("NOCRD_TEST_KUBECTL") {
        return program.into();
    }
    if installed_here.is_file() {
        return installed_here;
    }
    on_path().unwrap_or_else(|| panic!("there is no kubectl: {HELP}"))
}

fn installed(variable: &str, usual: &Path) -> PathBuf {
    let program = env::var_os(variable).map_or_else(|| usual.to_owned(), PathBuf::from);
    assert!(program.is_file(), "{} is missing: {HELP}", program.display());
    program
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// Cargo's target directory.
fn target() -> PathBuf {
    let inside = Path::new(env!("CARGO_TARGET_TMPDIR"));
    inside.parent().unwrap().to_owned()
}
