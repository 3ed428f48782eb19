//! Where programs of this machine are, and which parts of the machine containers are not shown.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The search path of a container that says nothing else, before what the machine's own adds.
const STANDARD: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// Value of `PATH` in containers: the standard directories, then those of our own that containers can see.
    pub(super) path: OsString,
    /// Our own directories, hidden ones included: where interpreters may be installed.
    own: Vec<PathBuf>,
    /// Directories containers do not see.
    pub(super) hidden: Vec<PathBuf>,
}

impl Search {
    /// Home directories are hidden, and so is everything in `more`.
    pub(super) fn new(more: &[PathBuf]) -> Self {
        let mut hidden: Vec<PathBuf> = vec!["/home".into(), "/root".into()];
        // A home directory of `/`, which some service users have, would hide everything.
        hidden.extend(env::home_dir().filter(|home| home.is_absolute() && home.parent().is_some()));
        hidden.extend(more.iter().cloned());
        let own: Vec<PathBuf> = env::var_os("PATH")
            .map(|path| env::split_paths(&path).filter(|dir| dir.is_absolute()).collect())
            .unwrap_or_default();
        let mut dirs: Vec<PathBuf> = env::split_paths(STANDARD).collect();
        let mut search = Self { path: STANDARD.into(), own, hidden };
        for dir in &search.own {
            if !dirs.contains(dir) && !search.is_hidden(dir) && dir.is_dir() {
                dirs.push(dir.clone());
            }
        }
        // Directories whose name has a colon can't be in a PATH; they came from one.
        if let Ok(path) = env::join_paths(dirs) {
            search.path = path;
        }
        search
    }

    fn is_hidden(&self, path: &Path) -> bool {
        self.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    /// A program on the search path; one that containers see anyway comes first.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        env::split_paths(&self.path)
            .chain(self.own.iter().cloned())
            .map(|dir| dir.join(program))
            .find(|candidate| is_executable(candidate))
    }

    /// The hidden files or directories without which a program can't run: its installation, if it looks like one of
    /// its own, else the bare file. Nothing, if the program is not hidden.
    pub(super) fn needed_by(&self, program: &Path) -> Vec<PathBuf> {
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let mut needed: Vec<PathBuf> = Vec::new();
        for file in [program, &real].into_iter().filter(|file| self.is_hidden(file)) {
            let path = self.installation(file).unwrap_or_else(|| file.to_owned());
            if !needed.contains(&path) {
                needed.push(path);
            }
        }
        needed
    }

    /// `x` of `x/bin/program`, unless `x` is a place where people keep more than programs.
    fn installation(&self, program: &Path) -> Option<PathBuf> {
        let bin = program.parent()?;
        if !matches!(bin.file_name()?.to_str()?, "bin" | "shims") {
            return None;
        }
        let prefix = bin.parent()?;
        let of_a_person = self.hidden.iter().any(|hidden| {
            hidden.starts_with(prefix)
                || prefix == hidden.join(".local")
                || prefix.parent() == Some(Path::new("/home"))
        });
        let of_a_person = of_a_person || prefix.file_name()?.to_str()? == ".local";
        (!of_a_person).then(|| prefix.to_owned())
    }
}

/// Whether a path names a file that somebody may execute.
pub(super) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_directories_come_first() {
        let search = Search::new(&[]);
        assert!(search.path.to_string_lossy().starts_with(STANDARD));
        assert!(
            env::split_paths(&search.path).all(|dir| !dir.starts_with("/home") && !dir.starts_with("/root"))
        );
    }

    #[test]
    fn an_installation_is_exposed_but_never_a_home() {
        let search = Search { path: STANDARD.into(), own: Vec::new(), hidden: vec!["/home".into()] };
        let of = |program: &str| search.needed_by(Path::new(program));
        assert_eq!(of("/home/a/.tool/v1/bin/node"), [PathBuf::from("/home/a/.tool/v1")]);
        assert_eq!(of("/home/a/bin/node"), [PathBuf::from("/home/a/bin/node")]);
        assert_eq!(of("/home/a/.local/bin/node"), [PathBuf::from("/home/a/.local/bin/node")]);
        assert_eq!(of("/home/bin/node"), [PathBuf::from("/home/bin/node")]);
        assert!(of("/usr/bin/node").is_empty());
    }
}
