use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};
use sha2::Sha256;

use super::door::{self, NOW, SECRET};

/// No `Authorization` header makes the front door panic, and none is good whose token was not signed.
///
/// Input that begins with `!` is a header and a payload, with a line end between, that is signed here: so what comes after
/// the signature is reached as well. A signed token is good only when it has what a token needs.
pub fn bearer_header(input: &[u8]) {
    match input.split_first() {
        Some((b'!', signed)) => {
            let mut parts = signed.splitn(2, |byte| *byte == b'\n');
            let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            check_signed(header, payload);
        }
        _ => {
            if let Some(answer) = door::ask(&AUTHORIZATION, input.split(|byte| *byte == b'\n')) {
                assert!(answer.is_err(), "a forged token was accepted");
            }
        }
    }
}

fn check_signed(header: &[u8], payload: &[u8]) {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else { return };
    mac.update(message.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let value = format!("Bearer {message}.{signature}");
    let Some(Ok(somebody)) = door::ask(&AUTHORIZATION, [value.as_bytes()]) else { return };

    let members = |json| serde_json::from_slice::<Map<String, Value>>(json).unwrap_or_default();
    let (header, claims) = (members(header), members(payload));
    assert!(header.get("alg").is_some_and(|alg| alg == "HS256"), "a token by another algorithm was accepted");
    assert!(header.get("crit").is_none_or(Value::is_null), "an extension was skipped");
    let ends = claims.get("exp").and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "times of this century are exact")]
    let earliest = (NOW - 60) as f64;
    assert!(ends.is_some_and(|ends| ends > earliest), "an expired token was accepted");
    assert!(!somebody.caller.subject.as_str().trim().is_empty());
    assert!(!somebody.caller.is_admin() || Value::Object(claims).to_string().contains("admin"));
}
