//! No `Cookie` header makes the front door panic, and none is good that the front door has not made. Lines are headers.

#![no_main]

use http::header::COOKIE;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(answer) = nocrd_fuzz::ask(COOKIE, input.split(|byte| *byte == b'\n')) {
        assert!(answer.is_err(), "a forged cookie was accepted");
    }
});
