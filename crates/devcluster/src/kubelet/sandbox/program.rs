//! Finding the program of a command as the container sees it, before it is started: afterwards there is no telling a
//! program that isn't there from one that fails.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Command, view::View};
use crate::kubelet::paths::is_executable;

/// Why a command can't be started, in the words of a container runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("exec: {program:?}: {cause}")]
pub(in super::super) struct StartError {
    program: String,
    cause: String,
}

impl StartError {
    pub(in super::super) fn new(program: &OsStr, cause: impl Into<String>) -> Self {
        Self { program: program.to_string_lossy().into_owned(), cause: cause.into() }
    }
}

/// Path inside of a command's program.
pub(super) fn find(view: &View, command: &Command) -> Result<PathBuf, StartError> {
    let empty = OsString::new();
    let program = command.argv.first().unwrap_or(&empty);
    let fail = |cause: String| StartError::new(program, cause);
    if command.argv.iter().any(|arg| arg.as_bytes().contains(&0)) {
        return Err(fail("invalid argument".into()));
    }
    if program.is_empty() {
        return Err(fail("no command specified".into()));
    }
    if program.as_bytes().contains(&b'/') {
        let path = command.cwd.join(program);
        return match look(view, &path) {
            Found::Executable => Ok(path),
            Found::Directory => Err(fail("is a directory".into())),
            Found::File => Err(fail("permission denied".into())),
            Found::Nothing => Err(fail(format!("stat {}: no such file or directory", path.display()))),
        };
    }
    let path = command.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let mut denied = false;
    for dir in env::split_paths(path.unwrap_or_default()).filter(|dir| dir.is_absolute()) {
        let candidate = dir.join(program);
        match look(view, &candidate) {
            Found::Executable => return Ok(candidate),
            Found::File => denied = true,
            Found::Directory | Found::Nothing => {}
        }
    }
    Err(fail(if denied { "permission denied".into() } else { "executable file not found in $PATH".into() }))
}

enum Found {
    Executable,
    File,
    Directory,
    Nothing,
}

fn look(view: &View, inside: &Path) -> Found {
    let Ok(host) = view.locate(inside) else { return Found::Nothing };
    if is_executable(&host) {
        return Found::Executable;
    }
    match host.metadata() {
        Ok(meta) if meta.is_dir() => Found::Directory,
        Ok(_) => Found::File,
        Err(_) => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str], path: &str) -> Command {
        Command {
            argv: argv.iter().map(OsString::from).collect(),
            env: vec![("PATH".into(), path.into())],
            cwd: "/etc".into(),
            stdin: false,
        }
    }

    #[test]
    fn programs_are_found_or_missed_in_a_runtimes_words() {
        let view = View::default();
        assert_eq!(find(&view, &command(&["sh"], "/nonexistent:/bin")).unwrap(), Path::new("/bin/sh"));
        assert_eq!(find(&view, &command(&["/bin/sh"], "")).unwrap(), Path::new("/bin/sh"));
        let words = |argv: &[&str]| find(&view, &command(argv, "/bin:/usr/bin")).unwrap_err().to_string();
        assert_eq!(
            words(&["no-such-program"]),
            r#"exec: "no-such-program": executable file not found in $PATH"#
        );
        assert_eq!(words(&["/no/such"]), r#"exec: "/no/such": stat /no/such: no such file or directory"#);
        assert_eq!(words(&["/etc"]), r#"exec: "/etc": is a directory"#);
        assert_eq!(words(&["./passwd"]), r#"exec: "./passwd": permission denied"#);
        assert_eq!(words(&[]), r#"exec: "": no command specified"#);
        assert!(words(&["sh", "a\0b"]).contains("invalid argument"));
    }
}
