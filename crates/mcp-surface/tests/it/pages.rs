//! The pages of the book that are rendered from this crate's tables. `cargo xtask docs` runs this test with
//! `NOCRD_WRITE_DOCS=1`, which writes them.

use std::{env, fs, path::Path};

const MARK: &str = "<!-- Rendered by `cargo xtask docs`; change the table in the code instead. -->\n\n";

#[test]
fn reference_pages_are_up_to_date() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src/reference");
    let pages = [
        ("tools.md", nocrd_mcp_surface::catalogue::reference_markdown()),
        ("resources.md", nocrd_mcp_surface::catalogue::resources_markdown()),
        ("permissions.md", nocrd_cluster::permissions::reference_markdown()),
    ];
    for (name, text) in pages {
        let (path, text) = (book.join(name), format!("{MARK}{text}"));
        if env::var_os("NOCRD_WRITE_DOCS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "{name} is out of date: run `cargo xtask docs`");
    }
}
