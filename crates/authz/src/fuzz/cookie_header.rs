use http::header::COOKIE;

use super::door;

/// No `Cookie` header makes the front door panic, and none is good that the front door has not made. Lines are headers.
pub fn cookie_header(input: &[u8]) {
    if let Some(answer) = door::ask(&COOKIE, input.split(|byte| *byte == b'\n')) {
        assert!(answer.is_err(), "a forged cookie was accepted");
    }
}
