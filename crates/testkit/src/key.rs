//! Signing keys, and tokens signed with them.
//!
//! Making an RSA key takes a while, so each of the functions here gives the same key for the life of the process.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::{
    EncodingKey,
    jwk::{Jwk, ThumbprintHash},
};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use uuid::Uuid;

/// A key that signs tokens with one algorithm.
#[derive(Clone)]
pub struct SigningKey {
    /// Its id: the `kid` of tokens and of key sets.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    encoding: EncodingKey,
    /// Of asymmetric keys: the public half.
    public: Option<Public>,
    /// Of HS256: the key itself.
    secret: Option<String>,
}

#[derive(Clone)]
struct Public {
    jwk: Value,
    pem: String,
    certificate: String,
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident: $algorithm:ident;)*) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name() -> &'static SigningKey {
            static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::$algorithm));
            &KEY
        }
    )* };
}

keys! {
    /// An RSA key of 2048 bits.
    rs256: RS256;
    /// Another RSA key.
    other_rs256: RS256;
    /// A P-256 key.
    es256: ES256;
    /// Another P-256 key.
    other_es256: ES256;
    /// A P-384 key.
    es384: ES384;
    /// An Ed25519 key.
    eddsa: EdDSA;
    /// A shared secret of 64 characters.
    hs256: HS256;
}

impl SigningKey {
    /// Makes a new key. Of the symmetric algorithms, HS256 alone; of RSA, 2048 bits.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::HS256 => {
                let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
                return Self::of_secret(secret);
            }
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => &rcgen::PKCS_RSA_SHA256,
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => &rcgen::PKCS_RSA_SHA256,
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            other => unimplemented!("keys for {other:?}"),
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let encoding = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        }
        .unwrap();
        let mut jwk = public_jwk(&pair, &encoding, algorithm);
        let kid = thumbprint(&jwk);
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(algorithm);
        let certificate =
            CertificateParams::new(["idp.test".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let public = Public { jwk, pem: pair.public_key_pem(), certificate: certificate.pem() };
        Self { kid, algorithm, encoding, public: Some(public), secret: None }
    }

    /// The key of HS256 that this text is.
    #[must_use]
    pub fn of_secret(secret: impl Into<String>) -> Self {
        let secret = secret.into();
        let encoding = EncodingKey::from_secret(secret.as_bytes());
        Self {
            kid: "shared".to_owned(),
            algorithm: Algorithm::HS256,
            encoding,
            public: None,
            secret: Some(secret),
        }
    }

    /// The same key, to sign with another algorithm of its family.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        if let Some(public) = &mut self.public {
            public.jwk["alg"] = json!(algorithm);
        }
        self
    }

    /// The same key under another id.
    #[must_use]
    pub fn with_kid(mut self, kid: &str) -> Self {
        kid.clone_into(&mut self.kid);
        if let Some(public) = &mut self.public {
            public.jwk["kid"] = json!(kid);
        }
        self
    }

    /// The public half as an entry of a key set (RFC 7517). HS256 has none.
    #[must_use]
    pub fn jwk(&self) -> Value {
        self.public.as_ref().expect("an asymmetric key").jwk.clone()
    }

    /// The public half as PEM (SPKI). HS256 has none.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public.as_ref().expect("an asymmetric key").pem
    }

    /// A certificate, signed by itself, for the public half. HS256 has none.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.public.as_ref().expect("an asymmetric key").certificate
    }

    /// The text that is the key of HS256; no other has one.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.as_ref().expect("a shared secret")
    }

    /// Signs claims, under a header with `typ`, `alg` and `kid`.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "typ": "JWT", "alg": self.algorithm, "kid": self.kid }), claims)
    }

    /// Signs claims under any header, also one that does not say the truth about the key.
    #[must_use]
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// A token without a signature, under any header.
#[must_use]
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}.", part(header), part(claims))
}

/// A key set (RFC 7517) of these keys.
#[must_use]
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Value {
    json!({ "keys": keys.into_iter().map(SigningKey::jwk).collect::<Vec<_>>() })
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn public_jwk(pair: &KeyPair, encoding: &EncodingKey, algorithm: Algorithm) -> Value {
    if algorithm == Algorithm::EdDSA {
        return json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.der_bytes()) });
    }
    serde_json::to_value(Jwk::from_encoding_key(encoding, algorithm).unwrap()).unwrap()
}

/// RFC 7638.
fn thumbprint(jwk: &Value) -> String {
    let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
    jwk.thumbprint(ThumbprintHash::SHA256).unwrap()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

    use super::*;

    #[test]
    fn tokens_are_good_by_key_set_and_by_pem() {
        for key in [rs256(), other_rs256(), es256(), other_es256(), es384(), eddsa()] {
            let token = key.sign(&json!({ "sub": "alice", "exp": 4_000_000_000_u64 }));
            assert_eq!(decode_header(&token).unwrap().kid.as_deref(), Some(&key.kid[..]));
            let jwk: Jwk = serde_json::from_value(key.jwk()).unwrap();
            let pem = key.public_pem().as_bytes();
            let by_pem = match key.algorithm {
                Algorithm::RS256 => DecodingKey::from_rsa_pem(pem),
                Algorithm::EdDSA => DecodingKey::from_ed_pem(pem),
                _ => DecodingKey::from_ec_pem(pem),
            };
            for decoding in [DecodingKey::from_jwk(&jwk).unwrap(), by_pem.unwrap()] {
                let decoded = decode::<Value>(&token, &decoding, &Validation::new(key.algorithm));
                assert_eq!(decoded.unwrap().claims["sub"], "alice", "{:?}", key.algorithm);
            }
        }
    }

    #[test]
    fn shared_secrets_sign_too() {
        let token = hs256().sign(&json!({ "exp": 4_000_000_000_u64 }));
        let key = DecodingKey::from_secret(hs256().secret().as_bytes());
        assert!(decode::<Value>(&token, &key, &Validation::new(Algorithm::HS256)).is_ok());
        let other = DecodingKey::from_secret(&[b'x'; 64]);
        assert!(decode::<Value>(&token, &other, &Validation::new(Algorithm::HS256)).is_err());
    }

    #[test]
    fn a_key_is_made_once_and_differs_from_the_other() {
        assert_eq!(rs256().kid, rs256().kid);
        assert_ne!(rs256().kid, other_rs256().kid);
        assert!(es256().certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    }
}
