//! Files that are all replaced at one instant.
//!
//! The layout is that of a real kubelet: the files are in a directory with a name of its own, `..data` is a link to it,
//! and what the container reads are links through `..data`. Replacing that one link replaces everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Component, Path},
};

use uuid::Uuid;

const DATA: &str = "..data";

/// Files by their path in the volume.
pub(super) type Payload = BTreeMap<String, File>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    /// Permission bits.
    pub(super) mode: u32,
}

/// Whether a path stays in the volume and can't be mistaken for the layout's own names.
pub(super) fn is_valid(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some()
        && !path.starts_with("..")
        && components.all(|component| matches!(component, Component::Normal(_)))
}

/// Makes `payload` the content of the volume at `dir`. Its paths must be [valid](is_valid).
pub(super) fn replace(dir: &Path, payload: &Payload) -> io::Result<()> {
    let data = dir.join(DATA);
    let old = fs::read_link(&data).ok();
    let new = format!("..{}", Uuid::now_v7().simple());
    let place = dir.join(&new);
    fs::create_dir_all(&place)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
    let mut tops: BTreeSet<&OsStr> = BTreeSet::new();
    for (path, file) in payload {
        tops.extend(Path::new(path).iter().next());
        let target = place.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, &file.content)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(file.mode & 0o777))?;
    }
    let link = dir.join("..data_tmp");
    let _ = fs::remove_file(&link);
    symlink(&new, &link)?;
    fs::rename(&link, &data)?;
    for top in &tops {
        let visible = dir.join(top);
        if fs::symlink_metadata(&visible).is_err() {
            symlink(Path::new(DATA).join(top), visible)?;
        }
    }
    for stale in stale_links(dir, &tops)? {
        fs::remove_file(dir.join(stale))?;
    }
    if let Some(old) = old {
        fs::remove_dir_all(dir.join(old))?;
    }
    Ok(())
}

/// Links through `..data` to what is no longer there. Anything else in the directory is a mount point and stays.
fn stale_links(dir: &Path, wanted: &BTreeSet<&OsStr>) -> io::Result<Vec<OsString>> {
    let mut stale = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if wanted.contains(name.as_os_str()) {
            continue;
        }
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(DATA)) {
            stale.push(name);
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str, u32)]) -> Payload {
        files
            .iter()
            .map(|(path, content, mode)| {
                (path.to_string(), File { content: content.as_bytes().to_vec(), mode: *mode })
            })
            .collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with(".."))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_written_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        replace(dir, &payload(&[("a", "1", 0o644), ("sub/b", "2", 0o400), ("sub/c", "3", 0o755)])).unwrap();
        assert_eq!(names(dir), ["a", "sub"]);
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "1");
        assert_eq!(fs::metadata(dir.join("sub/b")).unwrap().permissions().mode() & 0o777, 0o400);
        let before = fs::read_link(dir.join(DATA)).unwrap();
        replace(dir, &payload(&[("a", "new", 0o644)])).unwrap();
        assert_eq!(names(dir), ["a"]);
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "new");
        assert!(!dir.join(before).exists());
        replace(dir, &Payload::new()).unwrap();
        assert!(names(dir).is_empty());
    }

    #[test]
    fn paths_stay_inside() {
        for good in ["a", "a/b", ".hidden", "a/..b"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "/a", "../a", "a/../b", "..data", "./a"] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
