//! Links between the pages of the documentation lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Result, root};

pub(super) fn check() -> Result<Vec<String>> {
    let root = root();
    let mut pages = Vec::new();
    collect(&root, &mut pages)?;
    let mut findings = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
        let directory = page.parent().unwrap_or(&root);
        findings.extend(targets(&text).filter(|target| !directory.join(target).exists()).map(|target| {
            format!(
                "{}: the link to {target} leads nowhere",
                page.strip_prefix(&root).unwrap_or(&page).display()
            )
        }));
    }
    Ok(findings)
}

/// All Markdown files that are not somebody else's.
fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> Result {
    for entry in fs::read_dir(directory)? {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if kind?.is_dir() {
            if !name.starts_with('.') && name != "node_modules" && name != "target" {
                collect(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// The targets of a page's links to other files, without their anchors. Code is left out: a line of a fenced block, and
/// what stands between backticks.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
        .flat_map(|line| line.split('`').step_by(2))
        .flat_map(|prose| prose.split("](").skip(1))
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn links_to_files_are_found() {
        let text = "[a](a.md) and [b](../b.md#part), [c](https://c/), [d](#d) `[e](e.md)`\n```\n[f](f.md)\n```\n[`g`](g.md)";
        let found: Vec<_> = super::targets(text).collect();
        assert_eq!(found, ["a.md", "../b.md", "g.md"]);
    }
}
