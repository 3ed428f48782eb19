//! Containers without isolation: processes like any other, volumes as symbolic links.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Command, Request, Room, RoomKind, view::View};
use crate::kubelet::process::{Containment, Launch};

/// The links made on this machine.
#[derive(Debug)]
pub(in super::super) struct Plain {
    advice: String,
    /// By the path they are at: a mount path can belong to one pod at a time only.
    links: Mutex<HashMap<PathBuf, Link>>,
}

#[derive(Debug)]
struct Link {
    pod_uid: String,
    target: PathBuf,
}

impl Plain {
    /// `why` containers are not isolated.
    pub(super) fn new(why: &str) -> Self {
        let advice = format!(
            "containers run without isolation: {why}. Install bubblewrap (the command bwrap) and allow unprivileged \
             user namespaces to give each container its own processes and mount paths"
        );
        Self { advice, links: Mutex::default() }
    }

    pub(super) fn advice(&self) -> &str {
        &self.advice
    }

    pub(super) fn prepare(&self, request: Request<'_>) -> Result<Room, String> {
        for mount in &request.mounts {
            self.link(&mount.inside, &mount.host, request.pod_uid).map_err(|why| {
                format!("{} can't be mounted: {why}; {}", mount.inside.display(), self.advice)
            })?;
        }
        let home = request.dir.join("home");
        fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        Ok(Room { kind: RoomKind::Plain, view: View::default(), home })
    }

    fn link(&self, path: &Path, target: &Path, pod_uid: &str) -> Result<(), String> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(path) {
            return match link {
                link if link.pod_uid != pod_uid => Err("another pod has something mounted there".into()),
                link if link.target != target => Err("the pod has another volume mounted there".into()),
                _ => Ok(()),
            };
        }
        if path == target {
            // A hostPath at its own place.
            return Ok(());
        }
        let made = match symlink(target, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_left_over(path) => {
                fs::remove_file(path).and_then(|()| symlink(target, path))
            }
            // Of a kubelet that was killed, to a claim that it kept.
            Err(_) if fs::read_link(path).is_ok_and(|there| there == target) => Ok(()),
            other => other,
        };
        made.map_err(|error| error.to_string())?;
        links.insert(path.to_owned(), Link { pod_uid: pod_uid.into(), target: target.to_owned() });
        Ok(())
    }

    /// Removes the links of a pod.
    pub(super) fn release(&self, pod_uid: &str) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|path, link| {
            let ours = link.pod_uid == pod_uid;
            // Somebody may have put something else there meanwhile.
            if ours && fs::read_link(path).is_ok_and(|target| target == link.target) {
                let _ = fs::remove_file(path);
            }
            !ours
        });
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let links = self.links.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (path, link) in links.drain() {
            if fs::read_link(&path).is_ok_and(|target| target == link.target) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// A link into the directory of a kubelet that was killed.
fn is_left_over(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| {
        target.to_string_lossy().contains(crate::kubelet::rundir::PREFIX) && !target.exists()
    })
}

pub(super) fn launch(program: PathBuf, command: &Command) -> Launch {
    Launch {
        program,
        args: command.argv.iter().skip(1).cloned().collect(),
        env: command.env.clone(),
        cwd: Some(command.cwd.clone()),
        stdin: command.stdin,
        containment: Containment::Group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_path_belongs_to_one_pod_and_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, path) = (dir.path().join("volume"), dir.path().join("mount"));
        fs::create_dir(&volume).unwrap();
        let plain = Plain::new("test");
        plain.link(&path, &volume, "one").unwrap();
        plain.link(&path, &volume, "one").unwrap();
        assert!(plain.link(&path, dir.path(), "one").is_err());
        assert!(plain.link(&path, &volume, "two").is_err());
        plain.release("two");
        assert_eq!(fs::read_link(&path).unwrap(), volume);
        plain.release("one");
        assert!(fs::symlink_metadata(&path).is_err());
    }

    #[test]
    fn what_is_there_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let plain = Plain::new("test");
        assert!(plain.link(dir.path(), Path::new("/tmp"), "one").is_err());
        assert!(plain.link(&dir.path().join("no/parent"), Path::new("/tmp"), "one").is_err());
        let gone = dir.path().join("gone");
        symlink(format!("/nonexistent/{}x", crate::kubelet::rundir::PREFIX), &gone).unwrap();
        plain.link(&gone, Path::new("/tmp"), "one").unwrap();
        let same = dir.path().join("same");
        symlink("/tmp", &same).unwrap();
        plain.link(&same, Path::new("/tmp"), "one").unwrap();
    }
}
