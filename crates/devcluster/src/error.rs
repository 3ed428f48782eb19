//! Why the cluster can't be started.

use std::{io, net::SocketAddr, path::PathBuf};

use nocrd_model::error::{Code, DEV_CLUSTER_DATA, DEV_CLUSTER_START, ErrorKind};

use crate::{kubelet, status::Status, store};

/// Why the cluster can't be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The objects can't be kept where they are to be kept.
    #[error("the cluster's objects can't be kept")]
    Store(#[source] store::Error),
    /// Pods can't be run.
    #[error("pods can't be run")]
    Kubelet(#[source] kubelet::Error),
    /// What every cluster has can't be written.
    #[error("the cluster's first objects can't be written")]
    Bootstrap(#[source] Status),
    /// The cluster serves this machine only.
    #[error("{address} is not a loopback address, and the development cluster listens on no other")]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The key and the token that clients know the cluster by can't be kept.
    #[error("the cluster's credentials can't be kept in {}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("can't make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// The certificate can't be used.
    #[error("can't use the certificate")]
    Tls(#[source] rustls::Error),
    /// The kubeconfig can't be written.
    #[error("can't write {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Store(_) | Self::Credentials { .. } => DEV_CLUSTER_DATA,
            Self::Kubelet(error) => error.code(),
            Self::Bootstrap(_)
            | Self::NotLoopback { .. }
            | Self::Listen { .. }
            | Self::Certificate(_)
            | Self::Tls(_)
            | Self::Kubeconfig { .. } => DEV_CLUSTER_START,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}
