use std::{fs, path::Path};

use super::*;

/// A self-signed certificate and its key, as PEM.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn write(dir: &Path, cert: &str, key: &str) {
    fs::write(dir.join("tls.crt"), cert).unwrap();
    fs::write(dir.join("tls.key"), key).unwrap();
}

fn load(dir: &Path) -> Result<Tls, Error> {
    let ca = dir.join("ca.crt");
    Tls::load(dir.join("tls.crt"), dir.join("tls.key"), ca.exists().then_some(ca))
}

fn refused(dir: &Path) -> String {
    let error = load(dir).err().unwrap();
    assert_eq!(error.code().id, "NCR0903");
    error.to_string()
}

#[test]
fn a_new_pair_is_taken_and_a_bad_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = pair();
    write(dir.path(), &cert, &key);
    let mut tls = load(dir.path()).unwrap();
    let first = tls.config();
    assert!(!tls.refresh().unwrap());

    // Half of a rotation, then nonsense, then nothing: the old pair stays.
    let (new_cert, new_key) = pair();
    fs::write(dir.path().join("tls.crt"), &new_cert).unwrap();
    assert!(matches!(tls.refresh(), Err(Error::TlsMismatch { .. })));
    fs::write(dir.path().join("tls.crt"), "nonsense").unwrap();
    assert!(matches!(tls.refresh(), Err(Error::TlsContent { .. })));
    fs::remove_file(dir.path().join("tls.crt")).unwrap();
    assert!(matches!(tls.refresh(), Err(Error::TlsFile { .. })));
    assert!(Arc::ptr_eq(&first, &tls.config()));

    write(dir.path(), &new_cert, &new_key);
    assert!(tls.refresh().unwrap());
    assert!(!Arc::ptr_eq(&first, &tls.config()));
    assert!(!tls.refresh().unwrap());
}

#[test]
fn errors_name_the_setting_and_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = pair();
    let crt = dir.path().join("tls.crt").display().to_string();
    let pem_key = dir.path().join("tls.key").display().to_string();

    assert_eq!(refused(dir.path()), format!("can't read TLS_CERT {crt}"));
    fs::write(dir.path().join("tls.crt"), &cert).unwrap();
    assert_eq!(refused(dir.path()), format!("can't read TLS_KEY {pem_key}"));

    write(dir.path(), &cert, "");
    assert!(
        refused(dir.path()).starts_with(&format!("TLS_KEY {pem_key} is not usable: it holds no private key"))
    );
    write(
        dir.path(),
        &cert,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    assert!(refused(dir.path()).contains("encrypted"), "{}", refused(dir.path()));
    // The key where the certificate belongs.
    write(dir.path(), &key, &key);
    assert_eq!(
        refused(dir.path()),
        format!("TLS_CERT {crt} is not usable: it holds no certificate in PEM form")
    );
    write(dir.path(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key);
    assert!(refused(dir.path()).contains("tls."), "{}", refused(dir.path()));

    write(dir.path(), &cert, &pair().1);
    let text = refused(dir.path());
    assert!(text.contains(&crt) && text.contains(&pem_key) && text.contains("does not belong"), "{text}");
}

#[test]
fn authorities_are_read_again_too_and_bad_ones_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = pair();
    write(dir.path(), &cert, &key);
    let ca = dir.path().join("ca.crt");
    for nonsense in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&ca, nonsense).unwrap();
        assert!(refused(dir.path()).starts_with(&format!("TLS_CA {} is not usable", ca.display())));
    }
    fs::write(&ca, pair().0).unwrap();
    let mut tls = load(dir.path()).unwrap();
    let first = tls.config();
    fs::write(&ca, "nonsense").unwrap();
    assert!(tls.refresh().is_err() && Arc::ptr_eq(&first, &tls.config()));
    fs::write(&ca, pair().0).unwrap();
    assert!(tls.refresh().unwrap());
    fs::remove_file(&ca).unwrap();
    // Nobody is let in without a certificate because the file is gone.
    assert!(matches!(tls.refresh(), Err(Error::TlsFile { setting: "TLS_CA", .. })));
}
