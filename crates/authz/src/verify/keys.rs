//! All keys that the configuration names.

use std::sync::Arc;

use jsonwebtoken::Algorithm;
use secrecy::SecretString;

use super::{
    TokenError,
    jwks::{Jwks, JwksSource},
    key::{Fingerprint, Key},
    pem,
};
use crate::{clock::Clock, error::Error, http::Http};

#[derive(Debug)]
pub(super) struct Keys {
    /// The secret and the public keys in PEM. They have no id, so a token's key id says nothing about them.
    fixed: Vec<Arc<Key>>,
    /// Consulted only when there are no public keys in PEM.
    jwks: Option<Jwks>,
}

impl Keys {
    pub(super) fn new(
        secret: Option<&SecretString>,
        public_key_pem: Option<&str>,
        jwks: Option<JwksSource>,
        http: Arc<Http>,
        clock: Clock,
    ) -> Result<Self, Error> {
        let mut fixed: Vec<Arc<Key>> =
            secret.map(Key::secret).transpose()?.map(Arc::new).into_iter().collect();
        if let Some(text) = public_key_pem {
            fixed.extend(pem::parse(text)?.into_iter().map(Arc::new));
        }
        let jwks = jwks.filter(|_| public_key_pem.is_none()).map(|source| Jwks::new(source, http, clock));
        Ok(Self { fixed, jwks })
    }

    /// The key set, if it is consulted.
    pub(super) fn set(&self) -> Option<&Jwks> {
        self.jwks.as_ref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.jwks.is_none()
    }

    /// Tells whether there are keys of somebody else's, who may issue tokens for others than this server.
    pub(super) fn has_public(&self) -> bool {
        self.jwks.is_some() || self.fixed.iter().any(|key| !key.is_symmetric())
    }

    /// The keys that may have signed a token of that algorithm and key id.
    pub(super) async fn candidates(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> Result<Vec<Arc<Key>>, TokenError> {
        let fixed: Vec<_> = self.fixed.iter().filter(|key| key.is_for(algorithm)).cloned().collect();
        match &self.jwks {
            _ if !fixed.is_empty() => Ok(fixed),
            // No key of a key set is used with it, so there is nothing to load.
            Some(jwks) if algorithm != Algorithm::HS256 => jwks.candidates(algorithm, id).await,
            _ => Err(TokenError::UnsupportedAlgorithm),
        }
    }

    /// Tells whether a key is one of these.
    pub(super) fn is_in_use(&self, fingerprint: &Fingerprint) -> bool {
        self.fixed.iter().any(|key| key.fingerprint == *fingerprint)
            || self.jwks.as_ref().is_some_and(|jwks| jwks.has(fingerprint))
    }
}
