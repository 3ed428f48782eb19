//! The Rust files of the workspace.

use std::path::{Path, PathBuf};

use crate::{Result, root};

/// A source file.
pub(super) struct File {
    /// Relative to the workspace's root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    /// Whether it is an example of how to use a crate.
    pub(super) fn is_example(&self) -> bool {
        self.path.contains("/examples/")
    }

    /// Whether the whole file is test code.
    pub(super) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        let name = parts.next_back().unwrap_or_default();
        name == "tests.rs" || parts.any(|part| matches!(part, "tests" | "benches"))
    }

    pub(super) fn is_in(&self, directory: &str) -> bool {
        Path::new(&self.path).starts_with(directory)
    }
}

/// All Rust files that belong to the workspace.
pub(super) fn rust_sources() -> Result<Vec<File>> {
    let root = root();
    let mut paths = Vec::new();
    for directory in ["bins", "crates", "tests", "xtask"] {
        collect(&root.join(directory), &mut paths)?;
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let relative = path.strip_prefix(&root).unwrap_or(&path);
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            Ok(File { path: parts.join("/"), text })
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> Result {
    for entry in std::fs::read_dir(directory)? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if entry?.is_dir() {
            if !hidden && !path.ends_with("node_modules") && !path.ends_with("target") {
                collect(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
