//! What is behind claims: a directory for each, by its uid, until the claim is gone and no pod has it mounted.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{rundir, sources, volumes::open_directory};
use crate::{
    kind::Kind,
    object,
    resources::claim,
    store::{Change, Store, Watch},
};

const KIND: Kind = Kind::PersistentVolumeClaim;

/// The directories of all claims.
pub(super) struct Claims {
    dir: PathBuf,
    /// By a claim's uid, those of the pods that have it mounted.
    users: Mutex<HashMap<String, HashSet<String>>>,
    /// A claim is not mounted any more.
    detached: Notify,
}

impl Claims {
    /// With directories in `dir`, those that are there already included.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        Ok(Self { dir: dir.canonicalize()?, users: Mutex::default(), detached: Notify::new() })
    }

    /// Where they are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, HashSet<String>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of a claim that a pod names, made if this is its first use.
    pub(super) fn attach(&self, store: &Store, pod: &Value, name: &str) -> Result<PathBuf, String> {
        let claim =
            store.get(KIND, object::namespace(pod), name).map_err(|_| sources::missing(KIND, name))?;
        if !claim::is_bound(&claim) {
            return Err(format!("{} {name:?} is not bound", KIND.singular()));
        }
        let uid = object::uid(&claim);
        self.users().entry(uid.to_owned()).or_default().insert(object::uid(pod).to_owned());
        let path = self.dir.join(uid);
        open_directory(&path).map_err(|error| error.to_string())?;
        Ok(path)
    }

    /// Nothing of the pod runs any more.
    pub(super) fn detach(&self, pod_uid: &str) {
        let mut users = self.users();
        let before = users.len();
        users.retain(|_, pods| {
            pods.remove(pod_uid);
            !pods.is_empty()
        });
        if users.len() < before {
            self.detached.notify_one();
        }
    }

    /// Removes the directories that are nobody's.
    fn clear(&self, store: &Store) {
        // Those that are there, before those that should be: a claim that comes between the two looks is safe.
        let there: Vec<fs::DirEntry> = fs::read_dir(&self.dir).into_iter().flatten().flatten().collect();
        let mut wanted: HashSet<String> =
            store.list(KIND, None).items.iter().map(|claim| object::uid(claim).to_owned()).collect();
        wanted.extend(self.users().keys().cloned());
        for entry in there {
            if !entry.file_name().to_str().is_some_and(|name| wanted.contains(name)) {
                rundir::remove_tree(&entry.path());
            }
        }
    }
}

/// Removes directories when their claims are gone, those that went while no kubelet ran included.
pub(super) async fn clear(claims: Arc<Claims>, store: Store, shutdown: CancellationToken) {
    // A watch that lagged behind is begun anew; what it missed is seen by looking.
    while let Ok((_, mut changes)) = store.list_and_watch(KIND) {
        let mut keeps_up = true;
        while keeps_up {
            let looking = (claims.clone(), store.clone());
            let looked = tokio::task::spawn_blocking(move || looking.0.clear(&looking.1));
            if looked.await.is_err() {
                return;
            }
            tokio::select! {
                told = deletion(&mut changes) => keeps_up = told,
                () = claims.detached.notified() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

/// Waits until a claim is gone. Answers `false` when changes were missed.
async fn deletion(changes: &mut Watch) -> bool {
    loop {
        match changes.next().await {
            Some(Ok(event)) if event.change == Change::Deleted => return true,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_directory_stays_for_its_claim_and_for_its_users() {
        let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
        let claims = Claims::open(&dir.path().join("claims")).unwrap();
        let pod = json!({ "metadata": { "name": "p", "namespace": "n", "uid": "pod" } });
        let attach = |name: &str| claims.attach(&store, &pod, name);
        assert_eq!(attach("c").unwrap_err(), r#"persistentvolumeclaim "c" not found"#);
        for name in ["c", "other"] {
            let meta = json!({ "name": name, "namespace": "n", "uid": name });
            store.create(KIND, json!({ "metadata": meta, "status": { "phase": "Bound" } })).unwrap();
        }
        let meta = json!({ "name": "unbound", "namespace": "n" });
        store.create(KIND, json!({ "metadata": meta, "status": { "phase": "Pending" } })).unwrap();
        assert_eq!(attach("unbound").unwrap_err(), r#"persistentvolumeclaim "unbound" is not bound"#);
        let (path, other) = (attach("c").unwrap(), attach("other").unwrap());
        fs::write(path.join("file"), "x").unwrap();
        assert_eq!(attach("c").unwrap(), path);
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "x");
        fs::create_dir(claims.dir().join("of-nobody")).unwrap();

        store.delete(KIND, "n", "c", &crate::store::Preconditions::none()).unwrap();
        claims.clear(&store);
        assert!(path.is_dir() && other.is_dir() && !claims.dir().join("of-nobody").exists());
        claims.detach("pod");
        claims.clear(&store);
        assert!(!path.exists() && other.is_dir());
    }
}
