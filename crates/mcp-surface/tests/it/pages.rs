//! The pages of the book and the manifests that are rendered from tables. `cargo xtask docs` runs this test with
//! `NOCRD_WRITE_DOCS=1`, which writes them.

use std::{env, fs, path::Path};

use nocrd_cluster::Scope;

const MARK: &str = "<!-- Rendered by `cargo xtask docs`; change the table in the code instead. -->\n\n";

#[test]
fn reference_pages_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let book = |page: String| format!("{MARK}{page}");
    let pages = [
        ("docs/book/src/reference/tools.md", book(nocrd_mcp_surface::catalogue::reference_markdown())),
        ("docs/book/src/reference/resources.md", book(nocrd_mcp_surface::catalogue::resources_markdown())),
        ("docs/book/src/reference/permissions.md", book(nocrd_cluster::permissions::reference_markdown())),
        ("deploy/kubernetes/rbac-cluster.yaml", nocrd_cluster::permissions::manifest(Scope::Cluster)),
        ("deploy/kubernetes/rbac-namespace.yaml", nocrd_cluster::permissions::manifest(Scope::Namespaced)),
    ];
    for (name, text) in pages {
        let path = root.join(name);
        if env::var_os("NOCRD_WRITE_DOCS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "{name} is out of date: run `cargo xtask docs`");
    }
}
