//! Secrets are never shown.

use nocrd_config::{Binary, Lookup, load, settings::TABLE};

use crate::{read, settings};

const CANARY: &str = "c4nary-value-that-must-not-show";

fn shown(args: &[&str], env: &dyn Lookup) -> String {
    match load(Binary::All, args, env) {
        Ok(command) => format!("{command:?}"),
        Err(errors) => format!("{errors} {errors:?}"),
    }
}

#[test]
fn t11_short_keys_are_refused_without_being_shown() {
    for name in ["JWT_SECRET", "PROXY_SESSION_SECRET"] {
        let errors = read(&[], &[(name, CANARY)]).unwrap_err();
        let text = format!("{errors} {errors:?}");
        assert!(
            text.contains("at least 32 bytes") && text.contains(name) && !text.contains(CANARY),
            "{text}"
        );
    }
}

#[test]
fn t54_secrets_show_up_in_no_debug_text_and_no_warning() {
    for row in TABLE.iter().filter(|row| row.is_secret()) {
        for name in row.env {
            let value = format!("{CANARY}-{CANARY}");
            let s = settings(&[], &[(name, &value)]);
            assert!(!format!("{s:?} {:?}", s.warnings()).contains(CANARY), "{name}");
            assert!(!shown(&["--port=x"], &[(*name, value.as_str())]).contains(CANARY), "{name}");
        }
    }
}

#[test]
fn t54_nor_do_secrets_in_the_wrong_place() {
    for (args, env) in [
        (vec!["--jwt-secret=c4nary-value-that-must-not-show"], [("A", "b")]),
        (vec!["--jwt-secret", CANARY], [("A", "b")]),
        (vec![], [("REGISTRY_URL", "https://user:c4nary-value-that-must-not-show@registry.example")]),
        (vec![], [("JWKS_URI", "https://user:c4nary-value-that-must-not-show@idp.example/keys")]),
        (vec![], [("CORS_ORIGIN", "https://user:c4nary-value-that-must-not-show@idp.example")]),
        (vec![], [("TLS_KEY", "-----BEGIN PRIVATE KEY-----\nc4nary-value-that-must-not-show")]),
    ] {
        let text = shown(&args, &env);
        assert!(text.contains("error") && !text.contains(CANARY), "{text}");
    }
}
