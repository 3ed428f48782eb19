//! The volumes of a pod.

mod content;
mod files;

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use self::{content::Reader, files::Payload};
use super::{
    claims::Claims,
    fields::Fields,
    sandbox::Mount,
    spec::{ClaimVolume, HostPathVolume, Volume, VolumeMount},
};
use crate::{
    store::Store,
    tokens::{Issuer, Projected},
};

/// The volumes of one pod, as they are on this machine.
#[derive(Debug)]
pub(super) struct Volumes {
    dir: PathBuf,
    ready: HashMap<String, Ready>,
    tokens: Projected,
}

#[derive(Debug)]
struct Ready {
    path: PathBuf,
    /// Whether no mount of it is writable, as with content of ours.
    read_only: bool,
    /// What was written last, for volumes with content of ours.
    payload: Option<Payload>,
}

/// A volume that can't be had (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) volume: String,
    pub(super) why: String,
}

/// What volumes are made of.
pub(super) struct Context<'a> {
    pub(super) store: &'a Store,
    pub(super) fields: Fields<'a>,
    /// Directories of this machine that `hostPath` volumes may be in.
    pub(super) host_paths: &'a [PathBuf],
    pub(super) claims: &'a Claims,
    pub(super) issuer: &'a Issuer,
}

impl Volumes {
    /// `dir` is where they are made; it need not exist.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, ready: HashMap::new(), tokens: Projected::default() }
    }

    /// Makes what isn't there yet and brings content of ours up to date.
    pub(super) fn set_up(&mut self, context: &Context<'_>) -> Result<(), Failure> {
        for volume in &context.fields.spec.volumes {
            self.set_up_one(context, volume).map_err(|why| Failure { volume: volume.name.clone(), why })?;
        }
        Ok(())
    }

    fn set_up_one(&mut self, context: &Context<'_>, volume: &Volume) -> Result<(), String> {
        let dir = self.dir.join(&volume.name);
        let Some((kind, source)) = volume.source.iter().find(|(_, source)| !source.is_null()) else {
            // A volume that says nothing is an emptyDir.
            return self.empty_dir(&volume.name, dir);
        };
        let reader = Reader { store: context.store, fields: context.fields };
        match kind.as_str() {
            "emptyDir" => self.empty_dir(&volume.name, dir),
            "configMap" => self.content(&volume.name, dir, reader.config_map(&read(source)?)?),
            "secret" => self.content(&volume.name, dir, reader.secret(&read(source)?)?),
            "downwardAPI" => self.content(&volume.name, dir, reader.downward(&read(source)?)?),
            "projected" => {
                let payload = reader.projected(&read(source)?, context.issuer, &mut self.tokens)?;
                self.content(&volume.name, dir, payload)
            }
            "hostPath" => {
                let path = host_path(&read(source)?, context.host_paths)?;
                self.ready.insert(volume.name.clone(), Ready { path, read_only: false, payload: None });
                Ok(())
            }
            "persistentVolumeClaim" => {
                let ClaimVolume { claim_name, read_only } = read(source)?;
                if !self.ready.contains_key(&volume.name) {
                    let path = context.claims.attach(context.store, context.fields.pod, &claim_name)?;
                    self.ready.insert(volume.name.clone(), Ready { path, read_only, payload: None });
                }
                Ok(())
            }
            other => Err(format!("the embedded cluster has no volumes of type {other}")),
        }
    }

    fn empty_dir(&mut self, name: &str, path: PathBuf) -> Result<(), String> {
        if !self.ready.contains_key(name) {
            open_directory(&path).map_err(|error| error.to_string())?;
            self.ready.insert(name.to_owned(), Ready { path, read_only: false, payload: None });
        }
        Ok(())
    }

    fn content(&mut self, name: &str, path: PathBuf, payload: Payload) -> Result<(), String> {
        if self.ready.get(name).is_some_and(|ready| ready.payload.as_ref() == Some(&payload)) {
            return Ok(());
        }
        fs::create_dir_all(&path)
            .and_then(|()| files::replace(&path, &payload))
            .map_err(|error| error.to_string())?;
        self.ready.insert(name.to_owned(), Ready { path, read_only: true, payload: Some(payload) });
        Ok(())
    }

    /// What a container's mount shows. `sub_path` is its `subPath`, or its `subPathExpr` with the variables replaced.
    pub(super) fn mount(&self, mount: &VolumeMount, sub_path: &str) -> Result<Mount, String> {
        let ready =
            self.ready.get(&mount.name).ok_or_else(|| format!("volume {:?} not found", mount.name))?;
        let host = if sub_path.is_empty() {
            ready.path.clone()
        } else {
            within(&ready.path, sub_path).map_err(|error| {
                format!("failed to create subPath directory for volumeMount {:?}: {error}", mount.name)
            })?
        };
        let inside = Path::new("/").join(&mount.mount_path);
        Ok(Mount { inside, host, read_only: mount.read_only || ready.read_only })
    }
}

/// A directory that everybody may write to.
pub(super) fn open_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
}

fn read<T: for<'de> Deserialize<'de> + Default>(source: &Value) -> Result<T, String> {
    T::deserialize(source).map_err(|error| error.to_string())
}

/// A path in a volume, made as a directory if there is nothing. It can't lead out of the volume, by links neither.
fn within(volume: &Path, sub_path: &str) -> io::Result<PathBuf> {
    let outside = || io::Error::other(format!("{sub_path:?} leads out of the volume"));
    let sub_path = Path::new(sub_path);
    if !sub_path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
        return Err(outside());
    }
    let volume = volume.canonicalize()?;
    let mut done = volume.clone();
    for component in sub_path.components() {
        let next = done.join(component);
        if fs::symlink_metadata(&next).is_err() {
            fs::create_dir(&next)?;
        }
        done = next.canonicalize()?;
        if !done.starts_with(&volume) {
            return Err(outside());
        }
    }
    Ok(done)
}

fn host_path(volume: &HostPathVolume, allowed: &[PathBuf]) -> Result<PathBuf, String> {
    let wanted = Path::new(&volume.path);
    let refuse = || {
        let names: Vec<String> = allowed.iter().map(|path| path.display().to_string()).collect();
        let allowed = if names.is_empty() { "none".into() } else { names.join(", ") };
        format!(
            "hostPath {:?} is not in a directory the embedded cluster may use (allowed: {allowed})",
            volume.path
        )
    };
    let is_allowed =
        |path: &Path| allowed.iter().any(|dir| dir.canonicalize().is_ok_and(|dir| path.starts_with(dir)));
    if matches!(volume.r#type.as_str(), "DirectoryOrCreate" | "FileOrCreate") && !wanted.exists() {
        // What is about to be made must be allowed before it is.
        let parent = wanted.parent().and_then(|parent| parent.canonicalize().ok()).ok_or_else(refuse)?;
        if !is_allowed(&parent) {
            return Err(refuse());
        }
        let made = match volume.r#type.as_str() {
            "FileOrCreate" => fs::File::create(wanted).map(drop),
            _ => fs::create_dir(wanted),
        };
        made.map_err(|error| error.to_string())?;
    }
    let path = match wanted.canonicalize() {
        Ok(path) if is_allowed(&path) => path,
        Ok(_) => return Err(refuse()),
        Err(_) if allowed.is_empty() => return Err(refuse()),
        Err(error) => return Err(format!("hostPath {:?}: {error}", volume.path)),
    };
    let fits = match volume.r#type.as_str() {
        "Directory" | "DirectoryOrCreate" => path.is_dir(),
        "File" | "FileOrCreate" => path.is_file(),
        _ => true,
    };
    if fits {
        Ok(path)
    } else {
        Err(format!("hostPath type check failed: {} is not a {}", volume.path, volume.r#type))
    }
}

#[cfg(test)]
mod tests;
