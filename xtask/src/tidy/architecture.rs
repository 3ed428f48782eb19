//! ARCHITECTURE.md names every crate.

use crate::{Result, root, tidy::dependencies::Package};

const FILE: &str = "ARCHITECTURE.md";

pub(super) fn check(packages: &[Package]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    Ok(packages
        .iter()
        .filter(|package| !text.contains(&format!("`{}`", package.name)))
        .map(|package| format!("{FILE}: the package `{}` is missing from the table of crates", package.name))
        .collect())
}
