//! HTTPS: certificate and key from files, read again when they change; and the authorities whose clients are let in, when
//! clients have to present certificates.

mod files;
mod reload;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use files::Files;
pub(crate) use reload::PERIOD;

use crate::Error;

/// The certificate that is served now.
#[derive(Clone)]
pub(crate) struct Tls {
    files: Arc<Files>,
    current: Arc<ArcSwap<ServerConfig>>,
    /// Tells whether the files have changed since.
    seen: u64,
}

impl Tls {
    /// Loads certificate and key.
    ///
    /// # Errors
    /// [`Error::TlsFile`], [`Error::TlsContent`] or [`Error::TlsMismatch`], naming the file.
    pub(crate) fn load(cert: PathBuf, key: PathBuf, ca: Option<PathBuf>) -> Result<Self, Error> {
        let files = Files { cert, key, ca };
        let contents = files.read()?;
        let config = files.parse(&contents)?;
        Ok(Self {
            seen: contents.fingerprint(),
            files: Arc::new(files),
            current: Arc::new(ArcSwap::from(config)),
        })
    }

    /// The configuration for the next connection.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}
