//! What the tests use in other languages, as pinned in `tests/clients`: the official MCP SDKs, an OpenID provider, a
//! driver for browsers.

use std::{fs, path::PathBuf};

use super::{read, unless_done};
use crate::{
    Result,
    process::{output, program, run, target_directory, works},
    root,
    steps::Steps,
};

/// Programs for Node.js: where they are below `tests/clients`, and what they are.
const FOR_NODE: [(&str, &str); 3] = [
    ("typescript", "TypeScript MCP client"),
    ("oidc", "OpenID provider"),
    ("browser", "driver for browsers"),
];
/// Oldest Node.js that the packages support.
const NODE: u32 = 20;
/// Oldest Node.js that runs the conformance suite. For Linux its packages bring one.
const NODE_FOR_SUITE: u32 = 22;
/// Oldest Python 3 that the SDK supports.
const PYTHON: u32 = 10;

fn clients() -> PathBuf {
    root().join("tests/clients")
}

/// The major version of the Node.js that is there.
fn node_version() -> Option<u32> {
    let version = output(program("node").arg("--version")).ok()?;
    version.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

/// Fails, saying what to install, where there is no Node.js that is new enough.
pub(super) fn require_node() -> Result {
    match node_version() {
        Some(version) if version >= NODE => {}
        found => {
            let found =
                found.map_or_else(|| "there is none".to_owned(), |version| format!("this is {version}"));
            return Err(format!("Node.js {NODE} or newer is needed for the tests; {found}").into());
        }
    }
    if !works(program("npm").arg("--version")) {
        return Err("npm is needed for the tests, and it is not there".into());
    }
    Ok(())
}

/// Installs the packages of the programs for Node.js beside them.
pub(super) fn node(steps: &mut Steps) -> Result {
    for (directory, name) in FOR_NODE {
        packages(steps, directory, name, None)?;
    }
    let brought = if node_version() >= Some(NODE_FOR_SUITE) {
        Some("--omit=optional")
    } else if cfg!(target_os = "linux") {
        None
    } else {
        return Err(format!("Node.js {NODE_FOR_SUITE} or newer is needed for the conformance suite").into());
    };
    packages(steps, "conformance", "conformance suite", brought)
}

/// Installs the packages of one of them, as its lock file says.
fn packages(steps: &mut Steps, directory: &str, name: &str, flag: Option<&str>) -> Result {
    let directory = clients().join(directory);
    let lock = read(&directory.join("package-lock.json"))?;
    let input = lock + flag.unwrap_or_default();
    unless_done(&directory.join("node_modules/.installed"), &input, || {
        steps.step(name, || {
            require_node()?;
            let flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            run(program("npm").args(flags).args(flag).current_dir(&directory))
        })
    })
}

/// Makes an environment with the Python SDK; gives its interpreter.
pub(super) fn python(steps: &mut Steps) -> Result<PathBuf> {
    let pins = clients().join("python/requirements.txt");
    let environment = target_directory()?.join("venv");
    let python = environment.join("bin/python");
    unless_done(&environment.join("installed"), &read(&pins)?, || {
        steps.step("Python MCP client", || {
            let is_fit = format!("import sys, venv, ensurepip; assert sys.version_info >= (3, {PYTHON})");
            if !works(program("python3").args(["-c", &is_fit])) {
                return Err(format!(
                    "Python 3.{PYTHON} or newer with its venv module is needed for the Python MCP client \
                     (Debian's package python3-venv)"
                )
                .into());
            }
            fs::create_dir_all(&environment)?;
            run(program("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
            run(program(&python).args(pip).arg(&pins))
        })
    })?;
    Ok(python)
}
