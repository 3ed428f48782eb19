//! Pages of the documentation that are rendered from the tables in the code. To add one, add a line to [`pages`].

mod annotations;
mod errors;

use std::{fs, path::PathBuf};

use nocrd_config::reference;

use crate::{
    Result,
    process::{cargo, run},
    root,
};

const BOOK: &str = "docs/book/src/reference";
const ERRORS: &str = "docs/errors";
const MARK: &str = "<!-- Rendered by `cargo xtask docs`; change the table in the code instead. -->\n\n";

/// A rendered page and where it belongs, relative to the workspace's root.
struct Page {
    path: PathBuf,
    text: String,
}

fn pages() -> Vec<Page> {
    let book = |name: &str, text: String| Page {
        path: PathBuf::from(BOOK).join(name),
        text: format!("{MARK}{text}"),
    };
    let mut pages = vec![
        book("settings.md", reference::settings_markdown()),
        book("annotations.md", annotations::page()),
        book("errors.md", errors::index()),
        book("help.md", reference::help_markdown()),
    ];
    pages.extend(
        errors::pages().map(|(name, text)| Page {
            path: PathBuf::from(ERRORS).join(name),
            text: format!("{MARK}{text}"),
        }),
    );
    pages
}

/// Pages of error codes that are no more.
fn leftovers(pages: &[Page]) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(root().join(ERRORS)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = PathBuf::from(ERRORS).join(entry?.file_name());
        if pages.iter().all(|page| page.path != path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// What is out of date, one sentence each.
pub(crate) fn stale() -> Result<Vec<String>> {
    let pages = pages();
    let is_stale =
        |page: &&Page| fs::read_to_string(root().join(&page.path)).ok().as_deref() != Some(&page.text);
    let mut found: Vec<_> = pages
        .iter()
        .filter(is_stale)
        .map(|page| format!("{}: out of date; run `cargo xtask docs`", page.path.display()))
        .collect();
    found.extend(
        leftovers(&pages)?.iter().map(|path| format!("{}: belongs to no error code", path.display())),
    );
    Ok(found)
}

/// Fails when a page is out of date.
pub(crate) fn check() -> Result {
    let stale = stale()?;
    for line in &stale {
        println!("{line}");
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("{} generated pages are out of date", stale.len()).into())
    }
}

/// Writes the pages that changed.
pub(crate) fn write() -> Result {
    let pages = pages();
    for path in leftovers(&pages)? {
        println!("removing {}", path.display());
        fs::remove_file(root().join(path))?;
    }
    for page in &pages {
        let path = root().join(&page.path);
        if fs::read_to_string(&path).ok().as_ref() == Some(&page.text) {
            continue;
        }
        println!("writing {}", page.path.display());
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&path, &page.text)?;
    }
    write_by_test()
}

/// The pages about tools and permissions come from crates that are large to build. Instead of linking them here, a test
/// of theirs checks the pages, and writes them when it is told to.
fn write_by_test() -> Result {
    let mut cargo = cargo();
    cargo.args(["test", "--quiet", "--package=nocrd-mcp-surface", "--test=it", "--", "reference_pages"]);
    run(cargo.env("NOCRD_WRITE_DOCS", "1"))
}
