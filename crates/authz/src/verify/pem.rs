//! Public keys in PEM (RFC 7468): as SubjectPublicKeyInfo, as PKCS#1, or in a certificate.
//!
//! Only what these three forms need of DER is read here; the key itself is checked by the cryptographic library.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::key::{Key, PublicKey};
use crate::error::Error;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;

/// Reads all keys of a text in PEM. Line ends may be written as `\n`, as they get in environment variables.
pub(super) fn parse(text: &str) -> Result<Vec<Key>, Error> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut rest = text.as_str();
    let mut keys = Vec::new();
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or(Error::InvalidKey("its PEM has no label"))?;
        let (body, after) = after
            .split_once(&format!("-----END {label}-----"))
            .ok_or(Error::InvalidKey("its PEM has no end"))?;
        let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        let der = BASE64.decode(body).map_err(|_| Error::InvalidKey("its PEM is not in base64"))?;
        keys.push(Key::public(read(label, &der)?));
        rest = after;
    }
    if keys.is_empty() { Err(Error::InvalidKey("it is not in PEM")) } else { Ok(keys) }
}

fn read<'d>(label: &str, der: &'d [u8]) -> Result<PublicKey<'d>, Error> {
    match label {
        "PUBLIC KEY" => public_key_info(der),
        "RSA PUBLIC KEY" => Some(PublicKey::Rsa(der)).filter(|_| is_pkcs1(der)),
        "CERTIFICATE" | "X509 CERTIFICATE" => certificate(der),
        label if label.ends_with("PRIVATE KEY") => return Err(Error::InvalidKey("it is a private key")),
        _ => return Err(Error::InvalidKey("its PEM is neither a public key nor a certificate")),
    }
    .ok_or(Error::InvalidKey("it is no RSA, P-256, P-384 or Ed25519 key"))
}

/// `SEQUENCE { SEQUENCE { algorithm, parameters }, BIT STRING }` (RFC 5280 section 4.1.2.7).
fn public_key_info(der: &[u8]) -> Option<PublicKey<'_>> {
    let (info, []) = take(der, SEQUENCE)? else { return None };
    let (algorithm, info) = take(info, SEQUENCE)?;
    let (key, []) = take(info, BIT_STRING)? else { return None };
    let key = key.strip_prefix(&[0])?; // no unused bits
    let (algorithm, parameters) = take(algorithm, OBJECT_IDENTIFIER)?;
    match algorithm {
        RSA_ENCRYPTION => is_pkcs1(key).then_some(PublicKey::Rsa(key)),
        ED25519 => (key.len() == 32).then_some(PublicKey::Ed25519(key)),
        EC_PUBLIC_KEY => match take(parameters, OBJECT_IDENTIFIER)?.0 {
            PRIME256V1 => (key.len() == 65).then_some(PublicKey::P256(key)),
            SECP384R1 => (key.len() == 97).then_some(PublicKey::P384(key)),
            _ => None,
        },
        _ => None,
    }
}

/// `SEQUENCE { INTEGER modulus, INTEGER exponent }` (RFC 8017 section A.1.1).
fn is_pkcs1(der: &[u8]) -> bool {
    let integers = || {
        let (key, []) = take(der, SEQUENCE)? else { return None };
        let (_, exponent) = take(key, INTEGER)?;
        let (_, []) = take(exponent, INTEGER)? else { return None };
        Some(())
    };
    integers().is_some()
}

/// The key of a certificate (RFC 5280 section 4.1): what precedes it is skipped. Nothing of the certificate counts but
/// its key, which the operator trusts by configuring it.
fn certificate(der: &[u8]) -> Option<PublicKey<'_>> {
    let (certificate, []) = take(der, SEQUENCE)? else { return None };
    let (mut fields, _) = take(certificate, SEQUENCE)?;
    if let Some((_version, after)) = take(fields, EXPLICIT_0) {
        fields = after;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        // serial number, signature, issuer, validity, subject
        fields = take(fields, tag)?.1;
    }
    let (_, after) = take(fields, SEQUENCE)?;
    public_key_info(fields.get(..fields.len() - after.len())?)
}

/// Takes an element of that tag off the front: its content, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => {
            let (&[a], rest) = rest.split_first_chunk::<1>()?;
            (usize::from(a), rest)
        }
        0x82 => {
            let (&bytes, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(bytes)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests;
