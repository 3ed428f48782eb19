//! Reading and understanding the two files.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{InconsistentKeys, ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::Error;

const CERT: &str = "TLS_CERT";
const KEY: &str = "TLS_KEY";

/// Where certificate and key are.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// What they hold.
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    /// A number that is another one when the contents are.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.cert, &self.key).hash(&mut hasher);
        hasher.finish()
    }
}

impl Files {
    pub(super) fn read(&self) -> Result<Contents, Error> {
        let read = |setting, path: &Path| {
            fs::read(path).map_err(|source| Error::TlsFile { setting, path: path.to_owned(), source })
        };
        Ok(Contents { cert: read(CERT, &self.cert)?, key: read(KEY, &self.key)? })
    }

    /// Makes a configuration of what was read.
    pub(super) fn parse(&self, contents: &Contents) -> Result<Arc<ServerConfig>, Error> {
        let unusable = |setting, path: &Path, problem: String| Error::TlsContent {
            setting,
            path: path.to_owned(),
            problem,
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&contents.cert)
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(CERT, &self.cert, format!("it is no PEM file ({error})")))?;
        if chain.is_empty() {
            return Err(unusable(CERT, &self.cert, "it holds no certificate in PEM form".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| unusable(KEY, &self.key, missing_key(&contents.key).to_owned()))?;
        // The provider is named, so that this does not depend on what the process has installed.
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(CERT, &self.cert, error.to_string()))?;
        let mut config =
            builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    Error::TlsMismatch { cert: self.cert.clone(), key: self.key.clone() }
                }
                rustls::Error::InvalidCertificate(_) => unusable(CERT, &self.cert, error.to_string()),
                _ => unusable(KEY, &self.key, error.to_string()),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn missing_key(text: &[u8]) -> &'static str {
    let encrypted = b"ENCRYPTED";
    if text.windows(encrypted.len()).any(|window| window == encrypted) {
        "its key is encrypted; store it without a passphrase"
    } else {
        "it holds no private key in PEM form (PKCS #8, PKCS #1 or SEC 1)"
    }
}
