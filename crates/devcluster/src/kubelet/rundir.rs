//! The directory the kubelet works in: volumes, logs, and what containers write to their own filesystems.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// What the names of such directories begin with.
pub(super) const PREFIX: &str = "nocrd-kubelet-";
const LOCK: &str = "lock";

/// A working directory that belongs to one process and goes with it.
#[derive(Debug)]
pub(super) struct RunDir {
    path: PathBuf,
    /// Locked as long as we live: how the next process tells our directory from one left behind.
    _lock: File,
}

impl RunDir {
    /// A new directory in `parent`. Those of processes that were killed are removed.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let parent = parent.canonicalize()?;
        remove_leftovers(&parent);
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&parent)?;
        let lock = File::create(dir.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { path: dir.keep(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        remove_tree(&self.path);
    }
}

fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        // One that has no lock yet is just being made.
        if let Ok(lock) = File::open(entry.path().join(LOCK))
            && lock.try_lock().is_ok()
        {
            remove_tree(&entry.path());
        }
    }
}

/// Removes a directory, even where a container took its permissions away. Symbolic links are not followed.
pub(super) fn remove_tree(path: &Path) {
    let removed = match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path)
        }
        other => other,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "a directory could not be removed");
        }
        _ => {}
    }
}

fn open_up(dir: &Path) {
    if fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).is_err() {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_when_dropped_and_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let first = RunDir::create(parent.path()).unwrap();
        let second = RunDir::create(parent.path()).unwrap();
        let (first_path, second_path) = (first.path().to_owned(), second.path().to_owned());
        assert!(first_path.is_dir() && second_path.is_dir());
        fs::create_dir(first_path.join("closed")).unwrap();
        fs::write(first_path.join("closed/file"), "x").unwrap();
        fs::set_permissions(first_path.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        drop(first);
        assert!(!first_path.exists() && second_path.is_dir());
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        let run = RunDir::create(parent.path()).unwrap();
        assert!(!left.exists() && run.path().is_dir());
    }
}
