//! Debian packages.

use crate::{
    Result,
    process::{program, run, works},
    steps::Steps,
};

/// A Debian package, and a command that succeeds where it is installed.
struct Package {
    name: &'static str,
    probe: &'static [&'static str],
    /// What it is for.
    purpose: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "bubblewrap",
        probe: &["bwrap", "--version"],
        purpose: "confinement in the embedded cluster",
    },
    Package {
        name: "nginx-light",
        // It is not on everybody's path.
        probe: &["sh", "-c", "PATH=$PATH:/usr/sbin nginx -v"],
        purpose: "an ingress before the server's halves",
    },
    Package { name: "chromium", probe: &["chromium", "--version"], purpose: "signing in with a browser" },
    Package {
        name: "python3-venv",
        probe: &["python3", "-c", "import venv, ensurepip"],
        purpose: "the Python MCP client",
    },
];

/// Installs the packages that are missing, where that is possible without asking anybody.
pub(super) fn packages(steps: &mut Steps) -> Result {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    let Some(root_prefix) = administrator() else {
        for package in &missing {
            steps.skip(
                &format!("system package {}", package.name),
                &format!("not installed and no right to do so; needed for {}", package.purpose),
            );
        }
        return Ok(());
    };
    steps.step(&format!("system packages: {}", names.join(", ")), || {
        let apt = |args: &[&str]| {
            let mut words =
                root_prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            let name = words.next().unwrap_or("apt-get");
            run(program(name).args(words).args(args))
        };
        apt(&["update", "-q"])?;
        apt(&[&["install", "-y", "-q", "--no-install-recommends"], names.as_slice()].concat())
    })
}

fn is_installed(package: &&Package) -> bool {
    let [name, args @ ..] = package.probe else { return true };
    works(program(name).args(args))
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
