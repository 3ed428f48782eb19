//! Reading a JSON Web Signature in compact form (RFC 7515) as far as its header, before anything of it is trusted.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::TokenError;
use crate::claims::Claims;

/// Longest id of a key, in bytes.
const MAX_KEY_ID: usize = 256;

/// A token of three parts whose header makes sense.
#[derive(Debug)]
pub(super) struct Jws<'t> {
    /// What its header says it is signed with. Keys decide whether they are used with that.
    pub(super) algorithm: Algorithm,
    /// Which key signed it, says the header.
    pub(super) key_id: Option<String>,
    /// The header's `typ`.
    pub(super) kind: Option<String>,
    /// What is signed: header and payload as they came.
    pub(super) message: &'t str,
    pub(super) signature: &'t str,
    payload: &'t str,
}

/// What of a header is looked at. Members that point to keys (`jku`, `jwk`, `x5u`, `x5c`) are not: keys come from the
/// configuration.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl<'t> Jws<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        let header: Header = decode(header)?;
        // No extension is understood here, so a token that insists on one is refused (RFC 7515 section 4.1.11).
        if header.crit.is_some() || header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KEY_ID) {
            return Err(TokenError::Malformed);
        }
        let algorithm = parse_algorithm(&header.alg).ok_or(TokenError::UnsupportedAlgorithm)?;
        Ok(Self { algorithm, key_id: header.kid, kind: header.typ, message, signature, payload })
    }

    /// The payload, which must be a JSON object. It is to be trusted only after the signature was checked.
    pub(super) fn claims(&self) -> Result<Claims, TokenError> {
        decode(self.payload).map(Claims::new)
    }

    /// The length of the token, in bytes.
    pub(super) fn len(&self) -> usize {
        self.message.len() + 1 + self.signature.len()
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    // Checked as a whole, because in a member that is skipped nobody looks for it.
    let json = std::str::from_utf8(&json).map_err(|_| TokenError::Malformed)?;
    serde_json::from_str(json).map_err(|_| TokenError::Malformed)
}

/// The algorithms there are, by their exact names (RFC 7518, RFC 8037). `none` is not among them, in any spelling.
pub(super) fn parse_algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "HS256" => Algorithm::HS256,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}
