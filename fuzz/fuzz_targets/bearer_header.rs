//! No `Authorization` header makes the front door panic, and none is good whose token was not signed.
//!
//! Input that begins with `!` is a header and a payload, with a line end between, that the target signs: so what comes
//! after the signature is reached as well. A signed token is good only when it has what a token needs.

#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::AUTHORIZATION;
use libfuzzer_sys::fuzz_target;
use nocrd_fuzz::{NOW, SECRET, ask};
use serde_json::Value;
use sha2::Sha256;

fuzz_target!(|input: &[u8]| match input.split_first() {
    Some((b'!', signed)) => {
        let mut parts = signed.splitn(2, |byte| *byte == b'\n');
        let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        check_signed(header, payload);
    }
    _ => {
        if let Some(answer) = ask(AUTHORIZATION, input.split(|byte| *byte == b'\n')) {
            assert!(answer.is_err(), "a forged token was accepted");
        }
    }
});

fn check_signed(header: &[u8], payload: &[u8]) {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let value = format!("Bearer {message}.{signature}");
    let Some(Ok(somebody)) = ask(AUTHORIZATION, [value.as_bytes()]) else { return };

    let header: Value = serde_json::from_slice(header).unwrap();
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none_or(Value::is_null));
    let claims: Value = serde_json::from_slice(payload).unwrap();
    let ends = claims["exp"].as_f64().unwrap();
    assert!(ends > (NOW - 60) as f64, "an expired token was accepted");
    assert!(!somebody.caller.subject.as_str().trim().is_empty());
    assert!(!somebody.caller.is_admin() || claims.to_string().contains("admin"));
}
