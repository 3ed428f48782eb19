//! Brings what the tests need onto a bare machine: system packages, programs in other languages, kubectl.

mod clients;
mod kubectl;
mod system;

use std::{ffi::OsString, fs, path::Path, process::Command};

use crate::{Result, steps::Steps};

/// Where the tests find what was installed for them.
pub(crate) struct Prepared {
    variables: Vec<(&'static str, OsString)>,
}

impl Prepared {
    /// Tells a command that runs tests.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
}

/// Installs what is missing.
pub(crate) fn all(steps: &mut Steps) -> Result<Prepared> {
    system::packages(steps)?;
    clients::node(steps)?;
    let python = clients::python(steps)?;
    let kubectl = kubectl::program_path(steps)?;
    let variables = vec![("NOCRD_TEST_PYTHON", python.into()), ("NOCRD_TEST_KUBECTL", kubectl.into())];
    Ok(Prepared { variables })
}

/// Does some work unless it was done before for the same `input`, which the file `stamp` tells.
fn unless_done(stamp: &Path, input: &str, work: impl FnOnce() -> Result) -> Result {
    if fs::read_to_string(stamp).is_ok_and(|done| done == input) {
        return Ok(());
    }
    work()?;
    fs::write(stamp, input).map_err(|error| format!("{}: {error}", stamp.display()).into())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_once_for_an_input() {
        let directory = tempfile::tempdir().unwrap();
        let stamp = directory.path().join("stamp");
        let mut done = Vec::new();
        for input in ["a", "a", "b"] {
            unless_done(&stamp, input, || {
                done.push(input);
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(done, ["a", "b"]);
        let failure = unless_done(&stamp, "c", || Err("it failed".into()));
        assert!(failure.is_err());
        assert_eq!(fs::read_to_string(&stamp).unwrap(), "b");
    }
}
