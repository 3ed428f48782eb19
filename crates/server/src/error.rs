use std::{borrow::Cow, io, path::PathBuf};

use nocrd_model::{Code, ErrorKind, error as codes};

/// Why the server does not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// Host and port, as they were set.
        address: String,
        /// The setting that names the port.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the HTTPS certificate can't be read.
    #[error("can't read {setting} {}", path.display())]
    TlsFile {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the HTTPS certificate does not hold what it should.
    #[error("{setting} {} is not usable: {problem}", path.display())]
    TlsContent {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key are fine each on its own.
    #[error("the certificate of TLS_CERT {} does not belong to the key of TLS_KEY {}", cert.display(), key.display())]
    TlsMismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The path prefix can't be used.
    #[error("BASE_URL is not usable: {0}")]
    BaseUrl(String),
    /// The settings of authentication can't be used.
    #[error("authentication can't be set up by {setting}")]
    Authentication {
        /// The setting to look at.
        setting: &'static str,
        /// What is wrong.
        source: nocrd_authz::error::Error,
    },
    /// The settings of the image registry can't be used.
    #[error("REGISTRY_URL can't be used")]
    Registry(#[source] nocrd_registry::Error),
    /// The key of sessions can't be used.
    #[error("the key of sessions can't be used")]
    SessionKey(#[source] nocrd_authz::keys::SealError),
    /// The log file can't be opened.
    #[error(transparent)]
    Log(#[from] nocrd_telemetry::Error),
    /// There is no cluster.
    #[error(transparent)]
    NoCluster(#[from] nocrd_cluster::ConnectError),
    /// The cluster can't be used.
    #[error(transparent)]
    Cluster(#[from] nocrd_cluster::Error),
    /// The MCP session over standard input and output broke.
    #[error("MCP over standard input and output failed")]
    Stdio(#[source] io::Error),
    /// Signals can't be received.
    #[error("can't receive signals")]
    Signals(#[source] io::Error),
    /// The threads that serve connections can't be started.
    #[error("can't start the threads that serve connections")]
    Threads(#[source] io::Error),
    /// A second signal came while open requests were still being finished.
    #[error("stopped at once, without waiting for open requests")]
    Interrupted,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Listen { .. }
            | Self::TlsFile { .. }
            | Self::TlsContent { .. }
            | Self::TlsMismatch { .. }
            | Self::BaseUrl(_) => codes::INVALID_SETTING,
            Self::Authentication { .. } => codes::INVALID_SETTING,
            Self::Registry(source) => source.code(),
            Self::SessionKey(source) => source.code(),
            Self::Log(source) => source.code(),
            Self::NoCluster(source) => source.code(),
            Self::Cluster(source) => source.code(),
            Self::Stdio(_) | Self::Signals(_) | Self::Threads(_) => codes::INTERNAL,
            Self::Interrupted => codes::CANCELLED,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }

    /// What to do next, for an operator; `None` where the message says it.
    #[must_use]
    pub fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Listen { setting, source, .. } => Some(listening(setting, source.kind()).into()),
            Self::TlsFile { .. } => {
                Some("Check that the file exists and that the server's user may read it.".into())
            }
            Self::TlsMismatch { .. } => Some("Use the key the certificate was issued for.".into()),
            _ => None,
        }
    }

    /// The same about the port that `setting` names.
    pub(crate) fn of_port(self, setting: &'static str) -> Self {
        match self {
            Self::Listen { address, source, .. } => Self::Listen { address, setting, source },
            other => other,
        }
    }
}

/// What to do where the port of `setting` can't be listened on.
fn listening(setting: &str, problem: io::ErrorKind) -> String {
    let (port, host) = match setting {
        "METRICS_PORT" => ("--metrics-port or METRICS_PORT", "METRICS_HOST"),
        "PORT" => ("--port or PORT (0 takes any free one)", "HOST"),
        other => (other, "HOST"),
    };
    match problem {
        io::ErrorKind::AddrInUse => {
            format!("Another program listens there: stop it, or choose another port with {port}.")
        }
        io::ErrorKind::PermissionDenied => format!(
            "Ports below 1024 need a privilege: choose another with {port}, or grant the program CAP_NET_BIND_SERVICE."
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "This machine has no such address: set {host} to one it has, or to 0.0.0.0 for all of them."
            )
        }
        _ => format!("Check {host} and {setting}."),
    }
}
