#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nocrd_proxy_core::fuzz::header(input));
