//! Keys, each with the algorithms it may be used with: what a token says about itself never widens them.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::jws::{Jws, parse_algorithm};
use crate::error::Error;

/// Shortest secret: as long as the hash (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// SHA-256 over what a key consists of.
pub(super) type Fingerprint = [u8; 32];

/// A key that checks signatures.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) fingerprint: Fingerprint,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// A public key by its kind: the bytes are a PKCS#1 key, an uncompressed point, or an Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicKey<'k> {
    Rsa(&'k [u8]),
    P256(&'k [u8]),
    P384(&'k [u8]),
    Ed25519(&'k [u8]),
}

/// A key of a key set (RFC 7517), as far as it matters. Keys of other kinds have other members.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Key {
    /// The key of HS256, for a secret of 32 bytes at least.
    pub(super) fn secret(secret: &SecretString) -> Result<Self, Error> {
        let bytes = secret.expose_secret().as_bytes();
        if bytes.len() < MIN_SECRET {
            return Err(Error::WeakSecret { bytes: bytes.len() });
        }
        Ok(Self::new(None, vec![Algorithm::HS256], DecodingKey::from_secret(bytes), &[b"oct", bytes]))
    }

    pub(super) fn public(key: PublicKey<'_>) -> Self {
        match key {
            PublicKey::Rsa(der) => {
                Self::new(None, RSA.to_vec(), DecodingKey::from_rsa_der(der), &[b"RSA", der])
            }
            PublicKey::P256(point) => {
                Self::new(None, vec![Algorithm::ES256], DecodingKey::from_ec_der(point), &[b"EC", point])
            }
            PublicKey::P384(point) => {
                Self::new(None, vec![Algorithm::ES384], DecodingKey::from_ec_der(point), &[b"EC", point])
            }
            PublicKey::Ed25519(key) => {
                Self::new(None, vec![Algorithm::EdDSA], DecodingKey::from_ed_der(key), &[b"OKP", key])
            }
        }
    }

    /// The key of an entry of a key set; none when it is not for checking signatures, or of a kind that is not
    /// supported. Symmetric keys don't belong into key sets.
    pub(super) fn from_jwk(jwk: Jwk) -> Option<Self> {
        if jwk.usage.is_some_and(|usage| usage != "sig")
            || jwk.key_ops.is_some_and(|operations| !operations.iter().any(|one| one == "verify"))
        {
            return None;
        }
        let bytes =
            |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok();
        let mut key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
                let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
                Self::new(None, RSA.to_vec(), decoding, &[b"RSA components", &n, &e])
            }
            ("EC", Some("P-256")) => {
                Self::public(PublicKey::P256(&point(&bytes(&jwk.x)?, &bytes(&jwk.y)?, 32)?))
            }
            ("EC", Some("P-384")) => {
                Self::public(PublicKey::P384(&point(&bytes(&jwk.x)?, &bytes(&jwk.y)?, 48)?))
            }
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&jwk.x).filter(|x| x.len() == 32)?;
                Self::public(PublicKey::Ed25519(&x))
            }
            _ => return None,
        };
        if let Some(name) = &jwk.alg {
            let only = parse_algorithm(name)?;
            key.algorithms.retain(|algorithm| *algorithm == only);
        }
        key.id = jwk.kid;
        (!key.algorithms.is_empty()).then_some(key)
    }

    fn new(id: Option<String>, algorithms: Vec<Algorithm>, decoding: DecodingKey, parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self { id, fingerprint: digest.finalize().into(), algorithms, decoding }
    }

    /// Tells whether the key is used with that algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Tells whether who checks signatures with it can make them as well.
    pub(super) fn is_symmetric(&self) -> bool {
        self.is_for(Algorithm::HS256)
    }

    /// Tells whether the key made the token's signature. Comparison of an HMAC takes the same time for all.
    pub(super) fn verifies(&self, jws: &Jws<'_>) -> bool {
        self.is_for(jws.algorithm)
            && crypto::verify(jws.signature, jws.message.as_bytes(), &self.decoding, jws.algorithm)
                .unwrap_or(false)
    }
}

/// An uncompressed point of a curve whose coordinates have that many bytes.
fn point(x: &[u8], y: &[u8], size: usize) -> Option<Vec<u8>> {
    (x.len() == size && y.len() == size).then(|| [&[4], x, y].concat())
}
