//! Reading and understanding the files.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    InconsistentKeys, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::Error;

const CERT: &str = "TLS_CERT";
const KEY: &str = "TLS_KEY";
const CA: &str = "TLS_CA";

/// Where certificate and key are.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// The authorities of client certificates; `None` asks for none.
    pub(crate) ca: Option<PathBuf>,
}

/// What they hold.
pub(super) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

impl Contents {
    /// A number that is another one when the contents are.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.cert, &self.key, &self.ca).hash(&mut hasher);
        hasher.finish()
    }
}

impl Files {
    pub(super) fn read(&self) -> Result<Contents, Error> {
        let read = |setting, path: &Path| {
            fs::read(path).map_err(|source| Error::TlsFile { setting, path: path.to_owned(), source })
        };
        let ca = self.ca.as_deref().map(|path| read(CA, path)).transpose()?;
        Ok(Contents { cert: read(CERT, &self.cert)?, key: read(KEY, &self.key)?, ca })
    }

    /// Makes a configuration of what was read.
    pub(super) fn parse(&self, contents: &Contents) -> Result<Arc<ServerConfig>, Error> {
        let chain = certificates(CERT, &self.cert, &contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| unusable(KEY, &self.key, missing_key(&contents.key)))?;
        // The provider is named, so that this does not depend on what the process has installed.
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(CERT, &self.cert, error))?;
        let builder = match self.ca.as_deref().zip(contents.ca.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((path, text)) => builder.with_client_cert_verifier(verifier(path, text)?),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Error::TlsMismatch { cert: self.cert.clone(), key: self.key.clone() }
            }
            rustls::Error::InvalidCertificate(_) => unusable(CERT, &self.cert, error),
            _ => unusable(KEY, &self.key, error),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Checks that clients present a certificate of one of these authorities, valid now and made for clients.
fn verifier(path: &Path, text: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CA, path, text)? {
        roots.add(certificate).map_err(|error| unusable(CA, path, error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(aws_lc_rs::default_provider()))
        .build()
        .map_err(|error| unusable(CA, path, error))
}

fn certificates(
    setting: &'static str,
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(setting, path, format_args!("it is no PEM file ({error})")))?;
    if certificates.is_empty() {
        return Err(unusable(setting, path, "it holds no certificate in PEM form"));
    }
    Ok(certificates)
}

fn unusable(setting: &'static str, path: &Path, problem: impl ToString) -> Error {
    Error::TlsContent { setting, path: path.to_owned(), problem: problem.to_string() }
}

fn missing_key(text: &[u8]) -> &'static str {
    let encrypted = b"ENCRYPTED";
    if text.windows(encrypted.len()).any(|window| window == encrypted) {
        "its key is encrypted; store it without a passphrase"
    } else {
        "it holds no private key in PEM form (PKCS #8, PKCS #1 or SEC 1)"
    }
}
