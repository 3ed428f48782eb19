//! What a container sees of the filesystem: which path inside is which path of this machine.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

/// Links followed before a path is taken for a loop; as many as Linux follows.
const MAX_LINKS: usize = 40;

/// A file or directory of this machine, shown at a path inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Mount {
    /// Absolute path inside.
    pub(in super::super) inside: PathBuf,
    /// Path on this machine.
    pub(in super::super) host: PathBuf,
    /// Whether writing is refused.
    pub(in super::super) read_only: bool,
}

/// A view made of mounts. Without any, it is the machine as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    mounts: Vec<Mount>,
}

impl View {
    /// Adds a mount; it hides what was at that path.
    pub(super) fn add(&mut self, mount: Mount) {
        self.mounts.retain(|other| other.inside != mount.inside);
        self.mounts.push(mount);
    }

    /// All mounts, each after those it lies in.
    pub(super) fn in_order(&self) -> Vec<&Mount> {
        let mut mounts: Vec<&Mount> = self.mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.inside.components().count());
        mounts
    }

    /// Whether something is mounted at exactly this path.
    pub(super) fn is_mounted(&self, inside: &Path) -> bool {
        self.mounts.iter().any(|mount| mount.inside == inside)
    }

    /// Where a path without symbolic links is on this machine.
    pub(super) fn host_path(&self, inside: &Path) -> PathBuf {
        let mount = self
            .mounts
            .iter()
            .filter_map(|mount| Some((mount, inside.strip_prefix(&mount.inside).ok()?)))
            .min_by_key(|(_, rest)| rest.components().count());
        match mount {
            // Joining nothing would make a path to a file end in a slash.
            Some((mount, rest)) if rest.as_os_str().is_empty() => mount.host.clone(),
            Some((mount, rest)) => mount.host.join(rest),
            None => inside.to_owned(),
        }
    }

    /// Follows the symbolic links in a path as they resolve inside. What does not exist is kept as it is.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut todo: VecDeque<OsString> = VecDeque::new();
        let mut done = PathBuf::from("/");
        let mut links = 0;
        prepend(&mut todo, path);
        while let Some(component) = todo.pop_front() {
            if component == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&component);
            let target =
                if self.is_mounted(&next) { None } else { fs::read_link(self.host_path(&next)).ok() };
            let Some(target) = target else {
                done = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other(format!(
                    "too many levels of symbolic links in {}",
                    path.display()
                )));
            }
            if target.is_absolute() {
                done = PathBuf::from("/");
            }
            prepend(&mut todo, &target);
        }
        Ok(done)
    }

    /// What is at a path inside, on this machine, links followed.
    pub(super) fn locate(&self, inside: &Path) -> io::Result<PathBuf> {
        Ok(self.host_path(&self.resolve(inside)?))
    }
}

fn prepend(todo: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => todo.push_front(name.to_owned()),
            Component::ParentDir => todo.push_front("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mount(inside: &str, host: &Path) -> Mount {
        Mount { inside: inside.into(), host: host.to_owned(), read_only: false }
    }

    #[test]
    fn the_deepest_mount_decides() {
        let mut view = View::default();
        view.add(mount("/", Path::new("/layer")));
        view.add(mount("/a/b", Path::new("/volume")));
        view.add(mount("/a", Path::new("/other")));
        let order: Vec<_> = view.in_order().iter().map(|mount| mount.inside.clone()).collect();
        assert_eq!(order, ["/", "/a", "/a/b"].map(PathBuf::from));
        assert_eq!(view.host_path(Path::new("/a/b/c")), Path::new("/volume/c"));
        assert_eq!(view.host_path(Path::new("/a/bc")), Path::new("/other/bc"));
        assert_eq!(view.host_path(Path::new("/x")), Path::new("/layer/x"));
        assert_eq!(view.host_path(Path::new("/a/b")), Path::new("/volume"));
    }

    #[test]
    fn links_resolve_inside() {
        let dir = tempfile::tempdir().unwrap();
        let layer = dir.path().join("layer");
        fs::create_dir_all(layer.join("usr/bin")).unwrap();
        symlink("usr/bin", layer.join("bin")).unwrap();
        symlink("/usr/../data", layer.join("link")).unwrap();
        symlink("loop", layer.join("loop")).unwrap();
        let mut view = View::default();
        view.add(mount("/", &layer));
        assert_eq!(view.resolve(Path::new("/bin/sh")).unwrap(), Path::new("/usr/bin/sh"));
        assert_eq!(view.resolve(Path::new("/link/x")).unwrap(), Path::new("/data/x"));
        assert_eq!(view.resolve(Path::new("/../../x/./y")).unwrap(), Path::new("/x/y"));
        assert!(view.resolve(Path::new("/loop/x")).is_err());
        assert_eq!(view.locate(Path::new("/bin")).unwrap(), layer.join("usr/bin"));
    }

    #[test]
    fn a_mount_hides_a_link() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/elsewhere", dir.path().join("data")).unwrap();
        let mut view = View::default();
        view.add(mount("/", dir.path()));
        view.add(mount("/data", Path::new("/volume")));
        assert_eq!(view.resolve(Path::new("/data/x")).unwrap(), Path::new("/data/x"));
    }
}
