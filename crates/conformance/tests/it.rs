//! The program as a whole. What it serves is tested by the conformance suite, in `tests/e2e`.

use std::process::Command;

#[test]
fn it_does_nothing_but_dev() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nocrd-conformance"));
    let output = command.arg("--port=0").env_clear().output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("the only command is `dev`"), "{text}");
}
