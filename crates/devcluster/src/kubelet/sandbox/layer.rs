//! The root filesystem of a sandboxed container: a directory of our own, onto which the machine's directories are
//! mounted read-only, and in which mount points are made.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{
    Request,
    view::{Mount, View},
};
use crate::kubelet::paths::Search;

/// Directories of `/` that containers have of their own.
const OWN: [&str; 6] = ["dev", "home", "proc", "root", "run", "tmp"];

/// Directories of `/` that are nothing to containers.
const LEFT_OUT: [&str; 3] = ["boot", "lost+found", "media"];

/// Entries of a directory that are mounted one by one to make room for a mount point between them. More would make
/// starting slow.
const MAX_SIBLINGS: usize = 512;

/// The view of a container, as it is built.
pub(super) struct Layer<'a> {
    dir: &'a Path,
    ours: [&'a Path; 2],
    view: View,
    hollows: usize,
}

impl<'a> Layer<'a> {
    /// Builds the view a request asks for.
    pub(super) fn build(request: &Request<'a>, search: &Search) -> Result<View, String> {
        let mut layer = Self { dir: request.dir, ours: request.ours, view: View::default(), hollows: 0 };
        let base = |error: io::Error| format!("the container's root filesystem can't be made: {error}");
        layer.root().map_err(base)?;
        layer.hide(&search.hidden).map_err(base)?;
        layer.hosts(request.hosts).map_err(base)?;
        for path in request.expose.iter().chain(&machine_specific()).filter(|path| path.exists()) {
            layer.mount(path, path, true)?;
        }
        let mut mounts: Vec<&Mount> = request.mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.inside.components().count());
        for mount in mounts {
            layer.mount(&mount.inside, &mount.host, mount.read_only)?;
        }
        if let Some((inside, host)) = request.termination_message {
            layer.mount(inside, host, false)?;
        }
        let cwd = layer.view.resolve(request.working_dir).map_err(|error| error.to_string())?;
        layer
            .make_room(&cwd, true)
            .map_err(|error| format!("working directory {}: {error}", request.working_dir.display()))?;
        Ok(layer.view)
    }

    fn own_dir(&self, name: &str, mode: u32) -> io::Result<PathBuf> {
        let path = self.dir.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path)
    }

    fn show(&mut self, inside: impl Into<PathBuf>, host: impl Into<PathBuf>, read_only: bool) {
        self.view.add(Mount { inside: inside.into(), host: host.into(), read_only });
    }

    /// The machine's directories and links in `/`, and our own `/tmp`, `/run`, `/home` and `/root`.
    fn root(&mut self) -> io::Result<()> {
        let root = self.own_dir("root", 0o755)?;
        for name in OWN {
            fs::create_dir_all(root.join(name))?;
        }
        self.show("/", &root, false);
        for entry in fs::read_dir("/")? {
            let entry = entry?;
            let name = entry.file_name();
            if OWN.iter().chain(&LEFT_OUT).any(|other| name == *other) {
                continue;
            }
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_symlink() {
                symlink(fs::read_link(&path)?, root.join(&name))?;
            } else if kind.is_dir() {
                fs::create_dir(root.join(&name))?;
                self.show(&path, &path, true);
            }
        }
        let tmp = self.own_dir("tmp", 0o1777)?;
        self.show("/tmp", tmp, false);
        if Path::new("/var/tmp").is_dir() {
            let tmp = self.own_dir("var-tmp", 0o1777)?;
            self.show("/var/tmp", tmp, false);
        }
        // What is really there is made by the sandbox; for finding programs the machine's are as good.
        self.show("/dev", "/dev", false);
        self.show("/proc", "/proc", false);
        Ok(())
    }

    /// Shows something empty in place of what nobody shall see.
    fn hide(&mut self, hidden: &[PathBuf]) -> io::Result<()> {
        for (number, path) in hidden.iter().enumerate() {
            let Ok(path) = self.view.resolve(path) else { continue };
            let seen = self.view.host_path(&path);
            if seen.starts_with(self.dir) {
                continue;
            }
            match seen.metadata() {
                Ok(meta) if meta.is_dir() => {
                    let empty = self.own_dir(&format!("hidden-{number}"), 0o755)?;
                    self.show(path, empty, true);
                }
                Ok(_) => {
                    let empty = self.dir.join(format!("hidden-{number}"));
                    fs::write(&empty, "")?;
                    self.show(path, empty, true);
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// `/etc/hosts` of the machine with the pod's own lines.
    fn hosts(&mut self, lines: &str) -> io::Result<()> {
        let Ok(path) = self.view.resolve(Path::new("/etc/hosts")) else { return Ok(()) };
        let Ok(mut hosts) = fs::read_to_string(self.view.host_path(&path)) else { return Ok(()) };
        if !hosts.is_empty() && !hosts.ends_with('\n') {
            hosts.push('\n');
        }
        hosts.push_str(lines);
        let file = self.dir.join("hosts");
        fs::write(&file, hosts)?;
        self.show(path, file, false);
        Ok(())
    }

    fn mount(&mut self, inside: &Path, host: &Path, read_only: bool) -> Result<(), String> {
        let fail = |error: io::Error| format!("{} can't be mounted: {error}", inside.display());
        let inside = self.view.resolve(inside).map_err(fail)?;
        if inside == Path::new("/") || inside.starts_with("/proc") || inside.starts_with("/sys") {
            return Err(fail(io::Error::other("nothing can be mounted there")));
        }
        let is_dir = host.metadata().map_err(fail)?.is_dir();
        self.make_room(&inside, is_dir).map_err(fail)?;
        self.show(inside, host, read_only);
        Ok(())
    }

    /// Makes sure that there is a directory, or a file, at a path inside.
    fn make_room(&mut self, inside: &Path, is_dir: bool) -> io::Result<()> {
        if let Ok(meta) = self.view.host_path(inside).metadata() {
            return match (meta.is_dir(), is_dir) {
                (true, false) => Err(io::Error::other("a file can't be mounted over a directory")),
                (false, true) => Err(io::Error::other("there is a file in its place")),
                _ => Ok(()),
            };
        }
        if inside.starts_with("/dev") {
            // The sandbox's own, empty directory; it makes the mount point itself.
            return Ok(());
        }
        let existing = inside.ancestors().skip(1).find(|ancestor| self.view.host_path(ancestor).exists());
        let existing = existing.unwrap_or(Path::new("/")).to_owned();
        let place = self.view.host_path(&existing);
        if !place.is_dir() {
            return Err(io::Error::other(format!("{} is not a directory", existing.display())));
        }
        if !self.ours.iter().any(|ours| place.starts_with(ours)) {
            self.hollow_out(&existing, &place)?;
        }
        let target = self.view.host_path(inside);
        if is_dir {
            return fs::create_dir_all(target);
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create(target).map(drop)
    }

    /// Replaces a directory of the machine by one of ours with the same entries, in which mount points can be made.
    fn hollow_out(&mut self, inside: &Path, place: &Path) -> io::Result<()> {
        let entries: Vec<fs::DirEntry> = fs::read_dir(place)?.collect::<io::Result<_>>()?;
        if entries.len() > MAX_SIBLINGS {
            return Err(io::Error::other(format!(
                "{} is a directory of this machine with too many entries to make a mount point between them",
                inside.display()
            )));
        }
        self.hollows += 1;
        let hollow = self.own_dir(&format!("hollow-{}", self.hollows), 0o755)?;
        for entry in entries {
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let (copy, shown) = (hollow.join(&name), inside.join(&name));
            if kind.is_symlink() {
                symlink(fs::read_link(entry.path())?, copy)?;
                continue;
            } else if kind.is_dir() {
                fs::create_dir(copy)?;
            } else if kind.is_file() {
                fs::File::create(copy)?;
            } else {
                continue;
            }
            if !self.view.is_mounted(&shown) {
                self.show(shown, entry.path(), true);
            }
        }
        self.show(inside, hollow, false);
        Ok(())
    }
}

/// Places outside the usual directories that programs of some machines can't do without: the target of
/// `/etc/resolv.conf`, and the programs of NixOS.
fn machine_specific() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = vec!["/run/current-system".into()];
    places.extend(fs::canonicalize("/etc/resolv.conf").ok().filter(|path| path.starts_with("/run")));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(dir: &Path, mounts: &[(&str, &Path)]) -> Result<View, String> {
        let request = Request {
            dir: &dir.join("layer"),
            ours: [dir, dir],
            pod_uid: "uid",
            hostname: "pod",
            hosts: "127.1.0.1\tpod\n",
            mounts: mounts
                .iter()
                .map(|(inside, host)| Mount {
                    inside: inside.into(),
                    host: host.to_path_buf(),
                    read_only: false,
                })
                .collect(),
            termination_message: None,
            expose: &[],
            working_dir: Path::new("/made/for/work"),
        };
        Layer::build(&request, &Search::new(&[]))
    }

    #[test]
    fn mount_points_are_made_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let volume = dir.join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("file"), "").unwrap();
        let file = volume.join("file");
        let view = build(
            &dir,
            &[
                ("/workspace", &volume),
                ("/workspace/nested/deep", &volume),
                ("/etc/not-there/yet", &volume),
                ("/etc/one.conf", &file),
                ("/usr/../opt", &volume),
            ],
        )
        .unwrap();
        assert_eq!(view.host_path(Path::new("/workspace/x")), volume.join("x"));
        assert!(volume.join("nested/deep").is_dir());
        assert_eq!(view.host_path(Path::new("/etc/not-there/yet")), volume);
        assert_eq!(view.host_path(Path::new("/etc/passwd")), Path::new("/etc/passwd"));
        assert_eq!(view.host_path(Path::new("/etc/one.conf")), file);
        assert_eq!(view.host_path(Path::new("/opt/x")), volume.join("x"));
        assert!(dir.join("layer/root/made/for/work").is_dir());
        let hosts = fs::read_to_string(view.host_path(Path::new("/etc/hosts"))).unwrap();
        assert!(hosts.ends_with("127.1.0.1\tpod\n"));
    }

    #[test]
    fn some_places_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let volume = dir.join("volume");
        fs::create_dir(&volume).unwrap();
        for inside in ["/", "/proc/x", "/sys", "/etc/passwd", "/etc/passwd/x"] {
            let _ = fs::remove_dir_all(dir.join("layer"));
            assert!(build(&dir, &[(inside, &volume)]).is_err(), "{inside}");
        }
    }

    #[test]
    fn homes_are_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let view = build(&dir, &[]).unwrap();
        for path in ["/root/.ssh", "/home/me", "/tmp/x", "/run/user"] {
            assert!(view.host_path(Path::new(path)).starts_with(&dir), "{path}");
        }
    }
}
