//! A real identity provider: `tests/clients/oidc`, a certified one, as a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
};

use serde_json::Value;

use super::server::Env;
use crate::tools;

/// The running provider. Its users are alice and bob, with the role `user`, and carol, with the role `admin`; their
/// passwords are their names.
pub(crate) struct Provider {
    child: Child,
    /// It ends when this is closed.
    stdin: Option<ChildStdin>,
    issuer: String,
    origin: String,
}

impl Provider {
    /// Starts it on a free port, for a server that users reach at `origin`.
    pub(crate) fn start(origin: &str) -> Self {
        let mut child = Command::new("node")
            .arg(tools::oidc_provider())
            .arg(origin)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its warnings say that it is not set up for production.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let issuer = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it says {line:?}"));
        let (issuer, stdin) = (issuer.to_owned(), child.stdin.take());
        Self { child, stdin, issuer, origin: origin.to_owned() }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What the server must know about it.
    pub(crate) fn env(&self) -> Env {
        Env::new()
            .with("AUTH_ISSUER", &self.issuer)
            .with("OAUTH_CLIENT_ID", "no-crd")
            .with("OAUTH_CLIENT_SECRET", "the secret of the server, for tests only")
            .with("PUBLIC_URL", &self.origin)
    }

    /// How many tokens it gave by this kind of grant.
    pub(crate) async fn grants(&self, kind: &str) -> u64 {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.get(format!("{}/test/grants", self.issuer)).send().await.unwrap();
        let grants: Value = answer.json().await.unwrap();
        grants[kind].as_u64().unwrap_or_default()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
