#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nocrd_authz::fuzz::bearer_header(input));
