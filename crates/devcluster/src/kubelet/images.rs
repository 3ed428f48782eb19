//! Images: names for programs that are on this machine already.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::paths;

/// What containers of one image run.
///
/// Nothing is pulled and no root filesystem changes hands: an image is a name for a program of this machine, matched by
/// repository, whatever the tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The repository, such as `python` or `ghcr.io/me/tool`. A tag or digest is ignored.
    pub name: String,
    /// What always runs (Docker's `ENTRYPOINT`); a container's `command` replaces it.
    pub entrypoint: Vec<OsString>,
    /// What follows the entrypoint (Docker's `CMD`) unless the container has `command` or `args`.
    pub command: Vec<OsString>,
    /// Environment that the container's own `env` overrides.
    pub env: Vec<(String, OsString)>,
    /// Files and directories the program needs from places that are otherwise hidden, such as a home directory.
    pub expose: Vec<PathBuf>,
}

impl Image {
    /// An image that runs `entrypoint`. If its program is an absolute path, it is made visible in the container.
    #[must_use]
    pub fn new(name: impl Into<String>, entrypoint: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let entrypoint: Vec<OsString> = entrypoint.into_iter().map(Into::into).collect();
        let expose = entrypoint.first().map(PathBuf::from).filter(|program| program.is_absolute());
        Self {
            name: name.into(),
            entrypoint,
            command: Vec::new(),
            env: Vec::new(),
            expose: expose.into_iter().collect(),
        }
    }

    fn shell(name: &str) -> Self {
        Self { command: vec!["/bin/sh".into()], ..Self::new(name, [""; 0]) }
    }
}

/// What the entrypoint of the official `node` image does: anything that isn't a command is for node itself.
const NODE_ENTRYPOINT: &str =
    r#"if [ "${1#-}" != "$1" ] || ! command -v "$1" >/dev/null 2>&1; then set -- node "$@"; fi; exec "$@""#;

/// The images of this cluster.
#[derive(Debug, Clone)]
pub(super) struct Images {
    known: Vec<Image>,
}

impl Images {
    /// The built-in images, and `more`, which take precedence.
    pub(super) fn new(more: Vec<Image>, search: &paths::Search) -> Self {
        let mut known = more;
        known.extend(["alpine", "bash", "busybox", "debian", "ubuntu"].map(Image::shell));
        if let Some(found) = search.find("python3") {
            known.push(interpreter("python", Image::new("python", [""; 0]), "python3", &found, search));
        }
        if let Some(found) = search.find("node") {
            let image = Image::new("node", ["/bin/sh", "-c", NODE_ENTRYPOINT, "node-entrypoint"]);
            known.push(interpreter("node", image, "node", &found, search));
        }
        Self { known }
    }

    /// The image a reference names.
    pub(super) fn find(&self, reference: &str) -> Option<&Image> {
        let wanted = repository(reference);
        self.known.iter().find(|image| repository(&image.name) == wanted)
    }

    /// Why there is no such image, and which there are.
    pub(super) fn unknown(&self, reference: &str) -> String {
        let mut names: Vec<&str> = self.known.iter().map(|image| image.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        format!(
            "the embedded cluster runs processes of this machine, not images, and knows no program for {reference:?}; \
             it knows {}. Use one of these images, or a cluster that can pull",
            names.join(", ")
        )
    }
}

/// The image of an interpreter that may be installed in somebody's home directory.
fn interpreter(name: &str, base: Image, program: &str, found: &Path, search: &paths::Search) -> Image {
    let mut image = Image { name: name.into(), command: vec![program.into()], ..base };
    let expose = search.needed_by(found);
    if let Some(dir) = found.parent().filter(|_| !expose.is_empty()) {
        let mut path = dir.as_os_str().to_owned();
        path.push(":");
        path.push(&search.path);
        image.env.push(("PATH".into(), path));
    }
    image.expose.extend(expose);
    image
}

/// The repository of a reference in its shortest form.
fn repository(reference: &str) -> &str {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    // A colon before the last slash belongs to a registry's port.
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let name =
        name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// A reference as container runtimes spell it out in a container's status.
pub(super) fn canonical(reference: &str) -> String {
    let name = repository(reference);
    let rest = reference
        .find(name)
        .and_then(|at| reference.get(at + name.len()..))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(":latest");
    format!("{}{rest}", qualified(name))
}

/// The `imageID` of a status. There is no image to take a digest of; the digest is that of the name.
pub(super) fn id(reference: &str) -> String {
    let name = qualified(repository(reference));
    let digest: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}@sha256:{digest}")
}

fn qualified(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_matched_by_repository() {
        for reference in [
            "busybox",
            "busybox:1.36",
            "docker.io/library/busybox",
            "docker.io/busybox:latest",
            "library/busybox",
            "index.docker.io/library/busybox:1@sha256:00",
        ] {
            assert_eq!(repository(reference), "busybox", "{reference}");
        }
        assert_eq!(repository("localhost:5000/me/tool:1"), "localhost:5000/me/tool");
        assert_eq!(repository("localhost:5000/me/tool"), "localhost:5000/me/tool");
    }

    #[test]
    fn statuses_spell_references_out() {
        assert_eq!(canonical("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(canonical("me/tool:2"), "docker.io/me/tool:2");
        assert_eq!(canonical("ghcr.io/me/tool@sha256:00"), "ghcr.io/me/tool@sha256:00");
        assert!(id("busybox:1").starts_with("docker.io/library/busybox@sha256:"));
        assert_eq!(id("busybox:1"), id("docker.io/library/busybox:2"));
    }

    #[test]
    fn a_registered_image_shadows_a_built_in_one() {
        let search = paths::Search::new(&[]);
        let images = Images::new(vec![Image::new("bash", ["/opt/bash"])], &search);
        assert_eq!(images.find("bash:5").unwrap().entrypoint, ["/opt/bash"]);
        assert!(images.find("nginx").is_none());
        let sentence = images.unknown("nginx:1");
        assert!(sentence.contains("\"nginx:1\"") && sentence.contains("busybox"), "{sentence}");
    }
}
