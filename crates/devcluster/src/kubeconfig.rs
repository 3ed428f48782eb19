//! The file that lets clients find the cluster.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::server::Token;

/// Name of the cluster, the user and the context.
const NAME: &str = "nocrd-dev";

/// The kubeconfig of a cluster at `url`.
pub(crate) fn render(url: &str, authority_pem: &str, token: &Token, namespace: &str) -> String {
    let authority = STANDARD.encode(authority_pem);
    let token = token.reveal();
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {NAME}
  cluster:
    server: {url}
    certificate-authority-data: {authority}
users:
- name: {NAME}
  user:
    token: {token}
contexts:
- name: {NAME}
  context:
    cluster: {NAME}
    user: {NAME}
    namespace: {namespace}
current-context: {NAME}
"
    )
}

/// Writes it for the owner's eyes only, in one step: a reader sees the old file or the new one.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    fs::create_dir_all(dir)?;
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_private_and_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/kubeconfig");
        write(&path, "one").expect("written");
        write(&path, "two").expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("read"), "two");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        }
    }
}
