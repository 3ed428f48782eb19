//! Running other programs.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{Result, root};

/// A program, started in the workspace's root.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where cargo puts what it makes, and these tasks what they install.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let metadata: Value =
        serde_json::from_str(&output(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?)?;
    let directory =
        metadata["target_directory"].as_str().ok_or("cargo does not tell its target directory")?;
    Ok(directory.into())
}

/// Runs a program with our standard streams; it must succeed.
pub(crate) fn run(command: &mut Command) -> Result {
    println!("$ {}", shown(command));
    let status =
        command.status().map_err(|error| format!("can't run {:?}: {error}", command.get_program()))?;
    if status.success() { Ok(()) } else { Err(format!("{:?} ended with {status}", shown(command)).into()) }
}

/// Runs a program for its standard output; it must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("can't run {:?}: {error}", command.get_program()))?;
    if !output.status.success() {
        return Err(format!("{:?} ended with {}", shown(command), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a program is there and succeeds, without a word.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command line without the directory of the program.
fn shown(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(name).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
