//! Brings what the tests need onto a bare machine: system packages, and the MCP clients of other languages.

use std::path::{Path, PathBuf};

use crate::{
    Result,
    process::{program, run, works},
    root,
    steps::Steps,
};

/// A Debian package, and a command that succeeds where it is installed.
struct SystemPackage {
    name: &'static str,
    probe: &'static [&'static str],
    /// What is not tested without it.
    purpose: &'static str,
}

const SYSTEM_PACKAGES: &[SystemPackage] = &[
    SystemPackage {
        name: "bubblewrap",
        probe: &["bwrap", "--version"],
        purpose: "confinement in the embedded cluster",
    },
    SystemPackage {
        name: "python3-venv",
        probe: &["python3", "-c", "import venv, ensurepip"],
        purpose: "the Python MCP client",
    },
    SystemPackage { name: "nodejs", probe: &["node", "--version"], purpose: "the TypeScript MCP client" },
    SystemPackage { name: "npm", probe: &["npm", "--version"], purpose: "the TypeScript MCP client" },
];

/// Prepares everything.
pub(crate) fn all(steps: &mut Steps) -> Result {
    system_packages(steps)?;
    typescript_client(steps)?;
    python_client(steps)
}

fn is_installed(package: &&SystemPackage) -> bool {
    let [name, args @ ..] = package.probe else { return true };
    works(program(name).args(args))
}

fn system_packages(steps: &mut Steps) -> Result {
    let missing: Vec<_> = SYSTEM_PACKAGES.iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    let Some(root_prefix) = administrator() else {
        for package in &missing {
            steps.skip(
                &format!("system package {}", package.name),
                &format!("needed for {}", package.purpose),
            );
        }
        return Ok(());
    };
    steps.step(&format!("system packages: {}", names.join(", ")), || {
        let apt = |args: &[&str]| {
            let words: Vec<&str> = root_prefix
                .iter()
                .copied()
                .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
                .collect();
            let [name, rest @ ..] = words.as_slice() else { return Ok(()) };
            run(program(name).args(rest).args(args))
        };
        apt(&["update", "-q"])?;
        apt(&["install", "-y", "-q", "--no-install-recommends"]
            .iter()
            .copied()
            .chain(names.iter().copied())
            .collect::<Vec<_>>())
    })
}

/// What to put before a command to run it as root, where apt is there and that is possible without asking.
fn administrator() -> Option<&'static [&'static str]> {
    if !works(program("apt-get").arg("--version")) {
        return None;
    }
    if works(program("sh").args(["-c", "test \"$(id -u)\" = 0"])) {
        return Some(&[]);
    }
    works(program("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"])
}

fn clients(language: &str) -> PathBuf {
    root().join("tests/clients").join(language)
}

/// Whether what was made from `source` is there and not older.
fn is_fresh(made: &Path, source: &Path) -> bool {
    let time = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    matches!((time(made), time(source)), (Some(made), Some(source)) if made >= source)
}

fn typescript_client(steps: &mut Steps) -> Result {
    let directory = clients("typescript");
    let lock = directory.join("package-lock.json");
    if !lock.is_file() || is_fresh(&directory.join("node_modules/.package-lock.json"), &lock) {
        return Ok(());
    }
    if !works(program("npm").arg("--version")) {
        steps.skip("TypeScript MCP client", "npm is not installed");
        return Ok(());
    }
    steps.step("TypeScript MCP client", || {
        run(program("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&directory))
    })
}

fn python_client(steps: &mut Steps) -> Result {
    let directory = clients("python");
    let (requirements, venv) = (directory.join("requirements.txt"), directory.join(".venv"));
    let stamp = venv.join("installed");
    if !requirements.is_file() || is_fresh(&stamp, &requirements) {
        return Ok(());
    }
    if !works(program("python3").args(["-c", "import venv, ensurepip"])) {
        steps.skip("Python MCP client", "python3-venv is not installed");
        return Ok(());
    }
    steps.step("Python MCP client", || {
        run(program("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        run(program(venv.join("bin/pip")).args(["install", "--quiet", "--requirement"]).arg(&requirements))?;
        Ok(std::fs::write(&stamp, "")?)
    })
}
