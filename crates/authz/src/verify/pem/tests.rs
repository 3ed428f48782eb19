use nocrd_testkit::key::{self, SigningKey};
use serde_json::json;

use super::*;
use crate::verify::jws::Jws;

fn verifies(keys: &[Key], signer: &SigningKey) -> bool {
    let token = signer.sign(&json!({}));
    let jws = Jws::parse(&token).unwrap();
    keys.iter().any(|key| key.verifies(&jws))
}

fn wrap(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

fn der(pem: &str) -> Vec<u8> {
    BASE64.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

#[test]
fn public_keys_and_certificates_of_every_kind() {
    for signer in [key::rs256(), key::es256(), key::es384(), key::eddsa()] {
        for pem in [signer.public_pem(), signer.certificate_pem()] {
            assert!(verifies(&parse(pem).unwrap(), signer), "{pem}");
        }
        assert!(!verifies(&parse(key::other_rs256().public_pem()).unwrap(), signer));
    }
}

#[test]
fn the_older_form_of_rsa_keys() {
    let info = der(key::rs256().public_pem());
    let Some(PublicKey::Rsa(pkcs1)) = public_key_info(&info) else { panic!() };
    assert!(verifies(&parse(&wrap("RSA PUBLIC KEY", pkcs1)).unwrap(), key::rs256()));
    assert!(parse(&wrap("RSA PUBLIC KEY", &info)).is_err());
}

#[test]
fn d84_line_ends_written_as_two_characters() {
    let pem = key::rs256().public_pem();
    for text in [
        pem.trim().replace("\r\n", "\n").replace('\n', "\\n"),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', " "),
        format!("\n  {pem}  \n"),
        format!("a comment\n{pem}"),
    ] {
        assert!(verifies(&parse(&text).unwrap(), key::rs256()), "{text}");
    }
}

#[test]
fn several_keys() {
    let both = format!("{}{}", key::rs256().public_pem(), key::es256().certificate_pem());
    let keys = parse(&both).unwrap();
    assert!(keys.len() == 2 && verifies(&keys, key::rs256()) && verifies(&keys, key::es256()));
}

#[test]
fn what_is_no_public_key() {
    let good = key::rs256().public_pem();
    for (text, expected) in [
        ("", "it is not in PEM"),
        ("MIIB", "it is not in PEM"),
        ("-----BEGIN PUBLIC KEY", "its PEM has no label"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA", "its PEM has no end"),
        ("-----BEGIN PUBLIC KEY-----\n?\n-----END PUBLIC KEY-----", "its PEM is not in base64"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "it is a private key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "it is a private key"),
        ("-----BEGIN X-----\nAAAA\n-----END X-----", "its PEM is neither a public key nor a certificate"),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "it is no RSA, P-256, P-384 or Ed25519 key",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), Error::InvalidKey(expected), "{text}");
    }
    // However it is cut or changed, it is a key or an error.
    for pem in [good, key::es256().certificate_pem(), key::eddsa().public_pem()] {
        let der = der(pem);
        for cut in 0..der.len() {
            assert!(parse(&wrap("PUBLIC KEY", &der[..cut])).is_err());
            let _ = parse(&wrap("CERTIFICATE", &der[..cut]));
            let mut changed = der.clone();
            changed[cut] ^= 0xff;
            let _ = parse(&wrap("PUBLIC KEY", &changed));
            let _ = parse(&wrap("CERTIFICATE", &changed));
        }
    }
}
