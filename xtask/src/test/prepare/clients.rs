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
/// Oldest Python 3 that the SDK supports.
const PYTHON: u32 = 10;

fn clients() -> PathBuf {
    root().join("tests/clients")
}

/// Fails, saying what to install, where there is no Node.js that is new enough.
pub(super) fn require_node() -> Result {
    let version = output(program("node").arg("--version")).unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < NODE) {
        let found = if version.is_empty() { "there is none" } else { version.trim() };
        return Err(format!("Node.js {NODE} or newer is needed for the tests; {found}").into());
    }
    if !works(program("npm").arg("--version")) {
        return Err("npm is needed for the tests, and it is not there".into());
    }
    Ok(())
}

/// Installs the packages of the programs for Node.js beside them.
pub(super) fn node(steps: &mut Steps) -> Result {
    for (directory, name) in FOR_NODE {
        let directory = clients().join(directory);
        let lock = read(&directory.join("package-lock.json"))?;
        unless_done(&directory.join("node_modules/.installed"), &lock, || {
            steps.step(name, || {
                require_node()?;
                let flags = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
                run(program("npm").args(flags).current_dir(&directory))
            })
        })?;
    }
    Ok(())
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
